import { mkdtemp, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import mqtt from 'mqtt'
import { startCluster, startStandIns } from '../cluster/index.ts'
import { startMosquitto } from '../monitor/sparkplug/mosquitto.ts'
import { encode } from '../monitor/sparkplug/schema.ts'
import { startPrometheus } from '../peers/prometheus.ts'
import { type Client, createClient } from '../region/client.ts'
import { regionDefinitions } from '../region/definitions.ts'
import { prepareRegion } from '../region/index.ts'
import { database, persistent, project } from '../region/scenario.ts'
import { startTakingCloud } from '../region/taking-cloud.ts'
import { createAuthority } from '../shared/certificates.ts'
import { ruleFiles } from './observability.ts'

const often = { interval: '2s', timeout: '2s' }

/** A region in which everything that can be seen of one is seen, and a real Prometheus that scrapes it and evaluates the rules. */
export type ObservedRegion = {
  prometheus: { url: string }
  /** Where Prometheus scrapes the programs. */
  instances: { agent: string; monitor: string }
  /** Take something away, wait, and bring it back. While the API server is away, the API is asked for something. */
  withoutBroker(wait: () => Promise<void>): Promise<void>
  withoutApiServer(wait: () => Promise<void>): Promise<void>
}

export async function startObservedRegion(t: TestContext): Promise<ObservedRegion> {
  const cluster = await startCluster({ crds: regionDefinitions() })
  t.after(() => cluster.stop())
  const standIns = await startStandIns(cluster, { operator: { stepMs: 120 } })
  t.after(() => standIns.stop())
  const directory = await mkdtemp(join(tmpdir(), 'skerry-observed-'))
  const region = await prepareRegion(cluster, { directory, sqlUrl: `${standIns.database.url}/{namespace}/{database}/_sql` })
  t.after(() => region.close())
  const broker = await startMosquitto(t)
  await region.admin.request({ method: 'POST', path: '/apis/skerry.dev/v1/namespaces/skerry/sparkplugnodes', body: crane })

  const cloud = await startTakingCloud(t, region, directory)
  const tls = { certFile: join(directory, 'tls/tls.crt'), keyFile: join(directory, 'tls/tls.key'), ...(await clientFiles(directory)) }
  const config = { cloud, operations: { recheck: '2s' }, api: { host: '127.0.0.1', port: 0, tls } }
  const agent = await region.startAgent({ config })
  const apiPort = Number(new URL(agent.url).port)
  const monitor = await region.startMonitor(broker, {
    config: { discovery: { databaseUrl: `${standIns.database.url}/{namespace}/{database}/_sql`, ...often, volumeInterval: '2s' } },
    checks: [
      { name: 'api', kind: 'tls', host: '127.0.0.1', port: apiPort, verify: false, ...often },
      { name: 'api-answers', kind: 'http', url: `${agent.url}/healthz`, verify: false, expectStatus: [200, 401, 404], ...often },
      { name: 'tunnel', kind: 'cloudflared', url: await startTunnel(t), ...often },
      { name: 'full', kind: 'volume', namespace: 'project-harbour', database: 'tidal-gauge', warnAt: 0.001, ...sqlOf(standIns), ...often },
      { name: 'closed', kind: 'tcp', host: '127.0.0.1', port: 1, ...often },
    ],
  })
  publishAs(t, broker.url)

  const [adminPort, metricsPort] = [agent.adminUrl, monitor.url].map((url) => Number(new URL(url).port)) as [number, number]
  const prometheus = await startPrometheus(t, {
    ruleFiles,
    jobs: [podJob('skerry-agent', adminPort, 'admin'), podJob('skerry-monitor', metricsPort, 'metrics')],
  })

  const client = createClient({ url: agent.url, ca: region.ca, token: region.token })
  t.after(() => client.close())
  await makeDatabases(client)
  await region.admin.request({ method: 'DELETE', path: '/apis/skerry.dev/v1/namespaces/skerry/operations/op-0000000001' })
  return {
    prometheus,
    instances: { agent: `127.0.0.1:${adminPort}`, monitor: `127.0.0.1:${metricsPort}` },
    async withoutBroker(wait) {
      await broker.kill()
      await wait().finally(() => broker.start())
    },
    async withoutApiServer(wait) {
      await cluster.suspend()
      const ended = new AbortController()
      const asking = keepAsking(client, ended.signal)
      await wait().finally(async () => {
        ended.abort()
        await asking
        await cluster.resume()
      })
    },
  }
}

/** The CA certificate of clients, and its revocation list. */
async function clientFiles(directory: string) {
  const authority = await createAuthority('CA of the harbour')
  const [clientCaFile, clientCrlFile] = [join(directory, 'clients.crt'), join(directory, 'clients.crl')]
  await writeFile(clientCaFile, authority.cert)
  await writeFile(clientCrlFile, authority.revocationList([]))
  return { clientCaFile, clientCrlFile }
}

/** Requests that need the API server. */
async function keepAsking(client: Client, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await client.call('PUT', '/v1/projects/adrift', { body: { ...project, id: 'adrift' } }).catch(() => {})
    await sleep(250)
  }
}

/** A scrape configuration with the name and the labels that the operator of Prometheus makes of a PodMonitor. */
function podJob(name: string, port: number, endpoint: string) {
  const labels = { namespace: 'skerry', pod: `${name}-0`, container: name, endpoint }
  return { job_name: `skerry/${name}`, static_configs: [{ targets: [`127.0.0.1:${port}`], labels }] }
}

/** A watched edge node that reports every second. */
const crane = {
  apiVersion: 'skerry.dev/v1',
  kind: 'SparkplugNode',
  metadata: { name: 'crane', namespace: 'skerry' },
  spec: { address: { group: 'site', node: 'crane' }, interval: 5 },
}

function publishAs(t: TestContext, url: string): void {
  const client = mqtt.connect(url, { clientId: 'crane' })
  let seq = 0
  const timer = setInterval(() => {
    client.publish('spBv1.0/site/NDATA/crane', encode({ timestamp: Date.now(), seq: seq++ % 256, metrics: [] }))
  }, 1_000)
  t.after(async () => {
    clearInterval(timer)
    await client.endAsync(true)
  })
}

/** What cloudflared answers at /ready, as its documentation has it: there is none to be had here. */
async function startTunnel(t: TestContext): Promise<string> {
  const server = createServer((_request, response) => response.end(JSON.stringify({ status: 200, readyConnections: 4, connectorId: 'c' })))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close())
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

function sqlOf({ database: { url } }: { database: { url: string } }) {
  return {
    url: `${url}/project-harbour/tidal-gauge/_sql`,
    username: 'system',
    passwordSecret: { namespace: 'project-harbour', name: 'user-system-tidal-gauge', key: 'password' },
  }
}

/** A project with a database and one that was deleted, and one request that is refused. */
async function makeDatabases(client: Client): Promise<void> {
  const send = async (method: string, path: string, body: object | undefined, status: number) => {
    const options = { ...(body && { body }), headers: { prefer: 'wait=60' }, timeoutMs: 90_000 }
    const answer = await persistent(client).call(method, path, options)
    if (answer.status !== status) throw new Error(`${method} ${path}: ${answer.status} ${answer.text}`)
  }
  const put = (path: string, body: object, status: number) => send('PUT', path, body, status)
  await put(`/v1/projects/${project.id}`, project, 200)
  await put(`/v1/projects/${project.id}/databases/tidal-gauge`, database('crate-premium'), 200)
  await put(`/v1/projects/${project.id}/databases/refused`, {}, 422)
  await put(`/v1/projects/${project.id}/databases/former-gauge`, { ...database('crate-premium'), id: 'former-gauge' }, 200)
  await send('DELETE', `/v1/projects/${project.id}/databases/former-gauge`, undefined, 200)
}
