import { stringify } from 'yaml'
import { shownConfig } from '../../shared/config/shown.ts'
import { textShown } from '../../shared/discretion.ts'
import { formatDuration } from '../../shared/fields.ts'
import { checkKindNamed } from '../checks/index.ts'
import { shownModule } from '../probe/index.ts'
import type { Check } from '../prober/check.ts'
import type { PageNeeds } from './needs.ts'

/** A check as it would be written in the file of checks, with every default, and without secrets. */
export function checkConfig({ options, intervalMs, timeoutMs, retryDelayMs, recoveryDelayMs, ...check }: Check): Record<string, unknown> {
  const { name, kind, retries, severity, group, labels, dependsOn, actions } = check
  return {
    name,
    kind,
    ...(shownConfig(checkKindNamed(kind)?.options, options) as object),
    interval: formatDuration(intervalMs),
    timeout: formatDuration(timeoutMs),
    retries,
    retryDelay: formatDuration(retryDelayMs),
    recoveryDelay: formatDuration(recoveryDelayMs),
    severity,
    group,
    labels,
    dependsOn,
    actions: actions.map(actionConfig),
  }
}

/** Durations of an action end in `Ms`, and have their unit in the file instead. */
function actionConfig(action: Check['actions'][number]): Record<string, unknown> {
  const shown = shownConfig(undefined, action) as Record<string, unknown>
  if (typeof shown.body === 'string') shown.body = textShown(shown.body)
  return Object.fromEntries(
    Object.entries(shown).map(([name, value]) =>
      name.endsWith('Ms') && typeof value === 'number' ? [name.slice(0, -2), formatDuration(value)] : [name, value],
    ),
  )
}

/** Plain data as YAML. */
export function yamlOf(value: unknown): string {
  return stringify(value, { lineWidth: 0, aliasDuplicateObjects: false })
}

/** The configuration in effect, in pieces: the file with its defaults, the checks, the modules of probes. It holds no secret. */
export function* configurationText({ configuration, prober, probes }: PageNeeds): Generator<string> {
  yield '# The configuration in effect, with every default. Secrets are left out.\n\n'
  if (configuration !== undefined) yield yamlOf({ config: configuration() })
  let isFirst = true
  for (const { check } of prober.statuses()) {
    if (isFirst) yield '\nchecks:\n'
    isFirst = false
    yield indented(yamlOf([checkConfig(check)]))
  }
  if (isFirst) yield '\nchecks: []\n'
  yield '\nmodules:\n'
  for (const [name, module] of probes.modules()) yield indented(yamlOf({ [name]: shownModule(module) }))
  const refused = probes.refusedModules()
  if (refused.length > 0) yield `\n${yamlOf({ refusedModules: Object.fromEntries(refused) })}`
}

function indented(text: string): string {
  return text.replace(/^(?=.)/gm, '  ')
}
