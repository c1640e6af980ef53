import * as z from 'zod'
import type { Clock } from '../../shared/clock.ts'
import { Problem } from '../../shared/errors.ts'
import type { Admission } from '../operations/admission/admission.ts'
import {
  admitDeleteDatabase,
  admitRestart,
  admitRestore,
  admitRotatePassword,
  noSuchDatabase,
} from '../operations/admission/database-actions.ts'
import { admitPatchDatabase, admitPutDatabase, admitSuspension } from '../operations/admission/databases.ts'
import { readPresentSecrets } from '../operations/admission/present-secrets.ts'
import { noSuchProject } from '../operations/admission/projects.ts'
import type { Obstacles } from '../region/obstacles/index.ts'
import { databaseSpec, type GivenDatabaseSpec, splitSecrets } from '../resources/database.ts'
import { restartBody, restoreBody, resumeBody, rotatePasswordBody, suspendBody } from '../resources/database-actions.ts'
import { databaseId, projectId } from '../resources/identifiers.ts'
import type { Target } from '../resources/kind.ts'
import { type AcceptingParts, acceptingResponses, carryOut, dryRunQuery } from './accepting.ts'
import { type ApiContext, checkPreconditions, type Input, json, nextLink, pageQuery, type Route, route } from './http.ts'
import { linkHeader, listOf, readResponses } from './projects.ts'
import { databaseSchema } from './representations/database.ts'
import type { DatabaseRepresentations, PreparedDatabase } from './representations/databases.ts'
import { prepare } from './representations/prepared.ts'

type DatabaseTarget = Extract<Target, { kind: 'database' }>
type Params = { project: string; database: string }

const projectParams = z.strictObject({ project: projectId.describe('Id of the project').meta({ example: 'harbour' }) })
const params = projectParams.extend({ database: databaseId.describe('Id of the database').meta({ example: 'tidal-gauge' }) })
const example = {
  version: '5.10.1',
  nodes: { count: 3, cpu: 2, memory: '4Gi', disk: { size: '64Gi', storageClass: 'crate-premium' } },
  users: [{ name: 'harbourmaster' }],
  allowedCIDRs: ['10.20.0.0/16'],
}

/** What a read shows beside the spec may come back with it, so that what was read can be edited and put. */
const body = databaseSpec.extend({
  id: databaseId.optional().describe('As in the path, if given').meta({ example: 'tidal-gauge' }),
  status: z.unknown().optional().describe('Ignored: what a read shows'),
})

/** Bodies of actions that have nothing to say may be left out. */
const optionalBody = <S extends z.ZodType>(schema: S) => schema.optional()

export type DatabaseRouteParts = AcceptingParts & {
  databases: DatabaseRepresentations
  obstacles: Pick<Obstacles, 'of'>
  clock: Clock
  /** The agent's own namespace. */
  namespace: string
}

/** The routes of databases: they translate HTTP, and nothing else. */
export function databaseRoutes(parts: DatabaseRouteParts): Route[] {
  return [...readRoutes(parts), ...writeRoutes(parts), ...actionRoutes(parts)]
}

const path = '/projects/{project}/databases/{database}'
const ofDatabase = { tag: 'Databases', params }

function readRoutes(parts: DatabaseRouteParts): Route[] {
  const { databases, accepted } = parts
  return [
    route({
      method: 'GET',
      path: '/projects/{project}/databases',
      operationId: 'listDatabases',
      tag: 'Databases',
      summary: 'Lists the databases of a project, by id',
      scope: 'region:read',
      params: projectParams,
      query: z.strictObject(pageQuery),
      responses: () => ({ 200: { description: 'A page of databases.', schema: listOf(databaseSchema), headers: linkHeader } }),
      handle(c, { params: { project }, query }) {
        if (!accepted.project(project) && databases.count(project) === 0) throw noSuchProject(project)
        const { bytes, next } = databases.page(project, query)
        return json(c, 200, bytes, next === undefined ? {} : { link: nextLink(c, next) })
      },
    }),
    route({
      ...ofDatabase,
      method: 'GET',
      path,
      operationId: 'getDatabase',
      summary: 'A database and how it is',
      scope: 'region:read',
      responses: () => readResponses({ description: 'The database.', schema: databaseSchema }),
      handle(c, { params: { project, database } }) {
        const found = databases.get(project, database)
        if (!found) throw accepted.project(project) ? noSuchDatabase(targetOf({ project, database })) : noSuchProject(project)
        if (found.unwell) return withObstacles(c, parts, found)
        return json(c, 200, found.bytes, { etag: found.etag })
      },
    }),
  ]
}

/** How long a read waits for what stands in the way, in milliseconds. */
const obstaclesMs = 3_000

/** A database that is not as it should be, while nothing is done about it: then what stands in the way is looked for now. */
async function withObstacles(c: ApiContext, parts: DatabaseRouteParts, { spec, status, bytes, etag }: PreparedDatabase): Promise<Response> {
  const { project, database } = c.req.param() as Params
  const enough = new AbortController()
  const looking = parts.obstacles.of(targetOf({ project, database }))
  const blockers = await Promise.race([looking, parts.clock.sleep(obstaclesMs, enough.signal)])
  enough.abort()
  if (!blockers?.length) return json(c, 200, bytes, { etag })
  const prepared = prepare(spec, { ...status, blockers })
  return json(c, 200, prepared.bytes, { etag: prepared.etag })
}

function writeRoutes(parts: DatabaseRouteParts): Route[] {
  return [
    route({
      ...ofDatabase,
      method: 'PUT',
      path,
      operationId: 'putDatabase',
      summary: 'Makes a database, or brings it to what is given',
      description:
        'Passwords that are left out at creation are generated, and given back once, in this answer. A request that holds several kinds of change is carried out one after the other.',
      scope: 'databases:write',
      query: z.strictObject(dryRunQuery),
      body,
      example,
      responses: () => acceptingResponses(databaseSchema),
      async handle(c, input) {
        const { status: _, ...rest } = input.body
        const given: GivenDatabaseSpec = { ...rest, id: rest.id ?? input.params.database }
        const request = requestOf(c, parts, input.params)
        const present = await presentSecretsFor(parts, request, Object.keys(splitSecrets(given).secrets).length > 0)
        return answer(c, { ...input, body: given }, parts, admitPutDatabase(parts, { ...request, ...present, given }))
      },
    }),
    route({
      ...ofDatabase,
      method: 'PATCH',
      path,
      operationId: 'patchDatabase',
      summary: 'Changes a database',
      description: 'The patch is merged into what was last accepted. Lists are replaced as a whole.',
      scope: 'databases:write',
      query: z.strictObject(dryRunQuery),
      patch: databaseSpec,
      example: { nodes: { count: 5 } },
      responses: () => acceptingResponses(databaseSchema),
      async handle(c, input) {
        const { status: _, ...patch } = input.body
        const request = requestOf(c, parts, input.params)
        const mayBringSecrets = ['users', 'backups', 'ssl'].some((field) => Object.hasOwn(patch, field))
        const present = await presentSecretsFor(parts, request, mayBringSecrets)
        return answer(c, input, parts, admitPatchDatabase(parts, { ...request, ...present, patch }))
      },
    }),
    route({
      ...ofDatabase,
      method: 'DELETE',
      path,
      operationId: 'deleteDatabase',
      summary: 'Deletes a database',
      description: 'Refused while it is protected. The operation names the volumes that were kept.',
      scope: 'databases:write',
      query: z.strictObject({
        ...dryRunQuery,
        retainVolumes: z
          .enum(['true', 'false'])
          .transform((text) => text === 'true')
          .optional()
          .describe('Whether its volumes are kept; as the database itself says if left out')
          .meta({ override: { type: 'boolean', enum: undefined } }),
      }),
      responses: () => acceptingResponses(),
      handle(c, input) {
        const { retainVolumes } = input.query
        return answer(c, input, parts, admitDeleteDatabase(parts, { ...requestOf(c, parts, input.params), retainVolumes }))
      },
    }),
  ]
}

function actionRoutes(parts: DatabaseRouteParts): Route[] {
  const action = { ...ofDatabase, method: 'POST' as const, scope: 'databases:write' as const, query: z.strictObject(dryRunQuery) }
  return [
    route({
      ...action,
      path: `${path}/actions/suspend`,
      operationId: 'suspendDatabase',
      summary: 'Stops all nodes; volumes and secrets stay',
      body: optionalBody(suspendBody),
      responses: () => acceptingResponses(databaseSchema),
      handle: (c, input) => answer(c, input, parts, admitSuspension(parts, { ...requestOf(c, parts, input.params), suspended: true })),
    }),
    route({
      ...action,
      path: `${path}/actions/resume`,
      operationId: 'resumeDatabase',
      summary: 'Starts the nodes of a suspended database again',
      body: optionalBody(resumeBody),
      responses: () => acceptingResponses(databaseSchema),
      handle: (c, input) => answer(c, input, parts, admitSuspension(parts, { ...requestOf(c, parts, input.params), suspended: false })),
    }),
    route({
      ...action,
      path: `${path}/actions/restart`,
      operationId: 'restartDatabase',
      summary: 'Restarts all nodes, one after the other',
      body: optionalBody(restartBody),
      responses: () => acceptingResponses(),
      handle: (c, input) => answer(c, input, parts, admitRestart(parts, requestOf(c, parts, input.params))),
    }),
    route({
      ...action,
      path: `${path}/actions/restore`,
      operationId: 'restoreDatabase',
      summary: 'Restores a snapshot into the database',
      body: restoreBody,
      example: { snapshot: '20260131120000', type: 'tables', tables: ['doc.readings'] },
      responses: () => acceptingResponses(),
      handle: (c, input) => answer(c, input, parts, admitRestore(parts, { ...requestOf(c, parts, input.params), given: input.body })),
    }),
    route({
      ...action,
      path: `${path}/actions/rotate-password`,
      operationId: 'rotatePassword',
      summary: 'Gives a user another password',
      description: 'Left out, the password is generated, and given back once, in this answer.',
      body: rotatePasswordBody,
      example: { user: 'harbourmaster' },
      responses: () => acceptingResponses(),
      handle(c, input) {
        const { user, password } = input.body
        return answer(c, input, parts, admitRotatePassword(parts, { ...requestOf(c, parts, input.params), user, password }))
      },
    }),
  ]
}

/** Whom a request is about, and for which version of it it is meant: judged whenever it is decided on. */
function requestOf(c: ApiContext, { databases }: DatabaseRouteParts, { project, database }: Params) {
  return {
    target: targetOf({ project, database }),
    guard: (present: unknown) => checkPreconditions(c, present === undefined ? undefined : databases.get(project, database)?.etag),
  }
}

function targetOf({ project, database }: Params): DatabaseTarget {
  return { kind: 'database', project, database }
}

/**
 * Read only where it matters: to compare with those that came, or to hand on those of a creation that has not happened yet. What is
 * decided by them is refused when another request brought others since.
 */
async function presentSecretsFor(parts: DatabaseRouteParts, { target, guard }: ReturnType<typeof requestOf>, brings: boolean) {
  const present = parts.accepted.database(target.project, target.database)
  if (!present || (present.object && !brings)) return { presentSecrets: undefined }
  const bringing = () => parts.journal.unended(target).flatMap(({ spec }) => (spec.wanted === undefined ? [] : (spec.secretName ?? [])))
  const known = new Set(bringing())
  return {
    presentSecrets: await readPresentSecrets(parts, target),
    guard(now: unknown) {
      guard(now)
      if (bringing().every((name) => known.has(name))) return
      throw new Problem('conflict', `Secrets of database ${target.database} were given by another request at the same moment.`)
    },
  }
}

function answer(
  c: ApiContext,
  input: Input<Params, { dryRun: boolean }>,
  parts: DatabaseRouteParts,
  admission: Admission,
): Promise<Response> {
  const { project, database } = input.params
  return carryOut(c, input, parts, {
    target: targetOf({ project, database }),
    admission,
    resource: () => parts.databases.get(project, database),
    object: () => parts.accepted.database(project, database)?.object,
  })
}
