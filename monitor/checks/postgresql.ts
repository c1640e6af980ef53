import { Socket } from 'node:net'
import type { Client as PgClient } from 'pg'
import * as z from 'zod'
import { secretFile } from '../../shared/fields.ts'
import { orAbort } from '../wire/abort.ts'
import { farewell } from '../wire/farewell.ts'
import { host, hostAndPort, port } from '../wire/fields.ts'
import { CheckFailure, type Reason } from '../wire/reasons.ts'
import { defaultMaxBytes } from '../wire/socket.ts'
import { tlsFields, tlsOf } from '../wire/tls.ts'
import { percent, shorten, versionIn } from '../wire/wording.ts'
import { type CheckResult, checkKind, type Finding, type Measurement, resultOf } from './kind.ts'

const options = z.strictObject({
  host: host.describe('Host name or IP address.'),
  port: port.default(5432).describe('TCP port.'),
  database: z.string().min(1).max(63).default('postgres').describe('Database to connect to.'),
  username: z.string().min(1).max(63).describe('Role to log in as. With pg_monitor it sees everything that the check measures.'),
  passwordFile: secretFile().optional().describe("File that holds the role's password."),
  tls: z.boolean().default(false).describe('Whether to require TLS.'),
  query: z.string().min(1).max(10_000).default('SELECT 1').describe('Statement that must succeed. It runs in a read-only transaction.'),
  maxConnectionsUsed: z.number().gt(0).max(1).default(0.9).describe('Degraded when this share of max_connections is in use.'),
  maxLagSeconds: z.number().min(0).default(60).describe('Degraded when a replica lags further behind, in seconds.'),
  minReplicas: z.int().min(0).default(0).describe('Degraded when fewer replicas stream from this primary.'),
  ...tlsFields,
})

type PostgresqlOptions = z.output<typeof options>

// Every role can see numbackends in pg_stat_database, but little of pg_stat_activity.
const stateQuery = `
  SELECT pg_is_in_recovery() AS replica,
         current_setting('server_version') AS version,
         current_setting('max_connections')::int AS max_connections,
         (SELECT sum(numbackends)::int FROM pg_stat_database) AS connections,
         CASE WHEN NOT pg_is_in_recovery() THEN NULL
              WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0
              ELSE extract(epoch FROM now() - pg_last_xact_replay_timestamp())::float8 END AS lag,
         (SELECT count(*)::int FROM pg_stat_wal_receiver WHERE pg_is_in_recovery()) AS receivers`

const replicaQuery = `
  SELECT coalesce(nullif(application_name, ''), 'unnamed') AS name, coalesce(state, 'unknown') AS state,
         coalesce(extract(epoch FROM replay_lag), 0)::float8 AS lag,
         coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn), 0)::float8 AS bytes
    FROM pg_stat_replication LIMIT 100`

const stateRow = z.object({
  replica: z.boolean(),
  version: z.string(),
  max_connections: z.number(),
  connections: z.number().nullable(),
  lag: z.number().nullable(),
  receivers: z.number(),
})
const replicaRow = z.object({ name: z.string(), state: z.string(), lag: z.number(), bytes: z.number() })

/** Up when the login and the query succeed, connections are left, and replication keeps up. */
export const postgresql = checkKind({
  about:
    'Logs in on a new connection and runs the query in a read-only transaction. Down when either fails. Degraded when too few connections are left, when a replica lags too far behind or does not stream, or when fewer than `minReplicas` replicas stream from a primary.',
  example: { host: 'db.example.com', username: 'monitor', passwordFile: '/etc/skerry/postgres-password', tls: true, minReplicas: 1 },
  options,
  measures: {
    skerry_postgresql_info: {
      type: 'gauge',
      help: 'Always 1; version and role (primary, replica) are its labels.',
      labels: ['version', 'role'],
    },
    skerry_postgresql_connections: { type: 'gauge', help: 'Connections in use.' },
    skerry_postgresql_max_connections: { type: 'gauge', help: 'Most connections that the server allows.' },
    skerry_postgresql_query_seconds: { type: 'gauge', help: 'Duration of the query alone.' },
    skerry_postgresql_replication_lag_seconds: {
      type: 'gauge',
      help: 'Replication lag: on a replica its own (label replica is empty), on a primary that of each replica.',
      labels: ['replica'],
    },
    skerry_postgresql_replication_lag_bytes: {
      type: 'gauge',
      help: 'Bytes of log that a replica has yet to replay, as the primary sees it.',
      labels: ['replica'],
    },
    skerry_postgresql_replicas: { type: 'gauge', help: 'Replicas that stream from this primary.' },
  },
  target: (options) => `${hostAndPort(options)}/${options.database}`,
  async check(options, { signal }) {
    signal.throwIfAborted()
    const { Client } = (await import('pg')).default
    const { client, close } = clientFor(Client, options)
    try {
      return await orAbort(examine(client, options), signal, close)
    } catch (error) {
      throw failureOf(error, options)
    } finally {
      close()
    }
  },
})

/** Without this message, a server logs an unexpected end of each session (its documentation, "Message Formats"). */
const terminate = Buffer.from('5800000004', 'hex')

/** A client on a socket of ours, which is closed when the check ends or the server sends more than any answer has. */
function clientFor(Client: typeof PgClient, options: PostgresqlOptions): { client: PgClient; close: () => void } {
  const socket = new Socket()
  // pg always verifies the certificate against its host. So its host is the server name, and the socket dials the real one.
  const dial = socket.connect.bind(socket)
  socket.connect = () => dial(options.port, options.host)
  const client = new Client({
    host: options.serverName ?? options.host,
    port: options.port,
    database: options.database,
    user: options.username,
    // A function, so that neither PGPASSWORD nor a .pgpass file of the monitor's user takes precedence.
    password: () => options.passwordFile?.reveal() ?? '',
    application_name: 'skerry-monitor',
    ssl: options.tls && tlsOf(options, options.host),
    stream: () => socket,
  })
  client.on('error', () => {}) // the awaited promise rejects, too; without a listener the error would end the process
  const bound = (stream: Socket) => {
    let bytes = 0
    stream.on('data', (chunk: Buffer) => {
      bytes += chunk.length
      if (bytes > defaultMaxBytes)
        socket.destroy(new CheckFailure('too_large', `The server sent more than ${defaultMaxBytes} bytes. Is this a PostgreSQL server?`))
    })
  }
  const { connection } = client as unknown as { connection: { stream: Socket; once(event: string, listener: () => void): void } }
  bound(socket)
  connection.once('sslconnect', () => bound(connection.stream))
  let hasSession = false
  client.once('connect', () => {
    hasSession = true
  })
  // pg says it only if no query is under way.
  return { client, close: () => void (hasSession ? farewell(connection.stream, terminate) : socket.destroy()) }
}

async function examine(client: PgClient, options: PostgresqlOptions): Promise<CheckResult> {
  await client.connect()
  await client.query("BEGIN READ ONLY; SET LOCAL statement_timeout = '60s'")
  const started = performance.now()
  await client.query(options.query)
  const seconds = (performance.now() - started) / 1000
  const state = rowOf(stateRow, (await client.query(stateQuery)).rows[0])
  const measurements: Measurement[] = [
    { name: 'skerry_postgresql_query_seconds', value: seconds },
    {
      name: 'skerry_postgresql_info',
      labels: { version: versionIn(state.version), role: state.replica ? 'replica' : 'primary' },
      value: 1,
    },
    { name: 'skerry_postgresql_max_connections', value: state.max_connections },
    { name: 'skerry_postgresql_connections', value: state.connections ?? 0 },
  ]
  const findings = state.replica
    ? judgeReplica(state, options, measurements)
    : judgePrimary((await client.query(replicaQuery)).rows, options, measurements)
  const used = (state.connections ?? 0) / state.max_connections
  if (used >= options.maxConnectionsUsed)
    findings.push({
      reason: 'limit',
      text: `${percent(used)} of the connections are in use (${state.connections} of ${state.max_connections}); close idle connections, use a pool, or raise max_connections`,
    })
  const fine = `${state.replica ? 'Replica' : 'Primary'}, ${state.connections ?? 0} of ${state.max_connections} connections in use.`
  return resultOf(findings, fine, measurements)
}

function judgeReplica(
  { lag, receivers }: z.output<typeof stateRow>,
  { maxLagSeconds }: PostgresqlOptions,
  measurements: Measurement[],
): Finding[] {
  if (lag !== null) measurements.push({ name: 'skerry_postgresql_replication_lag_seconds', labels: { replica: '' }, value: lag })
  if (receivers === 0)
    return [{ reason: 'partly_unavailable', text: 'This replica does not stream from its primary; see primary_conninfo and the log' }]
  if (lag !== null && lag > maxLagSeconds)
    return [{ reason: 'limit', text: `This replica lags ${Math.round(lag)} s behind; check its load and the network to the primary` }]
  return []
}

function judgePrimary(rows: unknown[], { maxLagSeconds, minReplicas }: PostgresqlOptions, measurements: Measurement[]): Finding[] {
  const replicas = rows.map((row) => rowOf(replicaRow, row))
  const streaming = replicas.filter(({ state }) => state === 'streaming')
  measurements.push({ name: 'skerry_postgresql_replicas', value: streaming.length })
  for (const { name, lag, bytes } of new Map(replicas.map((replica) => [replica.name, replica])).values()) {
    measurements.push({ name: 'skerry_postgresql_replication_lag_seconds', labels: { replica: name }, value: lag })
    measurements.push({ name: 'skerry_postgresql_replication_lag_bytes', labels: { replica: name }, value: bytes })
  }
  const found: Finding[] = []
  if (streaming.length < minReplicas)
    found.push({
      reason: 'partly_unavailable',
      text: `Only ${streaming.length} of ${minReplicas} replicas stream; see the log of the missing replica`,
    })
  const late = replicas.filter(({ lag }) => lag > maxLagSeconds)
  if (late.length > 0)
    found.push({ reason: 'limit', text: `Replicas lag behind: ${late.map(({ name, lag }) => `${name} ${Math.round(lag)} s`).join(', ')}` })
  return found
}

function rowOf<S extends z.ZodType>(schema: S, row: unknown): z.output<S> {
  const parsed = schema.safeParse(row)
  if (parsed.success) return parsed.data
  throw new CheckFailure('protocol', 'The system views do not have the documented shape. Is this PostgreSQL 10 or later?')
}

/** The meaning of the server's SQLSTATE (PostgreSQL documentation, appendix A). Other errors are returned as they are. */
function failureOf(error: unknown, { username, database, passwordFile }: PostgresqlOptions): unknown {
  if (!(error instanceof Error) || error instanceof CheckFailure) return error
  const { code } = error as { code?: string }
  const said = shorten(error.message, 200)
  const fail = (reason: Reason, next: string) => new CheckFailure(reason, `The server says: ${said}. ${next}`, { cause: error })
  // pg itself refuses to log in with an empty password where the server asks for one by SCRAM. To the others it sends the empty one.
  if (passwordFile === undefined && (code === '28P01' || /client password must be/.test(said)))
    return new CheckFailure('unauthorized', `The server asks role ${username} for a password. Give the check a passwordFile.`, {
      cause: error,
    })
  if (/client password must be/.test(said))
    return new CheckFailure('unauthorized', `The password of role ${username} is empty. Put it into passwordFile.`, { cause: error })
  if (code === '28P01' || code === '28000') return fail('unauthorized', `Check the password of role ${username}, and pg_hba.conf.`)
  if (code === '42501') return fail('unauthorized', `Grant role ${username} the rights that the query needs, such as pg_monitor.`)
  if (code === '3D000') return fail('missing', `Check that ${database} is the right name.`)
  if (code === '53300') return fail('limit', 'Close idle connections, use a pool, or raise max_connections.')
  if (code === '57P03') return fail('unavailable', 'It is starting, stopping or recovering; see its log.')
  if (code === '57014') return fail('timeout', 'The query took too long; pg_stat_activity shows what blocks it.')
  if (code !== undefined && /^[0-9A-Z]{5}$/.test(code) && 'severity' in error) return fail('failing', 'See the log of the server.')
  if (/does not support SSL/.test(said))
    return new CheckFailure('tls', 'The server offers no TLS. Set ssl = on on the server, or tls: false in this check.', { cause: error })
  if (/Connection terminated/.test(said))
    return new CheckFailure('connection_lost', 'The server closed the connection before the answer was complete. See its log.', {
      cause: error,
    })
  if (/SSL connection|unexpected|Unknown|invalid/i.test(said) && code === undefined)
    return new CheckFailure('protocol', `The server does not answer like PostgreSQL: ${said}. Is this the right port?`, { cause: error })
  return error
}
