import * as z from 'zod'
import { Problem } from '../../shared/errors.ts'
import type { Journal } from '../operations/journal.ts'
import { databaseId, projectId } from '../resources/identifiers.ts'
import { describeTarget, isKnownKind, type Target, targetKinds } from '../resources/kind.ts'
import { type Operation, phaseOf, phases, sequenceOf } from '../resources/operation.ts'
import { operationAnswer, operationHeaders, whenEnded } from './accepting.ts'
import type { EventSource } from './events/index.ts'
import { json, nextLink, pageOf, pageQuery, type Route, requireScope, route, type Scope } from './http.ts'
import { linkHeader, listOf } from './projects.ts'
import { type OperationSchemas, prepareOperation } from './representations/operation.ts'
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

const ledgerSchema = z
  .object({
    oldest: z.int().nullable().describe('Place of the oldest entry that is kept'),
    newest: z.int().nullable().describe('Place of the newest entry'),
    hash: z.string().nullable().describe('Its hash'),
  })
  .describe('The part of the ledger that is kept')

/** Operations: accepted requests, and how far they have come. */
export const operations: Resource = {
  open({ caches, journal, schemas }) {
    const subscribe: EventSource['subscribe'] = (listener) =>
      caches.operations.subscribe(({ type, object }) =>
        listener({
          type,
          project: object.spec.target.project,
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
      summary: 'Lists operations, the newest first',
      description:
        'With `since=N` it is the ledger: what came after N, in order, without gaps, each entry chained to the one before by its hash. After an outage nothing is missed; entries that are no longer kept are answered with 410, which names the oldest one.',
      scope: 'region:read',
      problems: ['gone'],
      query,
      responses: () => ({ 200: { description: 'A page of operations.', schema: listSchema, headers: linkHeader } }),
      handle(c, { query }) {
        const all = journal.all()
        const ledger = ledgerOf(all)
        const chosen = all.filter(filterOf(query))
        const page =
          query.since === undefined
            ? pageOf(chosen.reverse(), backwards, query, 'operations')
            : pageOf(since(chosen, query.since, ledger.oldest), ({ metadata }) => metadata.name, query, 'ledger')
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
      problems: ['gone'],
      params,
      responses: () => ({ 200: { description: 'The operation.', schema: schemas.operation } }),
      handle: async (c, { params }) => json(c, 200, prepareOperation(await operationOf(journal, params.operation)).bytes),
    }),
    route({
      method: 'DELETE',
      path: '/operations/{operation}',
      operationId: 'cancelOperation',
      tag: 'Operations',
      summary: 'Cancels an operation',
      description:
        'The current step continues in the cluster, and no further step begins. Needs `projects:write` for one about a project and `databases:write` for one about a database.',
      scope: 'region:read',
      problems: ['ended', 'gone', 'unknown-action'],
      params,
      responses: () => ({
        200: { description: 'With `Prefer: wait`: it has ended.', schema: schemas.operation, headers: operationHeaders },
        202: { description: 'Its cancellation was requested.', schema: schemas.operation, headers: operationHeaders },
      }),
      async handle(c, { params, waitSeconds }) {
        const { spec, metadata } = await operationOf(journal, params.operation)
        requireScope(c, scopeOf(spec.target))
        c.set('operation', metadata.name)
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

async function operationOf(journal: Journal, id: string): Promise<Operation> {
  const operation = await journal.find(id)
  if (operation) return operation
  const oldest = ledgerOf(journal.all()).oldest
  const sequence = sequenceOf(id)
  if (oldest !== null && sequence > 0 && sequence < oldest) throw noLongerKept(oldest)
  throw new Problem('not-found', `There is no operation ${id}.`)
}

function ledgerOf(all: Operation[]): z.input<typeof ledgerSchema> {
  const newest = all.at(-1)?.spec
  return { oldest: all[0]?.spec.sequence ?? null, newest: newest?.sequence ?? null, hash: newest?.hash ?? null }
}

/** A key that increases from the newest to the oldest operation. */
function backwards({ spec }: Operation): string {
  return String(1e15 - spec.sequence).padStart(16, '0')
}

function since(operations: Operation[], sequence: number, oldest: number | null): Operation[] {
  if (oldest !== null && sequence + 1 < oldest) throw noLongerKept(oldest)
  return operations.filter(({ spec }) => spec.sequence > sequence)
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
      (project === undefined || target.project === project) &&
      (database === undefined || (target.kind === 'database' && target.database === database))
    )
  }
}
