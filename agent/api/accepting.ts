import canonicalize from 'canonicalize'
import * as z from 'zod'
import { Problem } from '../../shared/errors.ts'
import type { Cluster } from '../../shared/kubernetes/connection.ts'
import { type Actions, flag } from '../operations/actions/action.ts'
import type { Credential, Proposed } from '../operations/deciding/decision.ts'
import { dryRunOf } from '../operations/deciding/plan.ts'
import type { Journal } from '../operations/journal.ts'
import type { Step, Target } from '../resources/kind.ts'
import { hasEnded, type Operation, phaseOf } from '../resources/operation.ts'
import { type ApiContext, type Input, json, type ResponseDoc, type ResponseHeaders } from './http.ts'
import { hearOf, mustKnow } from './ledger-at.ts'
import { type OperationSchemas, representOperation } from './representations/operation.ts'
import type { Prepared } from './representations/prepared.ts'

export type AcceptingParts = { actions: Actions; schemas: OperationSchemas; journal: Journal; cluster: Cluster }

/** The parameter of every request that changes something. */
export const dryRunQuery = { dryRun: flag('Shows the plan, checked by the API server, and changes nothing', false) }

const plannedObject = z.object({
  kind: z.string().meta({ example: 'CrateDB' }),
  namespace: z.string().optional().meta({ example: 'project-harbour' }),
  name: z.string().meta({ example: 'tidal-gauge' }),
  change: z.enum(['create', 'change', 'none', 'delete']).meta({ example: 'change' }),
  diff: z
    .array(
      z.object({
        path: z.string().describe('A JSON pointer into the object').meta({ example: '/spec/nodes/data/0/replicas' }),
        from: z.unknown().optional().describe('The present value; missing where there is none').meta({ example: 3 }),
        to: z.unknown().optional().describe('The value afterwards; missing where there is none').meta({ example: 5 }),
        setBy: z
          .array(z.string())
          .optional()
          .describe('The field managers that have set the present value, such as kubectl-patch; missing where that was Skerry')
          .meta({ example: ['kubectl-patch'] }),
      }),
    )
    .describe('Differences from the step before; secrets are masked'),
})

/** The answer to `dryRun=true`. */
export const planSchema = z
  .object({
    dryRun: z.literal(true),
    steps: z
      .array(
        z.object({
          name: z.string().meta({ example: 'scale' }),
          consequences: z
            .array(z.string())
            .describe('What it means for users of the resource')
            .meta({ example: ['Two nodes join; shards move to them while queries go on.'] }),
          objects: z.array(plannedObject),
        }),
      )
      .describe('Done one after the other; empty when there is nothing to do'),
  })
  .meta({ id: 'Plan', description: 'What a request would do.' })

/**
 * The answers to every request that becomes an operation.
 * @param unchanged the resource, if there may be nothing to do
 * @param shown what a dry run tells besides the steps
 * @param example members of the operation in the example
 */
export function acceptingResponses(
  { accepted }: OperationSchemas,
  {
    unchanged,
    shown,
    example,
  }: { unchanged?: z.ZodType | undefined; shown?: z.ZodRawShape | undefined; example: { action: string; target: object } },
): Record<number, ResponseDoc> {
  const plan = shown ? planSchema.extend(shown).meta({ id: undefined, description: 'What a request would do.' }) : planSchema
  const done = 'With `Prefer: wait`: the operation, which has succeeded. With `dryRun=true`: the plan.'
  return {
    200: {
      description: unchanged ? `There was nothing to do: the present resource. ${done}` : done,
      schema: z.union([...(unchanged ? [unchanged] : []), plan, accepted]),
      headers: operationHeaders,
    },
    202: {
      description:
        'Durably accepted: the present state of the operation. With `Prefer: wait` it may have ended without success: see its phase.',
      schema: accepted,
      headers: operationHeaders,
      example,
    },
  }
}

/** Headers of the answers about an operation. */
export const operationHeaders = {
  Location: 'Where the operation is.',
  'Retry-After': 'When to ask for it again, in seconds; missing when it has ended.',
  'Preference-Applied': 'That the answer was delayed until the end of the operation.',
}

/** After how many seconds a client should ask again. */
const retryAfterSeconds = 2

/**
 * Lets the journal decide on a request, and answers with the outcome: 202 and the operation; 200 and the resource if there was nothing to do;
 * 200 and the plan for a dry run. With `Prefer: wait` the answer is delayed until the end, and is 200 only after success. So 200 always means
 * that the requested state is reached.
 *
 * @param resource returns the present resource, for an answer if there is nothing to do
 * @param shown returns what a dry run answers, if that is more than the steps of the plan
 * @throws Problem whatever refuses the request
 */
export async function carryOut(
  c: ApiContext,
  { query, body, idempotencyKey, ledgerAt, waitSeconds }: Input<unknown, { dryRun: boolean }>,
  { journal, cluster }: AcceptingParts,
  { action, target, decide: decideNow, resource, shown }: Request,
): Promise<Response> {
  const decide = () => {
    mustKnow(journal, target, ledgerAt)
    return decideNow()
  }
  if (query.dryRun) await hearOf(journal, ledgerAt)
  if (query.dryRun) {
    const { plan, ...rest } = shown?.() ?? { plan: decide()?.plan ?? [] }
    return json(c, 200, { dryRun: true, steps: await dryRunOf(cluster, plan), ...rest })
  }
  let credentials: Credential[] = []
  const accepted = await journal.accept({
    target,
    requestedBy: c.get('identity').name,
    formerly: c.get('identity').unqualified,
    requestId: c.get('requestId'),
    idempotencyKey,
    canonical: canonicalize({ method: c.req.method, path: c.req.path, query, body: body ?? null }) ?? '',
    decide() {
      const proposed = decide()
      credentials = proposed?.credentials ?? []
      return proposed && { action, target, tryOut: [], ...proposed }
    },
  })
  if (accepted.outcome === 'unchanged') return unchanged(c, resource?.())
  const { operation, outcome } = accepted
  c.set('operation', operation.metadata.name)
  const now = waitSeconds === undefined ? operation : await whenEnded(c, journal, operation, waitSeconds)
  const told = {
    ...representOperation(now),
    ...(outcome === 'accepted' && credentials.length > 0 && { credentials }),
    ...(outcome === 'repeated' && { note: repeatedNote }),
  }
  return json(c, phaseOf(now) === 'Succeeded' ? 200 : 202, told, headersOf(now, waitSeconds))
}

type Request = {
  action: string
  target: Target
  decide: () => Proposed | undefined
  resource: (() => Prepared | undefined) | undefined
  shown: (() => { plan: Step[] } & Record<string, unknown>) | undefined
}

const repeatedNote =
  'This request was accepted before, as this operation; it is not done again. Passwords that were generated then are not returned a second time: actions/rotate-password makes new ones.'

/** The answer with an operation, after a wait or a cancellation. */
export function operationAnswer(c: ApiContext, operation: Operation, waitSeconds: number | undefined, body: unknown): Response {
  return json(c, hasEnded(operation) ? 200 : 202, body, headersOf(operation, waitSeconds))
}

/** After how many seconds of a wait the caller's credential is checked again. */
const recheckSeconds = 30

/**
 * The operation once it has ended, or its state when the time is up, the caller has disconnected or lost its credential, or the agent stops.
 */
export async function whenEnded(c: ApiContext, journal: Journal, { metadata }: Operation, waitSeconds: number): Promise<Operation> {
  const signals = [c.req.raw.signal, c.env?.stopping].filter((signal) => signal !== undefined)
  const signal = AbortSignal.any(signals)
  for (let left = waitSeconds; ; left -= recheckSeconds) {
    const now = await journal.whenEnded(metadata.name, Math.min(left, recheckSeconds) * 1000, signal)
    if (hasEnded(now) || left <= recheckSeconds || signal.aborted || !(await c.get('isStillAllowed')())) return now
  }
}

function headersOf(operation: Operation, waitSeconds: number | undefined): ResponseHeaders {
  return {
    location: `/v1/operations/${operation.metadata.name}`,
    'cache-control': 'no-store',
    ...(!hasEnded(operation) && { 'retry-after': String(retryAfterSeconds) }),
    ...(waitSeconds !== undefined && { 'preference-applied': `wait=${waitSeconds}` }),
  }
}

function unchanged(c: ApiContext, resource: Prepared | undefined): Response {
  if (!resource) throw new Problem('conflict', 'The resource disappeared during the decision.')
  return json(c, 200, resource.bytes, { etag: resource.etag })
}
