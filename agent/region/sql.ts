import { once } from 'node:events'
import * as http from 'node:http'
import * as https from 'node:https'
import { boundedText } from '../../shared/bounded-body.ts'
import { Problem } from '../../shared/errors.ts'
import type { Cluster } from '../../shared/kubernetes/connection.ts'
import { keyOf, kinds, pathOf } from '../../shared/kubernetes/objects.ts'
import { readObject } from '../../shared/kubernetes/read.ts'
import { withoutSecrets } from '../../shared/without-secrets.ts'
import { namespaceOf } from '../resources/kind.ts'
import type { Caches } from './caches.ts'

/** The result of a statement: one array of values for each row. */
type SqlResult = { cols: string[]; rows: unknown[][] }

/** Which database is asked. */
type DatabaseName = { project: string; database: string }

export type SqlOptions = {
  /** Values among the arguments that must not be in a message: the text of an error may repeat them. */
  secrets?: readonly string[]
  /** Milliseconds; 10 s if left out. */
  timeoutMs?: number
  /** The longest answer that is read; 1 MiB if left out. */
  maxBytes?: number
  /** Ends the wait early. CrateDB goes on with the statement. */
  signal?: AbortSignal
}

/** Runs SQL in databases of the region over CrateDB's HTTP endpoint, as the operator's user `system`. */
export type DatabaseSql = {
  /** @throws Problem `database-unreachable` without an answer or the password, `database-refused` (a `DatabaseRefusal`) with CrateDB's message */
  query(database: DatabaseName, statement: string, args?: unknown[], options?: SqlOptions): Promise<SqlResult>
}

/** CrateDB's error. */
export class DatabaseRefusal extends Problem {
  /** CrateDB's number of the error, such as 4095; undefined if the answer has none. */
  readonly code: number | undefined
  /** CrateDB's own words. */
  readonly said: string

  constructor(what: string, said: string, code: number | undefined) {
    super('database-refused', `${what}: ${said}`)
    this.code = code
    this.said = said
  }
}

/** Timeout of a statement, in milliseconds. */
const usualTimeoutMs = 10_000
/** What the agent asks for are a few rows. A database belongs to its users, so it may answer anything. */
const usualMaxBytes = 1024 * 1024

/**
 * @param sqlUrl the URL of a database, with the placeholders `{namespace}` and `{database}`. One with `http:` is used with `https:` for a database
 * that has `ssl`; one with `https:` is used as it is, and its certificate verified.
 */
export function createDatabaseSql(
  { sqlUrl }: { sqlUrl: string },
  { cluster, caches }: { cluster: Cluster; caches: Pick<Caches, 'databases'> },
): DatabaseSql {
  async function passwordOf(namespace: string, database: string): Promise<string> {
    const name = `user-system-${database}`
    const secret = await readObject(cluster, pathOf(kinds.Secret, namespace, name))
    if (!secret) throw new Problem('database-unreachable', `The Crate Operator has not made the Secret ${namespace}/${name} yet.`)
    return Buffer.from(secret.data?.password ?? '', 'base64').toString('utf8')
  }

  function hasTls(namespace: string, name: string): boolean {
    return caches.databases.get(keyOf({ namespace, name }))?.spec?.cluster?.ssl !== undefined
  }

  return {
    async query(
      { project, database },
      stmt,
      args = [],
      { secrets = [], timeoutMs = usualTimeoutMs, maxBytes = usualMaxBytes, signal } = {},
    ) {
      const namespace = namespaceOf(project)
      const password = await passwordOf(namespace, database)
      const isTurned = sqlUrl.startsWith('http:') && hasTls(namespace, database)
      const url = new URL(sqlUrl.replaceAll('{namespace}', namespace).replaceAll('{database}', database))
      if (isTurned) url.protocol = 'https:'
      const what = `database ${project}/${database}`
      const request = { url, password, text: JSON.stringify({ stmt, args }), maxBytes, isVerified: !isTurned }
      const ends = AbortSignal.any([AbortSignal.timeout(timeoutMs), ...(signal ? [signal] : [])])
      const { status, body } = await post(request, ends).catch((error) => {
        throw new Problem('database-unreachable', `${what} does not answer.`, { cause: error })
      })
      if (status !== 200) {
        const { message, code } = body.error ?? {}
        const said = typeof message === 'string' ? withoutSecrets(message, secrets).slice(0, 1000) : `status ${status}`
        throw new DatabaseRefusal(what, said, typeof code === 'number' ? code : undefined)
      }
      const { cols = [], rows = [] } = body
      if (!isTable(rows ?? [])) throw new DatabaseRefusal(what, 'the answer has other rows than those of CrateDB', undefined)
      return { cols: cols ?? [], rows: rows ?? [] }
    },
  }
}

/** What a database answers, as far as it keeps to its protocol. */
type SqlBody = Partial<SqlResult> & { error?: { message?: unknown; code?: unknown } | null }

type SqlRequest = { url: URL; password: string; text: string; maxBytes: number; isVerified: boolean }

/**
 * Sends a statement on a connection of its own: none is met that the database has just closed. No redirect is followed.
 *
 * With `ssl`, CrateDB speaks TLS on the port of HTTP, and nothing else. The certificate is the customer's: its authority is known to nobody here, and
 * its names need not be those inside the cluster. It is not verified, as the Crate Operator does not either (psycopg's `sslmode=prefer`).
 */
async function post(
  { url, password, text, maxBytes, isVerified }: SqlRequest,
  signal: AbortSignal,
): Promise<{ status: number; body: SqlBody }> {
  const authorization = `Basic ${Buffer.from(`system:${password}`).toString('base64')}`
  const headers = { 'content-type': 'application/json', authorization }
  const secure = url.protocol === 'https:'
  const options = { method: 'POST', agent: false, headers, signal } as const
  const request = secure ? https.request(url, { ...options, rejectUnauthorized: isVerified }) : http.request(url, options)
  request.on('error', () => {}) // one that comes after the answer; `once` hears the others
  const answered = once(request, 'response', { signal })
  request.end(text)
  const [response] = (await answered) as [http.IncomingMessage]
  return { status: response.statusCode ?? 0, body: JSON.parse(await boundedText(response, maxBytes)) ?? {} }
}

/** Whoever reads an answer may count on rows. What is in them is for the reader to judge. */
function isTable(rows: unknown): boolean {
  return Array.isArray(rows) && rows.every(Array.isArray)
}
