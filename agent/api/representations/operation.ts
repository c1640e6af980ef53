import * as z from 'zod'
import type { KubernetesObject } from '../../../shared/kubernetes/objects.ts'
import type { StoredDatabaseSpec } from '../../resources/database.ts'
import { planDatabase } from '../../resources/database-plan.ts'
import { actions, hasEnded, type Obstacle, type Operation, phaseOf, phases } from '../../resources/operation.ts'

const moment = z.iso.datetime().meta({ example: '2026-01-31T12:00:00.000Z' })

const cureSchema = z
  .object({
    effect: z.string().describe('What it is for and what it does; of a destructive one also what it loses'),
    command: z
      .string()
      .optional()
      .describe('What to paste into a shell; missing where no command does it')
      .meta({ example: 'kubectl uncordon node-2' }),
    destructive: z.boolean().describe('Whether something cannot be had again afterwards'),
  })
  .meta({ id: 'Cure', description: 'One thing that somebody can do about what stands in the way.' })

/** Something that stands in the way. */
export const obstacleSchema = z
  .object({
    code: z.string().describe('One word for programs').meta({ example: 'PodUnschedulable' }),
    message: z.string().describe('What is the matter'),
    evidence: z.string().describe('The object that shows it').meta({ example: 'Pod project-harbour/crate-data-hot-tidal-gauge-2' }),
    cure: z.string().describe('What to do, as one text for people: a line for each of the cures'),
    cures: z.array(cureSchema).describe('What to do, the first proposal first; a destructive one never is'),
  })
  .meta({ id: 'Obstacle', description: 'Something that keeps a thing from being done.' })

const targetSchema = z.object({
  kind: z.enum(['project', 'database']),
  project: z.string(),
  database: z.string().optional(),
})

const stepSchema = z.object({
  name: z.string().describe('What is being done').meta({ example: 'scale' }),
  number: z.int().describe('Its place among the steps, from 1 on'),
  of: z.int().optional().describe('How many there will be, as far as can be told'),
  startedAt: moment,
  message: z.string().optional().describe('What the Crate Operator said last'),
})

const actionSchema = z.enum(actions)

/** The members of an operation that are the entry of the ledger: what `hash` covers. */
export const ledgerMembers = [
  'sequence',
  'previousHash',
  'acceptedAt',
  'requestedBy',
  'requestId',
  'idempotencyKey',
  'fingerprint',
  'action',
  'target',
  'wanted',
  'parameters',
  'secretName',
  'timeoutSeconds',
] as const

/** An operation as the API gives it: the entry of the ledger, which never changes, and then how far it has come. */
export const operationSchema = z
  .object({
    id: z.string().meta({ example: 'op-0000000042' }),
    sequence: z.int().min(1).describe('Place in the ledger, from 1 on without gaps'),
    previousHash: z.string().describe('Hash of the entry before'),
    hash: z
      .string()
      .describe(
        `\`sha256:\` and the SHA-256 of the canonical JSON (RFC 8785) of those of these members that are there: ${ledgerMembers.join(', ')}`,
      ),
    acceptedAt: moment,
    requestedBy: z.string().describe('Who asked'),
    requestId: z.string(),
    idempotencyKey: z.string().optional(),
    fingerprint: z.string().describe('Keyed hash of the request'),
    action: actionSchema,
    target: targetSchema,
    wanted: z.record(z.string(), z.unknown()).optional().describe('The desired state that was asked for, without secrets'),
    parameters: z.record(z.string(), z.unknown()).optional().describe('What the action needs besides'),
    secretName: z.string().optional().describe('The Secret that keeps what must not stand here until it is applied'),
    timeoutSeconds: z.int().describe('How long it may take from its start'),
    phase: z.enum(phases).describe('The last four are the end of it'),
    reason: z.string().optional().describe('One word for programs'),
    message: z.string().optional().describe('A sentence for people'),
    cure: z.string().optional().describe('What to do about it, where it failed or waits'),
    startedAt: moment.optional(),
    endedAt: moment.optional(),
    deadline: moment.optional().describe('Until when it must have ended'),
    attempts: z.int().optional().describe('Attempts of the present step that failed in a way that may pass'),
    step: stepSchema.optional().describe('The step in hand'),
    done: z
      .array(z.object({ name: z.string(), startedAt: moment, endedAt: moment, message: z.string().optional() }))
      .optional()
      .describe('The steps that were done'),
    blockers: z.array(obstacleSchema).optional().describe('What stands in the way at the moment'),
    cancelRequested: z.object({ by: z.string(), at: moment }).optional(),
    result: z.record(z.string(), z.unknown()).optional().describe('What came of it, such as the volumes that a deletion left'),
  })
  .meta({ id: 'Operation', description: 'One accepted request and how far it has come.' })

/** An operation in short, as the resource that it is about shows it. */
export const operationSummarySchema = z
  .object({
    id: z.string().meta({ example: 'op-0000000042' }),
    action: actionSchema,
    phase: z.enum(phases),
    reason: z.string().optional(),
    message: z.string().optional(),
    cure: z.string().optional(),
    step: stepSchema.optional(),
    acceptedAt: moment,
    deadline: moment.optional(),
  })
  .meta({ id: 'OperationSummary', description: 'The operation that is under way, in short.' })

/** Why the last operation of a resource failed. */
export const failureSchema = z
  .object({ operation: z.string(), reason: z.string().optional(), message: z.string().optional(), cure: z.string().optional() })
  .meta({ id: 'Failure', description: 'Why the last operation failed, if it did.' })

/** What stands in the way as the API gives it: what was noted before there were cures has only the text. */
export function representObstacles(obstacles: (Omit<Obstacle, 'cures'> & Partial<Obstacle>)[] = []): z.input<typeof obstacleSchema>[] {
  return obstacles.map(({ cures = [], ...obstacle }) => ({ ...obstacle, cures }))
}

export function failureStatus({ metadata, status }: Operation): z.input<typeof failureSchema> {
  const { reason, message, action: cure } = status ?? {}
  return {
    operation: metadata.name,
    ...(reason !== undefined && { reason }),
    ...(message !== undefined && { message }),
    ...(cure !== undefined && { cure }),
  }
}

/** @param object the CrateDB of the operation's target, if there is one */
export function representOperation(operation: Operation, object?: KubernetesObject): z.input<typeof operationSchema> {
  const { spec, metadata, status } = operation
  const told = statusMembers.flatMap((name) => (status?.[name] === undefined ? [] : [[name, status[name]] as const]))
  const step = stepOf(operation, object)
  return {
    id: metadata.name,
    ...spec,
    phase: phaseOf(operation),
    ...Object.fromEntries(told),
    ...(status?.blockers && { blockers: representObstacles(status.blockers) }),
    ...(status?.action !== undefined && { cure: status.action }),
    ...(step && { step }),
  } as z.input<typeof operationSchema>
}

/** Members of a status that are told as they are. What the executor notes for itself is not among them. */
const statusMembers = [
  'reason',
  'message',
  'startedAt',
  'endedAt',
  'deadline',
  'attempts',
  'done',
  'blockers',
  'cancelRequested',
  'result',
] as const

export function summarizeOperation(operation: Operation, object?: KubernetesObject): z.input<typeof operationSummarySchema> {
  const { metadata, spec, status } = operation
  const { reason, message, action: cure, deadline } = status ?? {}
  const step = stepOf(operation, object)
  return {
    id: metadata.name,
    action: spec.action,
    phase: phaseOf(operation),
    ...(reason !== undefined && { reason }),
    ...(message !== undefined && { message }),
    ...(cure !== undefined && { cure }),
    ...(step && { step }),
    acceptedAt: spec.acceptedAt,
    ...(deadline !== undefined && { deadline }),
  }
}

/** The step in hand and its place; what the executor noted for itself stays inside. */
function stepOf(operation: Operation, object: KubernetesObject | undefined): z.input<typeof stepSchema> | undefined {
  const { step, done = [] } = operation.status ?? {}
  if (!step) return undefined
  const { name, startedAt, message } = step
  const left = stepsLeft(operation, object)
  return {
    name,
    number: done.length + 1,
    ...(left !== undefined && { of: done.length + left }),
    startedAt,
    ...(message !== undefined && { message }),
  }
}

/** How many steps are left, the one in hand included: planned from what there is now, as the executor does after each. */
function stepsLeft(operation: Operation, object: KubernetesObject | undefined): number | undefined {
  const { target, action, wanted } = operation.spec
  const inHand = operation.status?.step?.name
  if (target.kind !== 'database' || !['put', 'suspend', 'resume'].includes(action) || hasEnded(operation)) return undefined
  if (!object || inHand === 'create') return 1
  const planned = planDatabase(target, object, wanted as StoredDatabaseSpec, {}, { imageRegistry: '' })
  return planned[0]?.name === inHand ? planned.length : planned.length + 1
}
