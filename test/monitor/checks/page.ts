import { stringify } from 'yaml'
import type * as z from 'zod'
import { checkKinds } from '../../../monitor/checks/index.ts'
import type { CheckKind, Measure } from '../../../monitor/checks/kind.ts'
import { reasons } from '../../../monitor/wire/reasons.ts'
import { core, defOf, layers, type Schema } from '../../../shared/schema.ts'

/** The page of checks: for each kind what it asks, its options with their defaults, an example, and what it measures. */
export const checksPage = { path: 'docs/checks.md', text: describeChecks }

function describeChecks(): string {
  const kinds = Object.entries<CheckKind>(checkKinds)
  return [
    '# Health checks\n\n`npm run render` makes this page from `monitor/checks/`.\n',
    kinds.map(([name]) => `- [${name}](#${name})`).join('\n'),
    '\n## Reasons\n\nWhy a check is not up: the values of the label `reason`.\n',
    table(
      ['reason', 'meaning'],
      Object.entries(reasons).map(([reason, text]) => [`\`${reason}\``, text]),
    ),
    ...kinds.map(([name, kind]) => describeKind(name, kind)),
  ].join('\n')
}

function describeKind(name: string, kind: CheckKind): string {
  const example = stringify([{ name: `my-${name}`, kind: name, ...(kind.example as object) }], { lineWidth: 0 })
  const measures = Object.entries(kind.measures)
  return [
    `\n## ${name}\n\n${kind.about}\n`,
    table(['option', 'meaning', 'default'], optionsOf(kind.options).map(describeOption)),
    `\n\`\`\`yaml\nchecks:\n${example.replace(/^(?=.)/gm, '  ')}\`\`\`\n`,
    measures.length === 0 ? '' : table(['measures', 'type', 'labels', 'meaning'], measures.map(describeMeasure)),
  ].join('\n')
}

function optionsOf(schema: z.ZodType): [string, Schema][] {
  return Object.entries(defOf(core(schema)).shape ?? {})
}

function describeOption([name, schema]: [string, Schema]): string[] {
  const all = layers(schema)
  const description = all.map((layer) => (layer as z.ZodType).description).find((text) => text !== undefined) ?? ''
  const given = all.map(defOf).find(({ type }) => type === 'default' || type === 'prefault')
  const isOptional = all.some((layer) => defOf(layer).type === 'optional')
  return [`\`${name}\``, description, given ? `\`${JSON.stringify(given.defaultValue)}\`` : isOptional ? '' : 'required']
}

function describeMeasure([name, { type, help, labels = [] }]: [string, Measure]): string[] {
  return [`\`${name}\``, type, labels.map((label) => `\`${label}\``).join(', '), help]
}

function table(head: string[], rows: string[][]): string {
  const line = (cells: string[]) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|').replaceAll('\n', ' ')).join(' | ')} |`
  return `${[line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n')}\n`
}
