import * as z from 'zod'
import { Problem } from '../../shared/errors.ts'
import type { Journal } from '../operations/journal.ts'
import { databaseId, projectId } from '../resources/identifiers.ts'
import { describeTarget, isKnownKind, projectOfTarget, type Target, targetKinds } from '../resources/kind.ts'
import { type Operation, phaseOf, phases, sequenceOf } from '../resources/operation.ts'
import { operationAnswer, operationHeaders, whenEnded } from './accepting.ts'
import type { EventSource } from './events/index.ts'
import { type ApiContext, json, nextLink, pageOf, pageQuery, type Route, requireScope, route, type Scope, sees } from './http.ts'
import { hearOf, mustKnow } from './ledger-at.ts'
import { linkHeader, listOf } from './projects.ts'
import { exampleHash, type OperationSchemas, prepareOperation } from './representations/operation.ts'
import { composePage } from './representations/prepared.ts'
import type { Resource } from './resource.ts'

const params = z.strictObject({
  operation: z
    .string()
    .regex(/^op-\d{10,16}$/, 'must be the id of an operation, such as "op-0000000042"')
    .describe('Id of the operation')
    .meta({ example: 'op-0000000042' }),
})

const query = z.strictObject({
  ...pageQuery,
  phase: z
    .string()
    .transform((text) => text.split(','))
    .pipe(z.array(z.enum(phases)))
    .optional()
    .describe('Only those in one of these phases, separated by commas')
    .meta({ override: { type: 'string' }, example: 'Accepted,Applying,Waiting' }),
  project: projectId.optional().describe('Only those about this project or a database in it'),
  database: databaseId.optional().describe('Only those about databases of this id'),
  since: z
    .string()
    .regex(/^\d{1,16}$/, 'must be a whole number')
    .transform(Number)
    .optional()
    .describe('Only those after this place in the ledger, and in its order')
    .meta({ override: { type: 'integer', minimum: 0 } }),
})

const holeSchema = z
  .object({
    from: z.int().describe('The first missing entry').meta({ example: 17 }),
    to: z.int().describe('The last missing entry').meta({ example: 17 }),
    previousHash: z
      .string()
      .nullable()
      .describe('Hash of the entry before them; null if it is unknown')
      .meta({ example: exampleHash('c3') }),
    hash: z
      .string()
      .nullable()
      .describe('Hash of the last missing entry, which the next one is chained to; null if it is unknown')
      .meta({ example: exampleHash('c4') }),
    missing: z
      .int()
      .describe(
        'How many entries are missing. Usually all from `from` to `to`; beyond 100 holes, the oldest are merged into one, which spans entries that are kept',
      )
      .meta({ example: 1 }),
    noticedAt: z.iso.datetime().nullable().describe('When the leading agent noticed it; null until then. Of merged holes, the latest'),
  })
  .meta({ id: 'LedgerHole', description: 'Missing entries of the ledger.' })

const ledgerSchema = z
  .object({
    oldest: z.int().nullable().describe('Place of the oldest entry that is kept').meta({ example: 1 }),
    newest: z.int().nullable().describe('Place of the newest entry').meta({ example: 42 }),
    hash: z
      .string()
      .nullable()
      .describe('Its hash')
      .meta({ example: exampleHash('d1') }),
    holes: z
      .array(holeSchema)
      .describe('Entries that would still be kept, but were deleted without the agent, such as with kubectl')
      .meta({ example: [] }),
  })
  .describe('The part of the ledger that is kept')

/** Operations: accepted requests, and how far they have come. */
export const operations: Resource = {
  open({ caches, journal, schemas }) {
    const subscribe: EventSource['subscribe'] = (listener) =>
      caches.operations.subscribe(({ type, object }) =>
        listener({
          type,
          project: projectOfTarget(object.spec.target),
          id: object.metadata.name,
          ...(type !== 'removed' && { show: () => prepareOperation(object).bytes }),
        }),
      )
    return { routes: operationRoutes(journal, schemas), events: [{ kind: 'operation', subscribe }] }
  },
}

/** The routes of operations: they translate HTTP, and nothing else. */
function operationRoutes(journal: Journal, schemas: OperationSchemas): Route[] {
  const listSchema = listOf(schemas.operation).extend({ ledger: ledgerSchema })
  return [
    route({
      method: 'GET',
      path: '/operations',
      operationId: 'listOperations',
      tag: 'Operations',
      tagDescription: 'Accepted requests, how far they have come, and the ledger of all of them.',
      summary: 'Lists operations, the newest first',
      description:
        'With `since=N` it is the ledger: what came after N, in order, without gaps, each entry chained to the one before by its hash. After an outage nothing is missed; entries that are no longer kept are answered with 410, which names the oldest one. Entries that somebody deleted without the agent are in `ledger.holes`. An identity that is bound to projects gets the entries of its projects; other numbers are missing.',
      scope: 'region:read',
      filtered: true,
      problems: ['gone'],
      query,
      responses: () => ({ 200: { description: 'A page of operations.', schema: listSchema, headers: linkHeader } }),
      handle(c, { query }) {
        const all = journal.all()
        const ledger = ledgerOf(journal)
        const isChosen = filterOf(query)
        const chosen = all.filter((operation) => sees(c, projectOfTarget(operation.spec.target)) && isChosen(operation))
        const page =
          query.since === undefined
            ? pageOf(chosen.reverse(), backwards, query, 'operations')
            : pageOf(since(chosen, query.since, ledger), ({ metadata }) => metadata.name, query, 'ledger')
        const bytes = composePage({ items: page.items.map(prepareOperation), next: page.next }, { ledger })
        return json(c, 200, bytes, page.next === undefined ? {} : { link: nextLink(c, page.next) })
      },
    }),
    route({
      method: 'GET',
      path: '/operations/{operation}',
      operationId: 'getOperation',
      tag: 'Operations',
      summary: 'An operation and how far it has come',
      scope: 'region:read',
      filtered: true,
      problems: ['gone'],
      params,
      responses: () => ({ 200: { description: 'The operation.', schema: schemas.operation } }),
      handle: async (c, { params }) => json(c, 200, prepareOperation(await operationOf(c, journal, params.operation)).bytes),
    }),
    route({
      method: 'DELETE',
      path: '/operations/{operation}',
      operationId: 'cancelOperation',
      tag: 'Operations',
      summary: 'Cancels an operation',
      description:
        'The current step continues in the cluster, unless the message of the operation says otherwise, and no further step begins. Needs `projects:write` for one about a project and `databases:write` for one about a database.',
      scope: 'region:read',
      filtered: true,
      problems: ['ended', 'gone', 'unknown-action'],
      comparesLedger: true,
      params,
      responses: () => ({
        200: { description: 'With `Prefer: wait`: it has ended.', schema: schemas.operation, headers: operationHeaders },
        202: { description: 'Its cancellation was requested.', schema: schemas.operation, headers: operationHeaders },
      }),
      async handle(c, { params, ledgerAt, waitSeconds }) {
        const { spec, metadata } = await operationOf(c, journal, params.operation)
        requireScope(c, scopeOf(spec.target))
        c.set('operation', metadata.name)
        await hearOf(journal, ledgerAt)
        mustKnow(journal, spec.target, ledgerAt)
        const cancelled = await journal.cancel(metadata.name, c.get('identity').name)
        const now = waitSeconds === undefined ? cancelled : await whenEnded(c, journal, cancelled, waitSeconds)
        return operationAnswer(c, now, waitSeconds, prepareOperation(now).bytes)
      },
    }),
  ]
}

/** @throws Problem for a kind of target whose scope this version does not know */
function scopeOf(target: Target): Scope {
  if (isKnownKind(target.kind)) return targetKinds[target.kind].scope
  throw new Problem('unknown-action', `This version of the agent does not know the kind of target of ${describeTarget(target)}.`)
}

/** @throws Problem the same for an operation that the identity must not see as for none */
async function operationOf(c: ApiContext, journal: Journal, id: string): Promise<Operation> {
  const operation = await journal.find(id)
  if (operation && sees(c, projectOfTarget(operation.spec.target))) return operation
  const ledger = ledgerOf(journal)
  const sequence = sequenceOf(id)
  const hole = ledger.holes.find(({ from, to }) => from <= sequence && sequence <= to)
  if (hole) throw new Problem('gone', `Somebody deleted operation ${id} without the agent.`, { extensions: { hole } })
  const first = firstTold(ledger)
  if (sequence > 0 && sequence < first) throw noLongerKept(first)
  throw new Problem('not-found', `There is no operation ${id}.`)
}

type Ledger = z.input<typeof ledgerSchema>

function ledgerOf(journal: Journal): Ledger {
  const { sequence, hash } = journal.head()
  const newest = sequence === 0 ? { newest: null, hash: null } : { newest: sequence, hash }
  return { oldest: journal.all()[0]?.spec.sequence ?? null, ...newest, holes: [...journal.holes()] }
}

/** A key that increases from the newest to the oldest operation. */
function backwards({ spec }: Operation): string {
  return String(1e15 - spec.sequence).padStart(16, '0')
}

/** @throws Problem `gone` if an entry after `sequence` was collected */
function since(operations: Operation[], sequence: number, ledger: Ledger): Operation[] {
  const from = firstTold(ledger)
  if (sequence + 1 < from) throw noLongerKept(from)
  return operations.filter(({ spec }) => spec.sequence > sequence)
}

/** The oldest entry that is kept, or that is told to be missing. Everything before it was collected. */
function firstTold({ oldest, newest, holes }: Ledger): number {
  let first = oldest ?? (newest ?? 0) + 1
  for (const { from, to } of holes.toReversed()) if (from < first && to >= first - 1) first = from
  return first
}

function noLongerKept(oldest: number): Problem {
  return new Problem('gone', `Operations are kept from ${oldest} on. Older changes are part of the resources: list those again.`, {
    extensions: { oldest },
  })
}

function filterOf({ phase, project, database }: z.output<typeof query>): (operation: Operation) => boolean {
  return (operation) => {
    const { target } = operation.spec
    return (
      (phase === undefined || phase.includes(phaseOf(operation))) &&
      (project === undefined || projectOfTarget(target) === project) &&
      (database === undefined || (target.kind === 'database' && target.database === database))
    )
  }
}
