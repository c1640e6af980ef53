import * as z from 'zod'
import { parseCsv } from '../wire/csv.ts'
import { host, hostAndPort, port } from '../wire/fields.ts'
import { ask, httpFields, httpUrl, targetOfUrl, unexpected } from '../wire/http-access.ts'
import { CheckFailure } from '../wire/reasons.ts'
import { openSocket, readSocket } from '../wire/socket.ts'
import { count, shorten, someOf } from '../wire/wording.ts'
import { type CheckResult, checkKind, type Measurement } from './kind.ts'

const options = z
  .strictObject({
    socketPath: z.string().min(1).max(107).optional().describe('Unix socket of the runtime API (stats socket).'),
    host: host.optional().describe('Host of the runtime API, if it listens on TCP.'),
    port: port.optional().describe('Port of the runtime API, if it listens on TCP.'),
    url: httpUrl.optional().describe('The statistics page instead, such as http://lb:8404/stats; `;csv` is appended.'),
    backends: z.array(z.string().min(1)).default([]).describe('Backends that the check is about, with their servers; all by default.'),
    ...httpFields,
  })
  .refine(({ socketPath, host, port, url }) => [socketPath, host && port, url].filter((given) => given !== undefined).length === 1, {
    error: 'needs one of socketPath, host with port, and url',
    path: ['socketPath'],
  })

type HaproxyOptions = z.output<typeof options>

const maxBytes = 8 * 1024 * 1024

/** Up when every backend and every server of HAProxy is up. */
export const haproxy = checkKind({
  about:
    'Reads the statistics from the runtime API or from the statistics page. Down when a backend is down, and degraded when a server is down: of `backends`, or of all backends if that is empty. Every backend is measured. Servers in maintenance and servers without a health check count as sound.',
  example: { socketPath: '/run/haproxy/admin.sock', backends: ['shop'] },
  options,
  measures: {
    skerry_haproxy_backend_up: { type: 'gauge', help: '1 when the backend is up.', labels: ['backend'] },
    skerry_haproxy_backend_servers: {
      type: 'gauge',
      help: 'Servers of a backend, by state: up, down, maintenance.',
      labels: ['backend', 'state'],
    },
    skerry_haproxy_backend_sessions: { type: 'gauge', help: 'Current sessions of a backend.', labels: ['backend'] },
    skerry_haproxy_backend_queue: { type: 'gauge', help: 'Requests of a backend that wait for a server.', labels: ['backend'] },
  },
  target: ({ socketPath, url, host, port }) =>
    socketPath ?? (url === undefined ? hostAndPort({ host: host ?? '', port: port ?? 0 }) : targetOfUrl(url)),
  async check(options, { signal }) {
    const text = options.url === undefined ? await fromSocket(options, signal) : await fromPage(options, options.url, signal)
    if (!text.startsWith('# pxname,svname,'))
      throw new CheckFailure(
        'protocol',
        `The answer is not HAProxy's statistics: ${shorten(text, 60)}. Is this the runtime API or the statistics page?`,
      )
    return judge(options, await parseCsv(text.slice(2), columns, signal))
  },
})

async function fromSocket({ socketPath, host, port }: HaproxyOptions, signal: AbortSignal): Promise<string> {
  const socket = await openSocket(socketPath === undefined ? { host: host as string, port: port as number } : { path: socketPath }, signal)
  try {
    socket.write('show stat\n')
    return (await readSocket(socket, { maxBytes })).toString('utf8')
  } finally {
    socket.destroy()
  }
}

async function fromPage(options: HaproxyOptions, page: string, signal: AbortSignal): Promise<string> {
  const url = new URL(page.includes(';csv') ? page : `${page};csv`)
  const answer = await ask(options, { url, maxBytes, signal })
  if (answer.status !== 200) throw unexpected(answer, url.pathname)
  return answer.body.toString('utf8')
}

const columns = ['pxname', 'svname', 'type', 'status', 'scur', 'qcur', 'last_chk'] as const
type Row = Record<(typeof columns)[number], string>

/** The status of a server is `UP`, `UP 1/3`, `DOWN (agent)`, `MAINT (via …)`, `DRAIN`, `NOLB`, `no check`. */
function stateOf({ status }: Row): 'up' | 'down' | 'maintenance' {
  if (status.startsWith('DOWN') || status.startsWith('STOP')) return 'down'
  return status.startsWith('MAINT') || status.startsWith('DRAIN') ? 'maintenance' : 'up'
}

function judge({ backends: wanted }: HaproxyOptions, rows: Row[]): CheckResult {
  // `type` is 1 for a backend, 2 for a server. HAProxy's own pages are backends without servers.
  // HAProxy has no two backends of one name. If a peer sends several, the last row counts.
  const byName = new Map(rows.filter(({ type, svname }) => type === '1' && svname === 'BACKEND').map((row) => [row.pxname, row]))
  const backends = [...byName.values()]
  const servers = rows.filter(({ type }) => type === '2')
  const byBackend = Map.groupBy(servers, ({ pxname }) => pxname)
  const measurements: Measurement[] = backends.flatMap((backend) => {
    const name = backend.pxname
    const own = (byBackend.get(name) ?? []).map(stateOf)
    return [
      { name: 'skerry_haproxy_backend_up', labels: { backend: name }, value: stateOf(backend) === 'up' ? 1 : 0 },
      { name: 'skerry_haproxy_backend_sessions', labels: { backend: name }, value: Number(backend.scur || 0) },
      { name: 'skerry_haproxy_backend_queue', labels: { backend: name }, value: Number(backend.qcur || 0) },
      ...(['up', 'down', 'maintenance'] as const).map((state) => ({
        name: 'skerry_haproxy_backend_servers',
        labels: { backend: name, state },
        value: own.filter((each) => each === state).length,
      })),
    ].filter(({ value }) => !Number.isNaN(value))
  })
  const missing = wanted.filter((name) => !byName.has(name))
  if (missing.length > 0)
    return {
      state: 'down',
      reason: 'missing',
      detail: `There is no backend ${someOf(missing)}. Correct the configuration of HAProxy, or backends.`,
      measurements,
    }
  const name = ({ pxname, svname, last_chk }: Row) =>
    svname === 'BACKEND' ? pxname : `${pxname}/${svname}${last_chk === '' ? '' : ` (${shorten(last_chk, 60)})`}`
  const isWanted = ({ pxname }: Row) => wanted.length === 0 || wanted.includes(pxname)
  const [ownBackends, ownServers] = [backends.filter(isWanted), servers.filter(isWanted)]
  const downBackends = ownBackends.filter((row) => stateOf(row) === 'down')
  const downServers = ownServers.filter((row) => stateOf(row) === 'down')
  const which = `Down: ${someOf(downServers.map(name), 4)}. See these servers, and what their health checks ask for.`
  if (downBackends.length > 0)
    return {
      state: 'down',
      reason: 'unavailable',
      detail: shorten(`No server left in ${someOf(downBackends.map(name))}. ${downServers.length > 0 ? which : ''}`),
      measurements,
    }
  if (downServers.length > 0) return { state: 'degraded', reason: 'partly_unavailable', detail: shorten(which), measurements }
  return {
    state: 'up',
    detail: `${count(ownBackends.length, 'backend')} and ${count(ownServers.length, 'server')}, none down.`,
    measurements,
  }
}
