import { Agent } from 'node:https'
import * as z from 'zod'
import { needApiServer, parseHealthParts } from '../wire/api-server.ts'
import { ask, below, httpFields, httpUrl, jsonOf, targetOfUrl } from '../wire/http-access.ts'
import type { Answer } from '../wire/http-exchange.ts'
import { CheckFailure } from '../wire/reasons.ts'
import { count, shorten, someOf, versionIn } from '../wire/wording.ts'
import { type CheckContext, type CheckResult, checkKind, type Measurement } from './kind.ts'

const options = z.strictObject({
  url: httpUrl
    .optional()
    .describe("The URL of the API server. By default, the API server of the monitor's own cluster, with the monitor's own credentials."),
  hosts: z.boolean().default(true).describe('Whether to look at the hosts (nodes), which requires the right to list nodes.'),
  minHostsReady: z.int().min(0).default(1).describe('Down when fewer hosts are ready.'),
  ...httpFields,
})

type KubernetesOptions = z.output<typeof options>
type Get = (path: string, accept?: string) => Promise<Answer>

const version = z.object({ gitVersion: z.string().max(100) })
// Kubernetes supports 5,000 hosts.
const table = z.object({
  columnDefinitions: z.array(z.object({ name: z.string() })).max(100),
  rows: z
    .array(z.object({ cells: z.array(z.unknown()) }))
    .max(20_000)
    .default([]),
})

/** Up when the API server is live and ready, and all hosts are ready. */
export const kubernetes = checkKind({
  about:
    'Asks the API server for `/livez`, `/readyz` and `/version`, and lists the hosts. Down when the API server is not live or not ready (the detail names the failing parts), or when fewer than `minHostsReady` hosts are ready. Degraded when a host is not ready.',
  example: { url: 'https://10.0.0.1:6443', tokenFile: '/etc/skerry/token', caFile: '/etc/skerry/ca.crt' },
  options,
  measures: {
    skerry_kubernetes_info: { type: 'gauge', help: 'Always 1; the version of the API server is its label.', labels: ['version'] },
    skerry_kubernetes_failing_parts: { type: 'gauge', help: 'Failing parts of the API server, by endpoint.', labels: ['endpoint'] },
    skerry_kubernetes_hosts: {
      type: 'gauge',
      help: 'Hosts, by condition: ready, not_ready, and cordoned (a cordoned host is also ready or not_ready).',
      labels: ['condition'],
    },
  },
  target: ({ url }) => (url === undefined ? 'cluster' : targetOfUrl(url)),
  async check(options, context) {
    // Each run tests whether a new client gets through, with one connection: a handshake costs more than the answers.
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    try {
      return await judgeServer(options, getter(options, context, agent))
    } finally {
      agent.destroy()
    }
  },
})

async function judgeServer(options: KubernetesOptions, get: Get): Promise<CheckResult> {
  const measurements: Measurement[] = []
  for (const endpoint of ['livez', 'readyz'] as const) {
    const answer = await get(`/${endpoint}?verbose`)
    refuseUnauthorized(answer, `/${endpoint}`)
    const { failed } = parseHealthParts(answer.body.toString('utf8'))
    measurements.push({ name: 'skerry_kubernetes_failing_parts', labels: { endpoint }, value: failed.length })
    if (answer.status === 200) continue
    const what = endpoint === 'livez' ? 'not live' : 'not ready'
    const parts =
      failed.length > 0
        ? `these parts fail: ${someOf(failed)}`
        : `status ${answer.status}: ${shorten(answer.body.toString('utf8', 0, 300), 100)}`
    return {
      state: 'down',
      reason: endpoint === 'livez' ? 'failing' : 'unavailable',
      detail: `The API server is ${what}; ${parts}. See its log; if etcd is named, see etcd first.`,
      measurements,
    }
  }
  const gitVersion = shorten((await jsonOf(await get('/version'), version, { what: '/version' })).gitVersion, 60)
  measurements.push({ name: 'skerry_kubernetes_info', labels: { version: versionIn(gitVersion) }, value: 1 })
  return options.hosts
    ? judgeHosts(options, get, gitVersion, measurements)
    : { state: 'up', detail: `${gitVersion} is live and ready.`, measurements }
}

function getter(options: KubernetesOptions, { signal, apiServer }: CheckContext, agent: Agent): Get {
  const { url } = options
  const maxBytes = 8 * 1024 * 1024
  if (url === undefined) {
    const server = needApiServer(apiServer)
    return (path, accept = '*/*') => server.get(path, { signal, accept, maxBytes, kept: agent })
  }
  return async (path, accept = '*/*') => {
    return ask(options, { url: below(url, path), headers: { Accept: accept }, maxBytes, signal }, { refused: 'returned' })
  }
}

function refuseUnauthorized({ status }: Answer, path: string): void {
  if (status === 401 || status === 403)
    throw new CheckFailure(
      'unauthorized',
      `The API server answered ${status} to ${path}. Check that the token is current. The ClusterRole system:public-info-viewer grants access to this path.`,
    )
}

async function judgeHosts(
  { minHostsReady }: KubernetesOptions,
  get: Get,
  gitVersion: string,
  measurements: Measurement[],
): Promise<CheckResult> {
  // A table without the objects has a few hundred bytes for each host; the object has ten thousand.
  const answer = await get('/api/v1/nodes?includeObject=None', 'application/json;as=Table;v=v1;g=meta.k8s.io')
  if (answer.status === 401 || answer.status === 403)
    return {
      state: 'degraded',
      reason: 'unauthorized',
      detail: `${gitVersion} is live and ready, but the monitor may not see the hosts. Grant it "list nodes", or set hosts: false.`,
      measurements,
    }
  const { columnDefinitions, rows } = await jsonOf(answer, table, { what: 'the list of nodes' })
  const [name, status] = ['Name', 'Status'].map((column) => columnDefinitions.findIndex((each) => each.name === column)) as [number, number]
  if (name === -1 || status === -1)
    throw new CheckFailure('protocol', 'The list of nodes has no columns Name and Status. Is this a Kubernetes API server?')
  const hosts = rows.map(({ cells }) => ({ name: String(cells[name]), status: String(cells[status]).split(',') }))
  const notReady = hosts.filter((host) => !host.status.includes('Ready'))
  const ready = hosts.length - notReady.length
  const cordoned = hosts.filter((host) => host.status.includes('SchedulingDisabled')).length
  for (const [condition, value] of Object.entries({ ready, not_ready: notReady.length, cordoned }))
    measurements.push({ name: 'skerry_kubernetes_hosts', labels: { condition }, value })
  const sick =
    notReady.length === 0
      ? ''
      : ` Not ready: ${someOf(notReady.map((host) => host.name))}; see kubectl describe node, and the kubelet on that host.`
  const detail = `${gitVersion}, ${ready} of ${count(hosts.length, 'host')} ready.${sick}`
  if (ready < minHostsReady)
    return { state: 'down', reason: 'unavailable', detail: `${detail} At least ${minHostsReady} must be ready.`, measurements }
  if (notReady.length > 0) return { state: 'degraded', reason: 'partly_unavailable', detail, measurements }
  return { state: 'up', detail, measurements }
}
