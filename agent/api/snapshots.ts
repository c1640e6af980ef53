import * as z from 'zod'
import type { Clock } from '../../shared/clock.ts'
import { isOurs, listSnapshots, readRepository, repositoryName, type Snapshot } from '../backups/statements.ts'
import type { AcceptedState } from '../operations/accepted.ts'
import { isSuspended, refusal } from '../operations/deciding/decision.ts'
import { noSuchDatabase, noSuchProject } from '../operations/deciding/present.ts'
import type { DatabaseSql } from '../region/sql.ts'
import { databaseId, projectId } from '../resources/identifiers.ts'
import { json, type Route, route } from './http.ts'
import type { Resource } from './resource.ts'

const moment = z.iso.datetime()

const snapshotSchema = z
  .object({
    name: z.string().meta({ example: 'skerry_20261130033000' }),
    ours: z.boolean().describe('Whether Skerry took it: only those are ever dropped').meta({ example: true }),
    state: z
      .string()
      .describe('IN_PROGRESS, SUCCESS, PARTIAL or FAILED. FAILED without times: CrateDB cannot read it at the moment')
      .meta({ example: 'SUCCESS' }),
    startedAt: moment.nullable().describe("By the database's clock. What was written later is not in it"),
    finishedAt: moment.nullable(),
    tables: z
      .array(z.string())
      .describe('At most 1,000 of them')
      .meta({ example: ['doc.readings'] }),
    failures: z.array(z.string()).describe('What was not copied, and why; at most 20, each at most 512 characters').meta({ example: [] }),
    reason: z.string().nullable().describe('Why all of it failed; since CrateDB 5.9.0').meta({ example: null }),
  })
  .meta({ id: 'Snapshot', description: 'A snapshot in the bucket of a database.' })

const listSchema = z
  .object({
    items: z.array(snapshotSchema).describe('The newest first; at most 100'),
    more: z.boolean().describe('Whether there are older ones').meta({ example: false }),
    place: z
      .object({ bucket: z.string(), basePath: z.string() })
      .nullable()
      .describe('Where they are, as CrateDB knows it; null before the first backup')
      .meta({ example: { bucket: 'harbour-snapshots', basePath: 'eu-north/harbour/tidal-gauge' } }),
    observedAt: moment.describe('When the database was asked'),
  })
  .meta({ id: 'SnapshotList', description: 'The snapshots of a database, as it lists them.' })

const params = z.strictObject({
  project: projectId.describe('Id of the project').meta({ example: 'harbour' }),
  database: databaseId.describe('Id of the database').meta({ example: 'tidal-gauge' }),
})

/** How long the database may take to answer, in milliseconds: it reads the list from the bucket. */
const answerMs = 15_000
const most = 100
/** A hundred snapshots of a thousand tables. */
const maxBytes = 8 * 1024 * 1024

/** The snapshots of databases, live: nothing of them is kept. */
export const snapshots: Resource = {
  open: ({ accepted, deciding, clock }) => ({ routes: [listRoute({ accepted, sql: deciding.sql, clock })] }),
}

function listRoute({ accepted, sql, clock }: { accepted: AcceptedState; sql: DatabaseSql; clock: Clock }): Route {
  return route({
    method: 'GET',
    path: '/projects/{project}/databases/{database}/snapshots',
    operationId: 'listSnapshots',
    tag: 'Databases',
    summary: 'Lists the snapshots in the bucket of a database, the newest first',
    description:
      'The database itself is asked, and reads its bucket. A bucket that it cannot read looks empty: CrateDB gives no error then. A backup says what is wrong.',
    scope: 'region:read',
    params,
    problems: ['wrong-state', 'database-unreachable', 'database-refused'],
    responses: () => ({ 200: { description: 'The snapshots.', schema: listSchema } }),
    async handle(c, { params: { project, database } }) {
      const present = accepted.database(project, database)
      if (!present) throw accepted.project(project) ? noSuchDatabase({ project, database }) : noSuchProject(project)
      if (!present.spec.snapshots) throw refusal('wrong-state', [{ path: '', message: notSetUp }])
      const [suspended] = isSuspended(present.spec)
      if (suspended) throw refusal('wrong-state', [suspended])
      const options = { timeoutMs: answerMs, maxBytes, signal: AbortSignal.any([c.req.raw.signal, AbortSignal.timeout(answerMs)]) }
      const repository = await readRepository(sql, { project, database }, options)
      const which = { repository: repositoryName }
      const found = repository ? await listSnapshots(sql, { project, database }, which, { most: most + 1, options }) : []
      return json(c, 200, {
        items: found.slice(0, most).map(shown),
        more: found.length > most,
        place: placeOf(repository?.settings),
        observedAt: new Date(clock.now()).toISOString(),
      })
    },
  })
}

const notSetUp = 'the database does not say where its backups go; patch it with "snapshots" first'

function placeOf(settings: unknown): z.output<typeof listSchema>['place'] {
  if (typeof settings !== 'object' || settings === null) return null
  const given = new Map<string, unknown>(Object.entries(settings))
  return { bucket: cut(String(given.get('bucket') ?? '')), basePath: cut(String(given.get('base_path') ?? '')) }
}

/** Whoever owns the database may write anything of any length. */
function cut(text: string): string {
  return text.slice(0, 512).toWellFormed()
}

function shown({ name, state, started, finished, tables, failures, reason }: Snapshot): z.output<typeof snapshotSchema> {
  const at = (ms: number | undefined) => (ms === undefined ? null : new Date(ms).toISOString())
  return {
    name: cut(name),
    ours: isOurs(name),
    state: cut(state),
    startedAt: at(started),
    finishedAt: at(finished),
    tables: tables.slice(0, 1_000).map(cut),
    failures: failures.slice(0, 20).map(cut),
    reason: reason === undefined ? null : cut(reason),
  }
}
