import * as z from 'zod'
import { secretFile } from '../../shared/fields.ts'
import { host, hostAndPort, port } from '../wire/fields.ts'
import { CheckFailure } from '../wire/reasons.ts'
import { parseReplies, type Reply } from '../wire/resp.ts'
import { openSocket, readSocket } from '../wire/socket.ts'
import { secure, tlsFields, tlsOf } from '../wire/tls.ts'
import { percent, shorten, versionIn } from '../wire/wording.ts'
import { type CheckResult, checkKind, type Finding, type Measurement, resultOf } from './kind.ts'

const options = z.strictObject({
  host: host.describe('Host name or IP address.'),
  port: port.default(6379).describe('TCP port.'),
  username: z.string().min(1).max(256).optional().describe('User name; by default the user `default`.'),
  passwordFile: secretFile().optional().describe("File that holds the user's password."),
  tls: z.boolean().default(false).describe('Whether to use TLS.'),
  maxMemoryUsed: z.number().gt(0).max(1).default(0.9).describe('Degraded when this share of maxmemory is in use, if maxmemory is set.'),
  minReplicas: z.int().min(0).default(0).describe('Degraded when fewer replicas are connected to this primary.'),
  ...tlsFields,
})

type RedisOptions = z.output<typeof options>

/**
 * Up when the server answers PING and its INFO shows no problem.
 *
 * Three commands on a bare socket: client libraries bring pools, pipelines and reconnects, which a check must not have, and do not bound
 * what a server may send.
 */
export const redis = checkKind({
  about:
    'Sends `AUTH` (with a password), `PING` and `INFO` on a new connection. Down when a command fails, or when the data set is still loading. Degraded when memory is nearly used up, when a replica has lost its primary, when too few replicas are connected, or when the last save to disk failed.',
  example: { host: 'redis.example.com', passwordFile: '/etc/skerry/redis-password' },
  options,
  measures: {
    skerry_redis_info: {
      type: 'gauge',
      help: 'Always 1; version and role (master, slave, sentinel, other) are its labels.',
      labels: ['version', 'role'],
    },
    skerry_redis_memory_used_bytes: { type: 'gauge', help: 'Memory used by the data set and its overhead.' },
    skerry_redis_memory_max_bytes: { type: 'gauge', help: 'The limit maxmemory; 0 without a limit.' },
    skerry_redis_clients: { type: 'gauge', help: 'Connected clients.' },
    skerry_redis_replicas: { type: 'gauge', help: 'Connected replicas.' },
    skerry_redis_uptime_seconds: { type: 'gauge', help: 'Time since the server started.' },
    skerry_redis_commands_total: { type: 'counter', help: 'Commands processed.' },
    skerry_redis_evicted_keys_total: { type: 'counter', help: 'Keys evicted to stay below maxmemory.' },
  },
  target: hostAndPort,
  async check(options, { signal }) {
    const tcp = await openSocket(options, signal)
    try {
      const socket = options.tls ? await secure(tcp, tlsOf(options, options.host), options.serverName ?? options.host) : tcp
      const { username, passwordFile } = options
      const login = passwordFile ? ['AUTH', ...(username === undefined ? [] : [username]), passwordFile.reveal()] : undefined
      const commands = [...(login ? [login] : []), ['PING'], ['INFO']]
      socket.write(commands.map(encode).join(''))
      // One error is enough: a server that accepts no client says so once, and closes.
      const read = await readSocket(socket, {
        enough: (read) => {
          const replies = parseReplies(read)
          return replies.length >= commands.length || replies.some(({ type }) => type === 'error')
        },
      })
      const replies = parseReplies(read)
      for (const reply of replies) if (reply.type === 'error') throw refusal(reply.text, login !== undefined)
      return judge(options, replies)
    } finally {
      tcp.destroy()
    }
  },
})

function encode(command: string[]): string {
  return `*${command.length}\r\n${command.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join('')}`
}

function refusal(text: string, loggedIn: boolean): CheckFailure {
  const said = `The server says: ${shorten(text, 120)}.`
  if (/^(NOAUTH|WRONGPASS|NOPERM)|invalid (username|password)|AUTH.*without any password/i.test(text))
    return new CheckFailure('unauthorized', loggedIn ? `${said} Check user name and password.` : `${said} Give the check a passwordFile.`)
  if (/^DENIED/.test(text)) return new CheckFailure('unauthorized', `${said} Set a password on the server, and give it to the check.`)
  if (/^LOADING/.test(text)) return new CheckFailure('unavailable', `${said} This ends when the data set is in memory.`)
  if (/^(MASTERDOWN|BUSY|MISCONF)/.test(text)) return new CheckFailure('failing', `${said} See its log.`)
  if (/^ERR max number of clients/.test(text)) return new CheckFailure('limit', `${said} Close idle clients, or raise maxclients.`)
  return new CheckFailure('unexpected_answer', `${said} See its log.`)
}

/** The roles that Redis and its relatives report. A label takes no other text. */
const roles = new Set(['master', 'slave', 'sentinel'])

function judge(options: RedisOptions, replies: Reply[]): CheckResult {
  const [pong, bulk] = replies.slice(-2).map(({ text }) => text) as [string, string]
  if (pong !== 'PONG') throw new CheckFailure('protocol', `The server answers ${shorten(pong, 40)} to PING. Is this Redis?`)
  const info = new Map([...bulk.matchAll(/^(\w{1,60}):(.*?)\r?$/gm)].map(([, name, value]) => [name as string, value as string]))
  const number = (name: string) => Number(info.get(name) ?? Number.NaN)
  const text = (name: string) => shorten(info.get(name) ?? 'unknown', 40)
  const role = roles.has(text('role')) ? text('role') : 'other'
  const replicas = number('connected_slaves')
  const [used, max] = [number('used_memory'), number('maxmemory')]
  const measurements: Measurement[] = [
    { name: 'skerry_redis_info', labels: { version: versionIn(text('redis_version')), role }, value: 1 },
    { name: 'skerry_redis_memory_used_bytes', value: used },
    { name: 'skerry_redis_memory_max_bytes', value: max },
    { name: 'skerry_redis_clients', value: number('connected_clients') },
    { name: 'skerry_redis_replicas', value: replicas },
    { name: 'skerry_redis_uptime_seconds', value: number('uptime_in_seconds') },
    { name: 'skerry_redis_commands_total', value: number('total_commands_processed') },
    { name: 'skerry_redis_evicted_keys_total', value: number('evicted_keys') },
  ].filter(({ value }) => !Number.isNaN(value))
  const found: Finding[] = []
  if (info.get('master_link_status') === 'down')
    found.push({
      reason: 'partly_unavailable',
      text: 'This replica has lost its primary, and its data are stale. Check the primary and the network to it',
    })
  if (role === 'master' && replicas < options.minReplicas)
    found.push({
      reason: 'partly_unavailable',
      text: `Only ${replicas} of ${options.minReplicas} replicas are connected. See the logs of the others`,
    })
  if (max > 0 && used / max >= options.maxMemoryUsed)
    found.push({ reason: 'limit', text: `${percent(used / max)} of maxmemory is in use. Raise it, or store less` })
  if (info.get('rdb_last_bgsave_status') === 'err' || info.get('aof_last_write_status') === 'err')
    found.push({ reason: 'failing', text: 'The last save to disk failed. See the log of the server, and the free space on its disk' })
  return resultOf(found, `Version ${text('redis_version')}, ${text('role')}.`, measurements)
}
