import * as z from 'zod'
import { duration } from '../../shared/fields.ts'
import { idFault } from '../sparkplug/topics.ts'
import { actionConfig } from './actions/config.ts'

/** Labels that Skerry or Prometheus gives to series of checks itself. */
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
  .regex(/^[a-zA-Z_][a-zA-Z0-9_]*$/, 'must be letters, digits and underscores, without a digit in front')
  .refine((name) => !name.startsWith('__'), 'must not begin with two underscores, which Prometheus keeps for itself')
  .refine((name) => !reservedLabels.includes(name), `must be none of ${reservedLabels.join(', ')}`)

const labels = z.record(labelName, z.string().max(200)).refine((all) => Object.keys(all).length <= 20, 'must have at most 20 fields')

/** The name of a check, and of what it depends on: the label `check` and part of the name of a Sparkplug metric. */
const checkName = z
  .string()
  .max(150)
  .regex(
    /^[\p{L}\p{N}][\p{L}\p{N} ._:/@-]*$/u,
    'must begin with a letter or a digit, and have none but letters, digits, spaces and . _ : / @ -',
  )

const group = z.string().superRefine((text, context) => {
  const fault = idFault(text)
  if (fault !== undefined) context.addIssue({ code: 'custom', message: fault })
})

const interval = () => duration({ min: '1s', max: '7d' }).describe('From the start of one run to the start of the next')
const timeout = () => duration({ min: '10ms', max: '10m' }).describe('How long a run may take; at most the interval')
const retries = () => z.int().min(0).max(100).describe('How often a failed run is repeated before the check is down')
const retryDelay = () => duration({ max: '1h' }).describe('Pause before a failed run is repeated')
const recoveryDelay = () => duration({ max: '1d' }).describe('How long it must be up before it is called so after it was down')
const severity = () => z.enum(['info', 'warning', 'critical']).describe('How bad it is when it is not up; a label, for routing alerts')

/** What holds for every check that does not say otherwise. */
export const defaultFields = z.strictObject({
  interval: interval().prefault('30s'),
  timeout: timeout().prefault('10s'),
  retries: retries().default(2),
  retryDelay: retryDelay().prefault('1s'),
  recoveryDelay: recoveryDelay().prefault('0s'),
  severity: severity().default('warning'),
  group: group.default('checks').describe('The Sparkplug device that tells of it'),
  labels: labels.default({}).describe("Labels of its series; a check's own are added"),
})

/** What every check may have beside the options of its kind. What is left out is as the defaults say. */
export const checkFields = z.strictObject({
  name: checkName.describe('Unique, and the label check'),
  kind: z.string().describe('What is checked, and how'),
  interval: interval().optional(),
  timeout: timeout().optional(),
  retries: retries().optional(),
  retryDelay: retryDelay().optional(),
  recoveryDelay: recoveryDelay().optional(),
  severity: severity().optional(),
  group: group.optional().describe('The Sparkplug device that tells of it'),
  labels: labels.default({}).describe('Labels of its series besides check, kind, target and severity'),
  dependsOn: z.array(checkName).max(50).default([]).describe('Names of checks: while one of them is down, this one is unknown'),
  actions: z.array(actionConfig).max(10).default([]).describe('What is done when it goes down; needs allowActions'),
})

/** What stands beside the list of checks. The checks themselves are read one by one, each with the schema of its kind. */
export const fileFields = z.strictObject({
  defaults: defaultFields.prefault({}).describe('What holds for every check that does not say otherwise'),
  allowActions: z
    .boolean()
    .optional()
    .describe(
      'Whether the actions that checks name are taken. false keeps all of them off; an action in the file needs one of the two said',
    ),
  checks: z.array(z.unknown()).max(10_000).default([]).describe('The checks'),
})
