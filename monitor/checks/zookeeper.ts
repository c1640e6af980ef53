import * as z from 'zod'
import { host, hostAndPort, port } from '../wire/fields.ts'
import { ask, below, credentialFields, httpUrl, jsonOf, targetOfUrl } from '../wire/http-access.ts'
import { CheckFailure } from '../wire/reasons.ts'
import { openSocket, readSocket } from '../wire/socket.ts'
import { tlsFields } from '../wire/tls.ts'
import { shorten, versionIn } from '../wire/wording.ts'
import { type CheckResult, checkKind, type Finding, type Measurement, resultOf } from './kind.ts'

const options = z
  .strictObject({
    host: host
      .optional()
      .describe('Host to ask by four-letter words. mntr tells the most; srvr is allowed by default. See 4lw.commands.whitelist.'),
    port: port.default(2181).describe('Client port.'),
    url: httpUrl.optional().describe('The AdminServer instead, such as http://zookeeper:8080.'),
    maxOutstanding: z.int().min(0).default(100).describe('Degraded when more requests are outstanding.'),
    maxLatencyMs: z.number().min(0).default(1000).describe('Degraded when the average latency is higher, in milliseconds.'),
    ...credentialFields,
    ...tlsFields,
  })
  .refine(({ host, url }) => (host === undefined) !== (url === undefined), { error: 'needs host or url, and not both', path: ['host'] })

type ZookeeperOptions = z.output<typeof options>

/** What the server reports, by the names of mntr. Times are in milliseconds. */
type Facts = Map<string, string>

/** Up when the server serves requests, and quickly. */
export const zookeeper = checkKind({
  about:
    'Asks with the four-letter word `mntr` or, if that is not allowed, `srvr`; or asks the AdminServer. Down when the server does not serve requests (no quorum). Degraded when requests pile up, when latency is high, or when followers or observers of a leader are not in sync.',
  example: { host: 'zookeeper.example.com' },
  options,
  measures: {
    skerry_zookeeper_info: {
      type: 'gauge',
      help: 'Always 1; version and role (leader, follower, observer, standalone, read-only, other) are its labels.',
      labels: ['version', 'role'],
    },
    skerry_zookeeper_latency_seconds: { type: 'gauge', help: 'Average latency of requests since the server started.' },
    skerry_zookeeper_outstanding_requests: { type: 'gauge', help: 'Outstanding requests.' },
    skerry_zookeeper_connections: { type: 'gauge', help: 'Client connections.' },
    skerry_zookeeper_znodes: { type: 'gauge', help: 'Znodes in the tree.' },
    skerry_zookeeper_followers: { type: 'gauge', help: "A leader's followers and observers, by state: synced, behind.", labels: ['state'] },
  },
  target: ({ host, port, url }) => (url === undefined ? hostAndPort({ host: host ?? '', port }) : targetOfUrl(url)),
  async check(options, { signal }) {
    const facts = options.url === undefined ? await byWords(options, signal) : await byAdminServer(options, options.url, signal)
    return judge(options, facts)
  },
})

async function byWords({ host, port }: ZookeeperOptions, signal: AbortSignal): Promise<Facts> {
  const word = async (word: string) => {
    const socket = await openSocket({ host: host as string, port }, signal)
    try {
      socket.write(word)
      return (await readSocket(socket, { maxBytes: 256 * 1024 })).toString('utf8')
    } finally {
      socket.destroy()
    }
  }
  const monitored = await word('mntr')
  refuseIdle(monitored)
  if (monitored.startsWith('zk_')) return new Map(monitored.split('\n').map((line) => line.split('\t', 2) as [string, string]))
  const answer = await word('srvr')
  refuseIdle(answer)
  if (answer.startsWith('Zookeeper version:')) return factsOfSrvr(answer)
  if (/not in the whitelist/.test(answer))
    throw new CheckFailure(
      'unauthorized',
      'The server allows neither mntr nor srvr. Add them to 4lw.commands.whitelist, or set url to the AdminServer.',
    )
  throw new CheckFailure(
    'protocol',
    `The server does not answer like ZooKeeper: ${shorten(answer, 60) || 'it closed the connection'}. Is this the right port?`,
  )
}

function refuseIdle(answer: string): void {
  if (/not currently serving requests/.test(answer))
    throw new CheckFailure(
      'unavailable',
      'The server runs but serves no requests: there is no quorum. Check the other servers of the ensemble, and the network between them.',
    )
}

/** The answer to srvr (`Latency min/avg/max: 0/0.5/3`, `Mode: standalone`, …) by the names of mntr. */
function factsOfSrvr(answer: string): Facts {
  const after = (name: string) => new RegExp(`^${name}: *(.*)$`, 'm').exec(answer)?.[1]?.trim()
  const facts: Facts = new Map()
  const put = (name: string, value: string | undefined) => value !== undefined && facts.set(name, value)
  put('zk_version', after('Zookeeper version'))
  put('zk_server_state', after('Mode'))
  put('zk_avg_latency', after('Latency min/avg/max')?.split('/')[1])
  put('zk_outstanding_requests', after('Outstanding'))
  put('zk_num_alive_connections', after('Connections'))
  put('zk_znode_count', after('Node count'))
  return facts
}

async function byAdminServer(options: ZookeeperOptions, url: string, signal: AbortSignal): Promise<Facts> {
  const answer = await ask(options, { url: below(url, '/commands/monitor'), signal })
  const found = await jsonOf(answer, z.record(z.string(), z.unknown()), { what: '/commands/monitor' })
  if (typeof found.error === 'string') {
    refuseIdle(found.error)
    throw new CheckFailure('failing', `The AdminServer says: ${shorten(found.error, 150)}. See the log of ZooKeeper.`)
  }
  return new Map(Object.entries(found).map(([name, value]) => [`zk_${name}`, String(value)]))
}

/** What ZooKeeper calls the states of a server. The server's text itself is no label: it could be any, and another one each time. */
const roles = new Set(['leader', 'follower', 'observer', 'standalone', 'read-only'])

function judge(options: ZookeeperOptions, facts: Facts): CheckResult {
  const said = facts.get('zk_server_state')
  const role = said !== undefined && roles.has(said) ? said : 'other'
  if (said === undefined) throw new CheckFailure('protocol', 'The server does not report its role. Is this ZooKeeper 3.4 or later?')
  const number = (name: string) => Number(facts.get(name) ?? Number.NaN)
  const [latency, outstanding] = [number('zk_avg_latency'), number('zk_outstanding_requests')]
  // 3.4 and 3.5 call them followers, later versions learners. Both include observers, which are counted apart once they are in sync.
  const synced = number('zk_synced_followers') + (number('zk_synced_observers') || 0)
  const all = Number.isNaN(number('zk_followers')) ? number('zk_learners') : number('zk_followers')
  const behind = Math.max(0, all - synced)
  const version = versionIn(/^[\d.]*/.exec(facts.get('zk_version') ?? '')?.[0] ?? '')
  const measurements: Measurement[] = [
    { name: 'skerry_zookeeper_info', labels: { version, role }, value: 1 },
    { name: 'skerry_zookeeper_latency_seconds', value: latency / 1000 },
    { name: 'skerry_zookeeper_outstanding_requests', value: outstanding },
    { name: 'skerry_zookeeper_connections', value: number('zk_num_alive_connections') },
    { name: 'skerry_zookeeper_znodes', value: number('zk_znode_count') },
    ...(role === 'leader'
      ? [
          { name: 'skerry_zookeeper_followers', labels: { state: 'synced' }, value: synced },
          { name: 'skerry_zookeeper_followers', labels: { state: 'behind' }, value: behind },
        ]
      : []),
  ].filter(({ value }) => !Number.isNaN(value))
  const found: Finding[] = []
  if (outstanding > options.maxOutstanding)
    found.push({ reason: 'limit', text: `${outstanding} requests are outstanding. Check the disk of the transaction log` })
  if (latency > options.maxLatencyMs)
    found.push({ reason: 'limit', text: `The average latency is ${Math.round(latency)} ms. Check the disk and the heap of the server` })
  if (role === 'leader' && behind > 0)
    found.push({ reason: 'partly_unavailable', text: `${behind} of ${all} followers and observers are not in sync. See their logs` })
  return resultOf(found, `Version ${version}, ${shorten(said, 20)}.`, measurements)
}
