import { stringify } from 'yaml'
import type * as z from 'zod'
import { checkKinds } from '../../../monitor/checks/index.ts'
import type { CheckKind, Measure } from '../../../monitor/checks/kind.ts'
import { left, sayLeft } from '../../../monitor/probe/index.ts'
import { actionConfig } from '../../../monitor/prober/actions/config.ts'
import { checkFields, defaultFields } from '../../../monitor/prober/check-fields.ts'
import { reasons } from '../../../monitor/wire/reasons.ts'
import { core, defOf, layers, type Schema } from '../../../shared/schema.ts'

/** The page of checks: for each kind what it asks, its options with their defaults, an example, and what it measures. */
export const checksPage = { path: 'docs/checks.md', text: describeChecks }

function describeChecks(): string {
  const kinds = Object.entries<CheckKind>(checkKinds)
  return [
    '# Health checks\n\n`npm run render` makes this page from `monitor/checks/`.\n',
    kinds.map(([name]) => `- [${name}](#${name})`).join('\n'),
    describeFields(),
    describeActions(),
    '\n## Reasons\n\nWhy a check is not up: the values of the label `reason`.\n',
    table(
      ['reason', 'meaning'],
      Object.entries(reasons).map(([reason, text]) => [`\`${reason}\``, text]),
    ),
    ...kinds.map(([name, kind]) => describeKind(name, kind)),
    describeModules(),
  ].join('\n')
}

/** What blackbox_exporter has and the probers have not; `skerry-monitor modules` says the same of each module. */
function describeModules(): string {
  const effects = { refused: 'the module is refused', differs: 'the module works with a difference' }
  return [
    `\n## Modules of blackbox_exporter\n\n\`metrics.probe.modulesFile\` names a configuration of blackbox_exporter, whose modules are had as they are. What is left:\n`,
    table(
      ['in the module', 'what becomes of it', 'why, and what to do instead'],
      left.map((each) => [`\`${each.where}\``, effects[each.effect], sayLeft(each)]),
    ),
  ].join('\n')
}

/** The fields of every check, with the defaults that `defaults` of the file replaces. */
function describeFields(): string {
  const defaults = new Map(optionsOf(defaultFields).map(([name, schema]) => [name, describeOption([name, schema])[2]]))
  const rows = optionsOf(checkFields).map(([name, schema]) => {
    const [title = '', meaning = '', own = ''] = describeOption([name, schema])
    return [title, meaning, defaults.get(name) ?? own]
  })
  return `\n## Every check\n\nBesides the options of its kind, a check has these fields. \`defaults\` of the file replaces the defaults.\n\n${table(['field', 'meaning', 'default'], rows)}`
}

function describeActions(): string {
  const variants = (defOf(actionConfig).options ?? []) as Schema[]
  const sections = variants.map((variant) => {
    const [type, ...fields] = optionsOf(variant as z.ZodType)
    const literal = type === undefined ? '' : String(defOf(core(type[1])).values?.[0])
    return `### ${literal}\n\n${describeOption(type as [string, Schema])[1]}.\n\n${table(['field', 'meaning', 'default'], fields.map(describeOption))}`
  })
  return `\n## Actions\n\nWhat the monitor does when a check changes: entries of its \`actions\`, each with its \`type\`. The file must say \`allowActions: true\`.\n\n${sections.join('\n')}`
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
