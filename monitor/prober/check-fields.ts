import * as z from 'zod'
import { duration } from '../../shared/fields.ts'
import { visible } from '../../shared/visible.ts'
import { idFault } from '../sparkplug/topics.ts'
import { actionConfig } from './actions/config.ts'

/** Labels that Skerry or Prometheus itself sets on the series of checks. */
export const reservedLabels: readonly string[] = [
  'check',
  'kind',
  'target',
  'severity',
  'state',
  'reason',
  'le',
  'quantile',
  'job',
  'instance',
]

const labelName = z
  .string()
  .max(100)
  .regex(/^[a-zA-Z_][a-zA-Z0-9_]*$/, 'must be letters, digits and underscores, and not begin with a digit')
  .refine((name) => !name.startsWith('__'), 'must not begin with two underscores, which are reserved for Prometheus')
  .refine((name) => !reservedLabels.includes(name), `must not be one of ${reservedLabels.join(', ')}`)

const labels = z.record(labelName, z.string().max(200)).refine((all) => Object.keys(all).length <= 20, 'must have at most 20 fields')

/**
 * The name of a check: the label `check`, and part of the names of its Sparkplug metrics. Names come from people and from other tools: whatever
 * can be seen is allowed, and each place that shows a name escapes it by its own rules.
 */
const checkName = z
  .string()
  .min(1)
  .max(150)
  .regex(
    /^(?! )[\p{L}\p{M}\p{N}\p{P}\p{S} ]*(?<! )$/u,
    'must be letters, digits, signs and blanks, on one line and without a blank at its ends',
  )
  .refine((name) => visible(name) === name, 'must not contain invisible characters')

const group = z.string().superRefine((text, context) => {
  const fault =
    idFault(text) ?? (/ \(part \d+\)$/.test(text) ? 'must not end with "(part N)": so are the devices of a large group named' : undefined)
  if (fault !== undefined) context.addIssue({ code: 'custom', message: fault })
})

const interval = () => duration({ min: '1s', max: '7d' }).describe('Time from the start of a run to the start of the next')
const timeout = () => duration({ min: '10ms', max: '10m' }).describe('Time limit of a run; at most the interval')
const responseLimit = (state: string) => duration({ min: '1ms', max: '10m' }).describe(`A run that takes at least this long is ${state}`)
const retries = () => z.int().min(0).max(100).describe('How often a failed run is repeated before the check is down')
const retryDelay = () => duration({ max: '1h' }).describe('Pause before a failed run is repeated')
const recoveryDelay = () => duration({ max: '1d' }).describe('How long a check that was down must be up before it counts as recovered')
const severity = () =>
  z.enum(['info', 'warning', 'critical']).describe('How bad it is when the check is not up; a label, for routing alerts')

/** The defaults of all checks. */
export const defaultFields = z.strictObject({
  interval: interval().prefault('30s'),
  timeout: timeout().prefault('10s'),
  retries: retries().default(2),
  retryDelay: retryDelay().prefault('1s'),
  recoveryDelay: recoveryDelay().prefault('0s'),
  severity: severity().default('warning'),
  group: group.default('checks').describe('Sparkplug device that publishes the check'),
  labels: labels.default({}).describe("Labels of the series of every check; a check's own labels are added"),
})

/** The fields of every check, besides the options of its kind. The defaults apply to those that are left out. */
export const checkFields = z.strictObject({
  name: checkName.describe('Unique name; the label check'),
  kind: z.string().describe('Kind of check'),
  interval: interval().optional(),
  timeout: timeout().optional(),
  degradedAfter: responseLimit('degraded').optional(),
  downAfter: responseLimit('down').optional(),
  retries: retries().optional(),
  retryDelay: retryDelay().optional(),
  recoveryDelay: recoveryDelay().optional(),
  severity: severity().optional(),
  group: group.optional().describe('Sparkplug device that publishes the check'),
  labels: labels.default({}).describe('Labels of its series, besides check, kind, target and severity'),
  dependsOn: z.array(checkName).max(50).default([]).describe('Names of other checks. While one of them is down, this check is unknown'),
  actions: z.array(actionConfig).max(10).default([]).describe('Actions to take when the check goes down; allowActions must be true'),
})

/** The fields of the file. The checks themselves are parsed one by one, each with the schema of its kind. */
export const fileFields = z.strictObject({
  defaults: defaultFields.prefault({}).describe('Defaults of all checks'),
  allowActions: z
    .boolean()
    .optional()
    .describe('Whether the actions of checks are taken. Required where a check has actions; false turns all of them off'),
  checks: z.array(z.unknown()).max(10_000).default([]).describe('The checks'),
})
