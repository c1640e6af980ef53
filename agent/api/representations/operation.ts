import * as z from 'zod'
import { type Actions, actionNames } from '../../operations/actions/action.ts'
import { targetKinds } from '../../resources/kind.ts'
import { type Obstacle, type Operation, phaseOf, phases, plannedSteps } from '../../resources/operation.ts'

const moment = z.iso.datetime().meta({ example: '2026-01-31T12:00:00.000Z' })

const cureSchema = z
  .object({
    effect: z.string().describe('Its purpose and effect; of a destructive one also the loss'),
    command: z
      .string()
      .optional()
      .describe('A command to paste into a shell; missing where none does it')
      .meta({ example: 'kubectl uncordon node-2' }),
    destructive: z.boolean().describe('Whether something is lost for good'),
  })
  .meta({ id: 'Cure', description: 'One thing that somebody can do about an obstacle.' })

/** An obstacle as the API gives it. */
export const obstacleSchema = z
  .object({
    code: z.string().describe('One word for programs').meta({ example: 'PodUnschedulable' }),
    message: z.string().describe('The obstacle, in a sentence'),
    evidence: z.string().describe('The object that shows it').meta({ example: 'Pod project-harbour/crate-data-hot-tidal-gauge-2' }),
    cure: z.string().describe('All cures as one text for people, a line for each'),
    cures: z.array(cureSchema).describe('The cures, the first proposal first; a destructive one never is'),
  })
  .meta({ id: 'Obstacle', description: 'Something that keeps a target from getting done.' })

/** These names, and in what a newer version accepted perhaps others. */
const openEnum = (names: string[]) => z.union([z.enum(names), z.string().describe('A name that a newer version of the agent brought')])

const targetSchema = z.looseObject({
  kind: openEnum(Object.keys(targetKinds)),
  project: z.string(),
  database: z.string().optional(),
})

const stepSchema = z.object({
  name: z.string().describe('The kind of change').meta({ example: 'scale' }),
  number: z.int().describe('Its place among the steps, from 1 on'),
  of: z.int().optional().describe('How many there will be, if all goes as planned'),
  startedAt: moment,
  message: z.string().optional().describe('The last message of the Crate Operator'),
})

/** The members of an operation that are the entry of the ledger: what `hash` covers. */
const ledgerMembers = [
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

/** The members of an operation that its resource shows. */
const summaryMembers = {
  id: true,
  action: true,
  planned: true,
  phase: true,
  reason: true,
  message: true,
  cure: true,
  step: true,
  acceptedAt: true,
  deadline: true,
} as const

/** The schemas in which the names of actions stand, made once for a table of them. */
export function createOperationSchemas(actions: Actions) {
  const action = openEnum(actionNames(actions))
  /** The entry of the ledger, which never changes, and then how far it has come. */
  const operation = z
    .object({
      id: z.string().meta({ example: 'op-0000000042' }),
      sequence: z.int().min(1).describe('Place in the ledger, from 1 on without gaps'),
      previousHash: z.string().describe('Hash of the entry before; `sha256:` and 64 zeros in the first'),
      hash: z
        .string()
        .describe(
          `\`sha256:\` and the SHA-256 of the canonical JSON (RFC 8785) of those of these members that are there: ${ledgerMembers.join(', ')}`,
        ),
      acceptedAt: moment,
      requestedBy: z.string().describe('The identity that asked'),
      requestId: z.string(),
      idempotencyKey: z.string().optional(),
      fingerprint: z.string().describe('Keyed hash of the request'),
      action,
      target: targetSchema,
      planned: z
        .array(z.string())
        .optional()
        .describe(
          'The steps that were planned at acceptance; missing where none were, or where an earlier version of the agent accepted it',
        )
        .meta({ example: ['allow-list', 'scale'] }),
      wanted: z.record(z.string(), z.unknown()).optional().describe('The requested state, without secrets'),
      parameters: z.record(z.string(), z.unknown()).optional().describe('Further arguments of the action'),
      secretName: z.string().optional().describe('The Secret that holds the secrets of the request until they are applied'),
      timeoutSeconds: z.int().describe('How long it may take from its start'),
      phase: z.enum(phases).describe('The last four are the end of it'),
      reason: z.string().optional().describe('One word for programs'),
      message: z.string().optional().describe('A sentence for people'),
      cure: z.string().optional().describe('What to do about it, if it failed or waits'),
      startedAt: moment.optional(),
      endedAt: moment.optional(),
      deadline: moment.optional().describe('Until when it must have ended'),
      attempts: z.int().optional().describe('Attempts of the present step that failed in a way that may pass'),
      step: stepSchema.optional().describe('The step in hand'),
      done: z
        .array(z.object({ name: z.string(), startedAt: moment, endedAt: moment, message: z.string().optional() }))
        .optional()
        .describe('The steps that were done'),
      blockers: z.array(obstacleSchema).optional().describe('The obstacles at the moment'),
      cancelRequested: z.object({ by: z.string(), at: moment }).optional(),
      result: z.record(z.string(), z.unknown()).optional().describe('Its outcome, such as the volumes that a deletion left'),
    })
    .meta({ id: 'Operation', description: 'One accepted request and how far it has come.' })
  /** As the resource that it is about shows it. */
  const summary = operation.pick(summaryMembers).meta({ id: 'OperationSummary', description: 'The operation that is under way, in short.' })
  /** The answer to the request that it was. */
  const accepted = operation
    .extend({
      credentials: z
        .array(z.object({ user: z.string(), password: z.string() }))
        .optional()
        .describe('Passwords that were generated. They are returned here and never again'),
      note: z.string().optional().describe('A remark about this answer'),
    })
    .meta({ id: 'AcceptedOperation', description: 'The operation that a request became.' })
  return { operation, summary, accepted }
}

export type OperationSchemas = ReturnType<typeof createOperationSchemas>
type OperationDocument = z.input<OperationSchemas['operation']>
type OperationSummary = z.input<OperationSchemas['summary']>

/** Why the last operation of a resource failed. */
export const failureSchema = z
  .object({ operation: z.string(), reason: z.string().optional(), message: z.string().optional(), cure: z.string().optional() })
  .meta({ id: 'Failure', description: 'Why the last operation failed, if it did.' })

/** Obstacles as the API gives them: those noted by an earlier version have only the text of their cures. */
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

/** An operation as the API gives it. */
export function representOperation(operation: Operation): OperationDocument {
  const { spec, metadata, status } = operation
  const told = statusMembers.flatMap((name) => (status?.[name] === undefined ? [] : [[name, status[name]] as const]))
  const planned = plannedSteps(operation)
  const step = stepInHand(operation)
  return {
    id: metadata.name,
    ...spec,
    phase: phaseOf(operation),
    ...Object.fromEntries(told),
    ...(status?.blockers && { blockers: representObstacles(status.blockers) }),
    ...(status?.action !== undefined && { cure: status.action }),
    ...(planned && { planned }),
    ...(step && { step }),
  } as OperationDocument
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

/** An operation in short. */
export function summarizeOperation(operation: Operation): OperationSummary {
  const members = Object.entries(representOperation(operation)).filter(([name]) => name in summaryMembers)
  return Object.fromEntries(members) as OperationSummary
}

/** The step in hand and its place; what the executor noted for itself stays inside. */
function stepInHand(operation: Operation): OperationSummary['step'] {
  const { step, done = [] } = operation.status ?? {}
  if (!step) return undefined
  const { name, startedAt, message } = step
  const left = stepsLeft(operation)
  return {
    name,
    number: done.length + 1,
    ...(left !== undefined && { of: done.length + left }),
    startedAt,
    ...(message !== undefined && { message }),
  }
}

/** How many steps are left, including the step in hand; undefined where the work has other steps than the plan. */
function stepsLeft(operation: Operation): number | undefined {
  const { step, done = [] } = operation.status ?? {}
  const planned = plannedSteps(operation) ?? []
  const place = planned.indexOf(step?.name ?? '')
  return place !== -1 && done.every(({ name }) => planned.includes(name)) ? planned.length - place : undefined
}
