import * as z from 'zod'
import { secretFile } from '../../shared/fields.ts'
import { host, hostAndPort, port } from '../wire/fields.ts'
import { type MysqlRow, type MysqlSession, openMysql } from '../wire/mysql-session.ts'
import { CheckFailure, type Reason } from '../wire/reasons.ts'
import { tlsFields } from '../wire/tls.ts'
import { percent, shorten, versionIn } from '../wire/wording.ts'
import { type CheckResult, checkKind, type Finding, type Measurement, resultOf } from './kind.ts'

const options = z.strictObject({
  host: host.describe('Host name or IP address.'),
  port: port.default(3306).describe('TCP port.'),
  database: z.string().min(1).max(64).optional().describe('Database to select; by default none.'),
  username: z
    .string()
    .min(1)
    .max(80)
    .describe('User to log in as. With REPLICATION CLIENT (MySQL) or REPLICA MONITOR (MariaDB), it sees replication.'),
  passwordFile: secretFile().optional().describe("File that holds the user's password."),
  tls: z
    .boolean()
    .default(false)
    .describe('Whether to require TLS. Without it, a false server can learn the password of a user who logs in by caching_sha2_password.'),
  query: z.string().min(1).max(10_000).default('SELECT 1').describe('Statement that must succeed. It runs in a read-only transaction.'),
  maxConnectionsUsed: z.number().gt(0).max(1).default(0.9).describe('Degraded when this share of max_connections is in use.'),
  maxLagSeconds: z.number().min(0).default(60).describe('Degraded when a replica lags further behind, in seconds.'),
  ...tlsFields,
})

type MysqlOptions = z.output<typeof options>

/** Up when the login and the query succeed, connections are left, and replication keeps up. */
export const mysql = checkKind({
  about:
    'MySQL 5.7 or later, MariaDB 10.2 or later, and their relatives. Logs in on a new connection and runs the query in a read-only transaction. Down when either fails. Degraded when too few connections are left, or when a replica lags too far behind or its replication has stopped. Without the privilege to see replication, the role is `unknown`.',
  example: { host: 'db.example.com', username: 'monitor', passwordFile: '/etc/skerry/mysql-password', tls: true },
  options,
  measures: {
    skerry_mysql_info: {
      type: 'gauge',
      help: 'Always 1; version and role (primary, replica, unknown) are its labels. A server that replicates from no other is a primary.',
      labels: ['version', 'role'],
    },
    skerry_mysql_connections: { type: 'gauge', help: 'Connections in use.' },
    skerry_mysql_max_connections: { type: 'gauge', help: 'Most connections that the server allows.' },
    skerry_mysql_query_seconds: { type: 'gauge', help: 'Duration of the query alone.' },
    skerry_mysql_replication_lag_seconds: {
      type: 'gauge',
      help: 'How far a replica is behind; channel is the name of the replication channel or connection, and usually empty.',
      labels: ['channel'],
    },
  },
  target: (options) => `${hostAndPort(options)}${options.database === undefined ? '' : `/${options.database}`}`,
  async check(options, { signal }) {
    let session: MysqlSession | undefined
    try {
      session = await openMysql(options, signal)
      return await examine(session, options)
    } catch (error) {
      throw failureOf(error, options)
    } finally {
      session?.close()
    }
  },
})

const stateQuery = 'SELECT VERSION() AS version, @@max_connections AS max_connections'
const stateRow = z.object({ version: z.string(), max_connections: z.coerce.number().min(1) })
const threadsRow = z.object({ Value: z.coerce.number().min(0) })

/** What SHOW REPLICA STATUS says of a channel. MySQL 8.0.22 renamed the columns; MariaDB kept the names of before. */
const channelRow = z.union([
  z
    .object({
      Replica_IO_Running: z.string(),
      Replica_SQL_Running: z.string(),
      Seconds_Behind_Source: z.coerce.number().nullable(),
      Channel_Name: z.string().default(''),
      Last_Error: z.string().default(''),
      Last_IO_Error: z.string().default(''),
    })
    .transform((row) => ({
      name: row.Channel_Name,
      io: row.Replica_IO_Running,
      sql: row.Replica_SQL_Running,
      lag: row.Seconds_Behind_Source,
      error: row.Last_IO_Error || row.Last_Error,
    })),
  z
    .object({
      Slave_IO_Running: z.string(),
      Slave_SQL_Running: z.string(),
      Seconds_Behind_Master: z.coerce.number().nullable(),
      Channel_Name: z.string().optional(),
      Connection_name: z.string().default(''),
      Last_Error: z.string().default(''),
      Last_IO_Error: z.string().default(''),
    })
    .transform((row) => ({
      name: row.Channel_Name ?? row.Connection_name,
      io: row.Slave_IO_Running,
      sql: row.Slave_SQL_Running,
      lag: row.Seconds_Behind_Master,
      error: row.Last_IO_Error || row.Last_Error,
    })),
])

type Channel = z.output<typeof channelRow>

async function examine(session: MysqlSession, options: MysqlOptions): Promise<CheckResult> {
  const state = rowOf(stateRow, (await session.query(stateQuery))[0])
  const isMariaDb = /mariadb/i.test(state.version)
  // A server does not notice that a client has gone before the query ends. 5.7 of MySQL and 10.2 of MariaDB have these variables.
  await session.query(`SET SESSION ${isMariaDb ? 'max_statement_time = 60' : 'max_execution_time = 60000'}`)
  // MariaDB ends the transaction at CREATE DATABASE and its like before it asks whether they may write. So the next one is read-only too.
  await session.query('SET SESSION TRANSACTION READ ONLY')
  await session.query('START TRANSACTION READ ONLY')
  const started = performance.now()
  await session.query(options.query)
  const seconds = (performance.now() - started) / 1000
  const threads = rowOf(threadsRow, (await session.query("SHOW GLOBAL STATUS LIKE 'Threads_connected'"))[0])
  const channels = await channelsOf(session, isMariaDb)
  const role = channels === 'hidden' ? 'unknown' : channels.length > 0 ? 'replica' : 'primary'
  const [connections, most] = [threads.Value, state.max_connections]
  const measurements: Measurement[] = [
    { name: 'skerry_mysql_query_seconds', value: seconds },
    { name: 'skerry_mysql_info', labels: { version: versionIn(state.version), role }, value: 1 },
    { name: 'skerry_mysql_max_connections', value: most },
    { name: 'skerry_mysql_connections', value: connections },
  ]
  const findings = channels === 'hidden' ? [] : channels.flatMap((channel) => judgeReplication(channel, options, measurements))
  const used = connections / most
  if (used >= options.maxConnectionsUsed)
    findings.push({
      reason: 'limit',
      text: `${percent(used)} of the connections are in use (${connections} of ${most}); close idle connections, use a pool, or raise max_connections`,
    })
  const privilege = isMariaDb ? 'REPLICA MONITOR' : 'REPLICATION CLIENT'
  const roleText = { primary: 'Primary', replica: 'Replica', unknown: `Replication unseen (no privilege ${privilege})` }[role]
  return resultOf(findings, `${roleText}, ${connections} of ${most} connections in use.`, measurements)
}

/** At most 20 channels, each name once. `hidden`: the user may not see them. */
async function channelsOf(session: MysqlSession, isMariaDb: boolean): Promise<Channel[] | 'hidden'> {
  try {
    const rows = await session
      .query(isMariaDb ? 'SHOW ALL SLAVES STATUS' : 'SHOW REPLICA STATUS')
      .catch((error) => (error.errno === errors.syntax ? session.query('SHOW SLAVE STATUS') : Promise.reject(error)))
    const channels = rows.slice(0, 20).map((row) => rowOf(channelRow, row))
    return [...new Map(channels.map((channel) => [shorten(channel.name, 64), channel])).values()]
  } catch (error) {
    if (errors.forbidden.includes((error as { errno?: number }).errno ?? 0)) return 'hidden'
    throw error
  }
}

function judgeReplication({ name, io, sql, lag, error }: Channel, { maxLagSeconds }: MysqlOptions, measurements: Measurement[]): Finding[] {
  const channel = shorten(name, 64)
  const which = channel === '' ? '' : ` of ${channel}`
  if (lag !== null) measurements.push({ name: 'skerry_mysql_replication_lag_seconds', labels: { channel }, value: lag })
  if (sql !== 'Yes' || io === 'No') {
    const cause = error === '' ? 'Nothing says why' : `The server says: ${shorten(error, 150)}`
    const text = `Replication${which} has stopped. ${cause}; mend that, then START REPLICA`
    return [{ reason: 'partly_unavailable', text }]
  }
  if (io !== 'Yes') {
    const cause = error === '' ? '' : `. The server says: ${shorten(error, 150)}`
    return [
      {
        reason: 'partly_unavailable',
        text: `Replication${which} has no connection to its source; check the source and the network${cause}`,
      },
    ]
  }
  if (lag !== null && lag > maxLagSeconds)
    return [{ reason: 'limit', text: `Replication${which} lags ${Math.round(lag)} s behind; check the replica's load and the network` }]
  return []
}

function rowOf<S extends z.ZodType>(schema: S, row: MysqlRow | undefined): z.output<S> {
  const parsed = schema.safeParse(Object.fromEntries(row ?? []))
  if (parsed.success) return parsed.data
  throw new CheckFailure('protocol', "The server's own variables do not have the documented shape. Is this MySQL or MariaDB?")
}

/** Numbers of errors that all versions of both servers share (MySQL 8.4 and MariaDB 11 "Error Codes"). */
const errors = {
  syntax: 1064,
  forbidden: [1142, 1143, 1227, 1370],
  login: [1045, 1698, 1862, 1820, 3118, 4151],
  host: [1130],
  blockedHost: [1129],
  database: [1044],
  noDatabase: [1049],
  full: [1040, 1203, 1226],
  stopping: [1053, 1077, 1079],
  slow: [1969, 3024],
  insecure: [3159, 1835],
}

/** The meaning of the server's error number, or of mysql2's code. Other errors are returned as they are. */
function failureOf(error: unknown, { username, database, passwordFile, tls }: MysqlOptions): unknown {
  if (!(error instanceof Error) || error instanceof CheckFailure) return error
  const { errno, code } = error as { errno?: unknown; code?: string }
  const said = shorten(error.message, 200).replace(/\.$/, '')
  const fail = (reason: Reason, next: string) => new CheckFailure(reason, `The server says: ${said}. ${next}`, { cause: error })
  // Those of the system are negative.
  if (typeof errno === 'number' && errno > 0) {
    const is = (list: number[]) => list.includes(errno)
    if (is(errors.login) && passwordFile === undefined) return fail('unauthorized', `Give the check a passwordFile for user ${username}.`)
    if (is(errors.login))
      return fail(
        'unauthorized',
        `Check the password of user ${username}, from which hosts it may log in${tls ? '' : ', and whether it must use TLS'}.`,
      )
    if (is(errors.host)) return fail('unauthorized', `Allow user ${username} to log in from the host of the monitor.`)
    if (is(errors.database))
      return fail('unauthorized', `Check that the database ${database} exists, and grant user ${username} access to it.`)
    if (is(errors.forbidden)) return fail('unauthorized', `Grant user ${username} the privileges that the query needs.`)
    if (is(errors.blockedHost)) return fail('limit', 'Run FLUSH HOSTS on the server, and find out why connections failed.')
    if (is(errors.noDatabase)) return fail('missing', `Check that ${database ?? 'its name'} is right.`)
    if (is(errors.full)) return fail('limit', 'Close idle connections, use a pool, or raise the limit, such as max_connections.')
    if (is(errors.stopping)) return fail('unavailable', 'The server is stopping; see its log.')
    if (is(errors.slow)) return fail('timeout', 'The query took too long; SHOW PROCESSLIST shows what else runs.')
    if (is(errors.insecure)) return fail('tls', tls ? 'Check the client certificate.' : 'Set tls: true in this check.')
    return fail('failing', 'See the log of the server.')
  }
  if (code === 'HANDSHAKE_NO_SSL_SUPPORT')
    return new CheckFailure(
      'tls',
      'The server offers no TLS. Give it a certificate (ssl_cert, ssl_key), or set tls: false in this check.',
      {
        cause: error,
      },
    )
  if (code === 'MYSQL_CLEAR_PASSWORD_NOT_ENABLED' || code === 'AUTH_SWITCH_PLUGIN_ERROR')
    return new CheckFailure(
      'unauthorized',
      `The server asks for a way to log in that the check does not have. Give user ${username} one of mysql_native_password, caching_sha2_password and sha256_password.`,
      { cause: error },
    )
  // mysql2's own errors, and those of its parser. Errors of the connection have the codes of Node.
  if (code === undefined || /^(PROTOCOL_|HANDSHAKE_|ERR_OUT_OF_RANGE|ERR_INVALID_|ERR_BUFFER)/.test(code))
    return error.name === 'TimeoutError' || error.name === 'AbortError'
      ? error
      : new CheckFailure('protocol', `The server does not answer like MySQL: ${said}. Is this the right port?`, { cause: error })
  return error
}
