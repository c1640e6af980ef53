import * as z from 'zod'
import { type Actions, actionNames } from '../../operations/actions/action.ts'
import { targetKinds } from '../../resources/kind.ts'
import { type Obstacle, type Operation, phaseOf, phases, plannedSteps } from '../../resources/operation.ts'
import type { Prepared } from './prepared.ts'

const moment = z.iso.datetime()

const cureSchema = z
  .object({
    effect: z
      .string()
      .describe('Its purpose and effect; of a destructive one also the loss')
      .meta({ example: 'Lets pods be placed on node-2 again.' }),
    command: z
      .string()
      .optional()
      .describe('A command to paste into a shell; missing where none does it')
      .meta({ example: 'kubectl uncordon node-2' }),
    destructive: z.boolean().describe('Whether something is lost for good'),
  })
  .meta({ id: 'Cure', description: 'One thing that somebody can do about an obstacle.' })

/** An obstacle as the API returns it. */
export const obstacleSchema = z
  .object({
    code: z.string().describe('One word for programs').meta({ example: 'PodUnschedulable' }),
    message: z.string().describe('The obstacle, in a sentence').meta({ example: 'No host has room for pod crate-data-hot-tidal-gauge-2.' }),
    evidence: z.string().describe('The object that shows it').meta({ example: 'Pod project-harbour/crate-data-hot-tidal-gauge-2' }),
    cure: z
      .string()
      .describe('All cures as one text for people, a line for each')
      .meta({ example: 'Lets pods be placed on node-2 again: kubectl uncordon node-2' }),
    cures: z.array(cureSchema).describe('The cures, the first proposal first; a destructive one never is'),
  })
  .meta({ id: 'Obstacle', description: 'Something that keeps a target from getting done.' })

/** A hash for the examples of the OpenAPI document, made of two digits. */
export const exampleHash = (digits: string) => `sha256:${digits.repeat(32)}`

/** These names, and others that a newer version may have accepted. */
const openEnum = (names: string[]) => z.union([z.enum(names), z.string().describe('A name that a newer version of the agent brought')])

const targetSchema = z.looseObject({
  kind: openEnum(Object.keys(targetKinds)).meta({ example: 'database' }),
  project: z.string().optional().meta({ example: 'harbour' }),
  database: z.string().optional().meta({ example: 'tidal-gauge' }),
})

const stepSchema = z.object({
  name: z.string().describe('The kind of change').meta({ example: 'scale' }),
  number: z.int().describe('Its place among the steps, from 1 on'),
  of: z.int().optional().describe('How many there will be, if all goes as planned'),
  startedAt: moment,
  message: z.string().optional().describe('The last message of the Crate Operator'),
})

/** The members of an operation's status that are returned unchanged. */
const progress = {
  reason: z.string().optional().describe('One word for programs'),
  message: z.string().optional().describe('A sentence for people'),
  startedAt: moment.optional(),
  endedAt: moment.optional(),
  deadline: moment.optional().describe('Until when it must have ended'),
  attempts: z.int().optional().describe('Attempts of the present step that failed in a way that may pass'),
  done: z
    .array(z.object({ name: z.string(), startedAt: moment, endedAt: moment, message: z.string().optional() }))
    .optional()
    .describe('The steps that were done'),
  cancelRequested: z.object({ by: z.string(), at: moment }).optional(),
  result: z.record(z.string(), z.unknown()).optional().describe('Its outcome, such as the volumes that a deletion left'),
}

/** The members that the hash of an entry of the ledger covers. */
function entryShape(actions: Actions) {
  return {
    sequence: z.int().min(1).describe('Place in the ledger, from 1 on without gaps').meta({ example: 42 }),
    previousHash: z
      .string()
      .describe('Hash of the entry before; `sha256:` and 64 zeros in the first')
      .meta({ example: exampleHash('4e') }),
    acceptedAt: moment,
    requestedBy: z.string().describe('The identity that asked').meta({ example: 'cloud' }),
    requestId: z.string().meta({ example: '3f6d2c9a-5b1e-4c7d-9a60-2f8e7d1c4b35' }),
    idempotencyKey: z.string().optional(),
    fingerprint: z
      .string()
      .describe('Keyed hash of the request')
      .meta({ example: `hmac-${exampleHash('b7')}` }),
    action: openEnum(actionNames(actions)),
    target: targetSchema,
    wanted: z.record(z.string(), z.unknown()).optional().describe('The requested state, without secrets'),
    parameters: z.record(z.string(), z.unknown()).optional().describe('Further arguments of the action'),
    secretName: z.string().optional().describe('The Secret that holds the secrets of the request until they are applied'),
    timeoutSeconds: z.int().describe('How long it may take from its start').meta({ example: 21_600 }),
  }
}

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

/** The schemas with the names of actions, made once for each table of actions. */
export function createOperationSchemas(actions: Actions) {
  const entry = entryShape(actions)
  const covered = Object.keys(entry).join(', ')
  /** The entry of the ledger, which never changes, and the progress. */
  const operation = z
    .object({
      id: z.string().meta({ example: 'op-0000000042' }),
      ...entry,
      hash: z
        .string()
        .describe(`\`sha256:\` and the SHA-256 of the canonical JSON (RFC 8785) of the present ones of these members: ${covered}`)
        .meta({ example: exampleHash('d1') }),
      planned: z
        .array(z.string())
        .optional()
        .describe('The steps that were planned at acceptance; missing where none were, and in entries of earlier versions')
        .meta({ example: ['allow-list', 'scale'] }),
      phase: z.enum(phases).describe('The last four are final'),
      ...progress,
      cure: z.string().optional().describe('What to do about it, if it failed or waits'),
      step: stepSchema.optional().describe('The step in hand'),
      blockers: z.array(obstacleSchema).optional().describe('The obstacles at the moment'),
    })
    .meta({ id: 'Operation', description: 'One accepted request and how far it has come.' })
  /** As its target shows it. */
  const summary = operation.pick(summaryMembers).meta({ id: 'OperationSummary', description: 'The operation that is under way, in short.' })
  /** The answer to its request. */
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

/** Obstacles as the API returns them. Those recorded by an earlier version have only the text of their cures. */
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

/** An operation as the API returns it. */
export function representOperation(operation: Operation): OperationDocument {
  const { spec, metadata, status } = operation
  // Without the executor's own notes.
  const told = Object.entries(status ?? {}).filter(([name]) => Object.hasOwn(progress, name))
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

/** By the object in the cache, which never changes, so that both are released together. */
const made = new WeakMap<Operation, Prepared>()

/** An operation as the API sends it, made once for each of its versions. */
export function prepareOperation(operation: Operation): Prepared {
  const known = made.get(operation)
  if (known) return known
  const { name, resourceVersion } = operation.metadata
  const bytes = Buffer.from(JSON.stringify(representOperation(operation)))
  const prepared = { id: name, bytes, etag: `"${resourceVersion}"` }
  made.set(operation, prepared)
  return prepared
}

/** An operation in short. */
export function summarizeOperation(operation: Operation): OperationSummary {
  const members = Object.entries(representOperation(operation)).filter(([name]) => Object.hasOwn(summaryMembers, name))
  return Object.fromEntries(members) as OperationSummary
}

/** The current step and its place, without the executor's own notes. */
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

/** How many steps are left, including the current one; undefined if the steps differ from the plan. */
function stepsLeft(operation: Operation): number | undefined {
  const { step, done = [] } = operation.status ?? {}
  const planned = plannedSteps(operation) ?? []
  const place = planned.indexOf(step?.name ?? '')
  return place !== -1 && done.every(({ name }) => planned.includes(name)) ? planned.length - place : undefined
}
