import { withoutSecrets } from '../../shared/without-secrets.ts'
import { DatabaseRefusal, type DatabaseSql, type SqlOptions } from '../region/sql.ts'
import { type StoredSnapshots, storeAddress } from '../resources/snapshots.ts'

/*
 * CrateDB's SQL about repositories and snapshots, for every release that the Crate Operator runs. Each fact is in
 * test/cluster/stand-ins/cratedb-facts.md, with its source.
 */

/** The repository of Skerry's own backups. */
export const repositoryName = 'skerry'

/** The keys of a bucket. */
export type BucketKeys = { accessKeyId: string; secretAccessKey: string }

/** A statement with its arguments. */
export type Statement = { stmt: string; args: unknown[]; secrets?: readonly string[] }

/** Where the repository of a database is. */
export type RepositoryPlace = StoredSnapshots['s3']

/**
 * The settings of the repository without its keys, as `sys.repositories` has them: texts.
 * @param version the release of CrateDB
 */
export function repositorySettings(place: RepositoryPlace, version: string): Record<string, string> {
  const { protocol, endpoint, region, pathStyle, hasPathStyle } = storeAddress(place, version)
  return {
    bucket: place.bucket,
    base_path: place.basePath ?? '',
    protocol,
    ...(endpoint !== undefined && { endpoint }),
    ...(region !== undefined && { region }),
    // Always told where it can be: its default changed with 6.3.0.
    ...(hasPathStyle && { use_path_style_access: String(pathStyle) }),
  }
}

/** The settings that Skerry decides on. Others, such as a limit of the rate, stay as somebody set them. */
const ownSettings = ['bucket', 'base_path', 'protocol', 'endpoint', 'region', 'use_path_style_access', 'readonly']

/** Whether a repository is the wanted one, as far as can be seen: its keys are masked. @param settings of `sys.repositories` */
export function hasSettings(settings: unknown, wanted: Record<string, string>): boolean {
  const present = new Map(Object.entries((settings ?? {}) as object).map(([name, value]) => [name, String(value)]))
  return ownSettings.every((name) => present.get(name) === wanted[name])
}

/**
 * Creates the repository. CrateDB verifies it: each node writes to the bucket. If one cannot, there is no repository afterwards.
 *
 * The values are arguments, not literals: a statement is in `sys.jobs` and `sys.jobs_log` as it was sent, and others may read these.
 */
export function createRepository(settings: Record<string, string>, { accessKeyId, secretAccessKey }: BucketKeys): Statement {
  const all = { ...settings, access_key: accessKeyId, secret_key: secretAccessKey }
  const properties = Object.keys(all).map((name) => `${name} = ?`)
  return {
    stmt: `CREATE REPOSITORY ${repositoryName} TYPE s3 WITH (${properties.join(', ')})`,
    args: Object.values(all),
    secrets: [accessKeyId, secretAccessKey],
  }
}

/** Forgets the repository. What is in the bucket stays. It is refused while a snapshot or a restore uses it. */
export const dropRepository: Statement = { stmt: `DROP REPOSITORY ${repositoryName}`, args: [] }

/** @throws TypeError for a name that Skerry did not make: it becomes part of statements, and `*` would match every snapshot */
function quoted(snapshot: string): string {
  if (!isOurs(snapshot)) throw new TypeError(`${snapshot} is not the name of a snapshot of Skerry`)
  return `${repositoryName}.${snapshot}`
}

/** Begins a snapshot of all tables and of the metadata. It goes on after the answer. */
export function createSnapshot(name: string): Statement {
  return { stmt: `CREATE SNAPSHOT ${quoted(name)} ALL WITH (wait_for_completion = false, ignore_unavailable = false)`, args: [] }
}

/** Deletes a snapshot; one that is being taken is aborted first. It answers when the files are gone. */
export function dropSnapshot(name: string): Statement {
  return { stmt: `DROP SNAPSHOT ${quoted(name)}`, args: [] }
}

const ownName = /^skerry_\d{14}$/

/** Whether a snapshot in the repository is one of Skerry's. */
export function isOurs(name: string): boolean {
  return ownName.test(name)
}

/**
 * The name of the next snapshot: `skerry_20261130033000`, later than each present one, whatever the clock says. So the order of the names is that
 * in which they were taken.
 * @param now Unix milliseconds @param present the names of all snapshots in the repository
 */
export function nextName(now: number, present: readonly string[]): string {
  const latest = present.filter(isOurs).sort().at(-1)
  const wanted = nameAt(now)
  return latest === undefined || wanted > latest ? wanted : nameAt(momentOf(latest) + 1_000)
}

function nameAt(at: number): string {
  return `${repositoryName}_${new Date(at).toISOString().replaceAll(/[-:T]/g, '').slice(0, 14)}`
}

/** When the snapshot with this name was begun, in Unix milliseconds. */
function momentOf(name: string): number {
  const [, year, month, day, hour, minute, second] = /_(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)$/.exec(name) ?? []
  return Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`)
}

/** CrateDB's numbers of errors, the same in all releases since 4.5 (io.crate.rest.action.HttpErrorStatus). */
export const crateErrors = {
  columnUnknown: 4043,
  repositoryUnknown: 4047,
  snapshotUnknown: 4048,
  repositoryExists: 4095,
  /** Also of a name that is invalid, which ours never is. */
  snapshotExists: 4096,
} as const

/** Whether CrateDB refused a statement with this error. */
export function isRefusal(error: unknown, code: number): error is DatabaseRefusal {
  return error instanceof DatabaseRefusal && error.code === code
}

/** Whether CrateDB refused because another snapshot is being taken or deleted. It has no number of its own, and passes. */
export function isConcurrent(error: unknown): error is DatabaseRefusal {
  return error instanceof DatabaseRefusal && error.said.startsWith('ConcurrentSnapshotExecutionException')
}

/** Whether CrateDB refused because of what passes by itself: no master at the moment, too many requests, shards that are being started. */
export function isPassing(error: unknown): error is DatabaseRefusal {
  return error instanceof DatabaseRefusal && error.code !== undefined && (Math.floor(error.code / 10) === 503 || error.code === 4290)
}

/** Whether CrateDB refused because a snapshot or a restore uses the repository. It has no number of its own, and passes. */
export function isInUse(error: unknown): error is DatabaseRefusal {
  return error instanceof DatabaseRefusal && error.said.includes('repository that is currently used')
}

/** A snapshot as `sys.snapshots` has it. */
export type Snapshot = {
  name: string
  repository: string
  state: 'IN_PROGRESS' | 'SUCCESS' | 'PARTIAL' | 'FAILED' | (string & {})
  /** Unix milliseconds; undefined if CrateDB cannot read what it wrote about it. */
  started: number | undefined
  /** The same; undefined too while it is being taken. */
  finished: number | undefined
  tables: string[]
  failures: string[]
  /** Why a whole snapshot failed; since 5.9.0. */
  reason: string | undefined
  /** Since 5.9.0. How many are done is told nowhere. */
  totalShards: number | undefined
}

const briefColumns = 'name, repository, state, started'
const columns = `${briefColumns}, finished, tables, failures`
/** Of 5.9.0 and later. */
const laterColumns = `${columns}, reason, total_shards`

/** Which snapshots to list. */
export type Which = { repository?: string; name?: string; state?: string }

/** How a list is asked for. */
export type Listing = {
  /** Without what may be long: tables, failures and the reason are empty. */
  brief?: boolean
  /** The most, the newest of them. */
  most?: number
  options?: SqlOptions
}

/** The most snapshots that a list has without other words. */
const usuallyListed = 500

/**
 * Lists snapshots, the newest first. A repository whose bucket cannot be read has none, without an error: a missing snapshot is not proof that it
 * does not exist. CrateDB reads two files of each snapshot in each repository for every look.
 *
 * @throws Problem `database-unreachable`, `database-refused`
 */
export async function listSnapshots(
  sql: DatabaseSql,
  database: { project: string; database: string },
  which: Which,
  { brief = false, most = usuallyListed, options }: Listing = {},
): Promise<Snapshot[]> {
  const given = Object.entries(which)
  const where = given.length === 0 ? '' : ` WHERE ${given.map(([column]) => `${column} = ?`).join(' AND ')}`
  const of = (names: string) => `SELECT ${names} FROM sys.snapshots${where} ORDER BY started DESC LIMIT ${most}`
  const args = given.map(([, value]) => value)
  try {
    const { rows } = await sql.query(database, of(brief ? briefColumns : laterColumns), args, options)
    return rows.map(snapshotOf)
  } catch (error) {
    if (!isRefusal(error, crateErrors.columnUnknown)) throw error
    const { rows } = await sql.query(database, of(columns), args, options)
    return rows.map(snapshotOf)
  }
}

/** The last moment that is written with a year of four digits, in Unix milliseconds: what is later is not read as a moment. */
export const latestMoment = Date.parse('9999-12-31T23:59:59.999Z')

function snapshotOf([name, repository, state, started, finished, tables, failures, reason, totalShards]: unknown[]): Snapshot {
  const number = (value: unknown) => (typeof value === 'number' && value > 0 ? value : undefined)
  const moment = (value: unknown) => (Number(value) <= latestMoment ? number(value) : undefined)
  const texts = (value: unknown) => (Array.isArray(value) ? value.map(String) : [])
  return {
    name: String(name),
    repository: String(repository),
    state: String(state),
    started: moment(started),
    finished: moment(finished),
    tables: texts(tables),
    failures: texts(failures),
    reason: typeof reason === 'string' ? reason : undefined,
    totalShards: number(totalShards),
  }
}

/** The settings of the repository; undefined if there is none. @throws Problem `database-unreachable`, `database-refused` */
export async function readRepository(
  sql: DatabaseSql,
  database: { project: string; database: string },
  options?: SqlOptions,
): Promise<{ type: string; settings: unknown } | undefined> {
  const { rows } = await sql.query(database, 'SELECT type, settings FROM sys.repositories WHERE name = ?', [repositoryName], options)
  const [row] = rows
  return row && { type: String(row[0]), settings: row[1] }
}

/** Whether a statement that creates the repository still runs: its verification takes as long as the slowest node needs. */
export async function isVerifying(sql: DatabaseSql, database: { project: string; database: string }): Promise<boolean> {
  const { rows } = await sql.query(database, "SELECT id FROM sys.jobs WHERE stmt LIKE 'CREATE REPOSITORY skerry %'")
  return rows.length > 0
}

/** The last statement that created the repository and has ended; undefined if CrateDB has none in its log. */
export type EndedCreation = { id: string; error: string | undefined }

/**
 * How the last statement that created the repository ended, for those who did not hear its answer.
 * @param secrets see `SqlOptions`
 */
export async function lastCreation(
  sql: DatabaseSql,
  database: { project: string; database: string },
  secrets: readonly string[],
): Promise<EndedCreation | undefined> {
  const statement = "SELECT id, error FROM sys.jobs_log WHERE stmt LIKE 'CREATE REPOSITORY skerry %' ORDER BY ended DESC LIMIT 1"
  const { rows } = await sql.query(database, statement)
  const [row] = rows
  if (!row) return undefined
  const [id, error] = row
  return { id: String(id), error: typeof error === 'string' ? withoutSecrets(error, secrets).slice(0, 1000) : undefined }
}

/**
 * The snapshot that another one is being taken of: what `sys.snapshots` has of it, or the statement that waits for its end, as that of the Crate
 * Operator's own backups does. Undefined if there is none. Before 5.7.3 only the statement shows it.
 * @param own the name of the caller's own, which does not count
 */
export async function otherSnapshot(
  sql: DatabaseSql,
  database: { project: string; database: string },
  own?: string,
): Promise<string | undefined> {
  const running = await listSnapshots(sql, database, { state: 'IN_PROGRESS' }, { brief: true })
  const other = running.find(({ repository, name }) => repository !== repositoryName || name !== own)
  if (other) return `${other.repository}.${other.name}`
  const { rows } = await sql.query(database, "SELECT stmt FROM sys.jobs WHERE stmt LIKE 'CREATE SNAPSHOT %'")
  const named = rows.map(([stmt]) => /^create\s+snapshot\s+(\S+)/i.exec(String(stmt))?.[1] ?? 'unknown')
  return named.find((name) => name !== `${repositoryName}.${own}`)
}
