import { mkdir, writeFile } from 'node:fs/promises'
import { startEmbeddedCluster, startRealCluster, startStandIns, type TestCluster, useGivenCluster } from '../cluster/index.ts'
import { startEmbeddedBroker } from '../peers/embedded-broker.ts'
import { type Births, bdSeqOf, countsOf, followBirths, showMessages } from './births.ts'
import { partsOf, withoutCredentials } from './broker-url.ts'
import { createClient } from './client.ts'
import { regionDefinitions } from './definitions.ts'
import { createDisplay, type Display } from './display.ts'
import { prepareRegion } from './index.ts'
import { folder, type RunningRegion, removePlace, waysToGoOn, writePlace } from './place.ts'
import { runScenario } from './scenario.ts'
import { showChecks, showObjects } from './tables.ts'

/** What is undone at the end, in the opposite order. */
type Undo = (() => Promise<unknown>)[]

/** As `npm start` was asked. */
export type Options = {
  once: boolean
  kubeconfig?: string | undefined
  real: boolean
  mqtt?: string | undefined
  log: string
  'monitor-log': string
}

/** Starts the region, shows the main job, and stays until it is told to stop, unless it is to run once. @throws Error when a step goes wrong */
export async function run(options: Options): Promise<void> {
  const display = createDisplay(process.stdout)
  const undo: Undo = []
  const stopped = stopSignal()
  try {
    const cluster = await startPlane(options, display)
    undo.push(() => cluster.stop())
    const { births, ...running } = await startRegion(cluster, options, undo, display)
    const { region, agent, monitor } = running
    const client = createClient({ url: agent.url, ca: region.ca, token: region.token })
    undo.push(async () => client.close())
    await Promise.race([runScenario(client, births, display), stopped.then(() => Promise.reject(new Error('interrupted')))])
    await showObjects(region.admin, display)
    await showChecks(monitor.url, display)
    display.line(`\nHeard over MQTT so far: ${countsOf(births.messages)}`)
    if (options.once) return
    display.line(waysToGoOn(running))
    await stopped
  } finally {
    display.live('  stopping')
    for (const step of undo.toReversed()) await step().catch((error) => display.line(`while stopping: ${error}`))
    display.line('Stopped.')
  }
}

async function startPlane({ kubeconfig, real }: Options, display: Display): Promise<TestCluster> {
  if (kubeconfig !== undefined) {
    display.line(`The cluster of ${kubeconfig}`)
    return useGivenCluster(kubeconfig)
  }
  display.live(real ? '  starting etcd, kube-apiserver and kube-controller-manager' : '  starting the embedded cluster')
  const crds = regionDefinitions()
  if (!real) return startEmbeddedCluster({ crds })
  return startRealCluster({ crds })
}

/** So that each has run before the scenario has ended. */
const often = { interval: '2s', timeout: '2s' }

async function startRegion(
  cluster: TestCluster,
  options: Options,
  undo: Undo,
  display: Display,
): Promise<RunningRegion & { births: Births }> {
  await mkdir(folder, { recursive: true })
  const keepAgentLog = keepLog(options.log, undo)
  const keepMonitorLog = keepLog(options['monitor-log'], undo)
  const region = await prepareRegion(cluster)
  undo.push(() => region.close())
  display.live('  starting the stand-ins: nodes, volumes, a load balancer and a Crate Operator')
  const standIns = await startStandIns(cluster, { operator: { stepMs: 120 } })
  undo.push(() => standIns.stop())
  const mqtt = { url: options.mqtt ?? (await startBroker(undo)), ...region.edgeNode }
  // Before the monitor, so that nothing it says is missed.
  const births = await followBirths(mqtt, showMessages(mqtt, display))
  undo.push(() => births.close())

  const sqlUrl = `${standIns.database.url}/{namespace}/{database}/_sql`
  const agent = await region.startAgent({
    config: { databases: { sqlUrl }, operations: { recheck: '2s' } },
    onLog: keepAgentLog,
  })
  display.line(
    `The agent answers at ${agent.url}, ready ${agent.readyMs.toFixed(0)} ms after its start; health and metrics at ${agent.adminUrl}`,
  )
  const { url, username } = partsOf(mqtt.url)
  const monitor = await region.startMonitor(mqtt, {
    config: { discovery: { databaseUrl: sqlUrl, interval: '2s', volumeInterval: '2s', timeout: '2s' } },
    checks: [
      ...(username === undefined ? [{ name: 'broker', kind: 'mqtt', url, protocolVersion: 4, ...often }] : []),
      { name: 'agent', kind: 'agent', url: agent.adminUrl, ...often },
      { name: 'agent-health', kind: 'http', url: `${agent.adminUrl}/healthz`, ...often },
    ],
    onLog: keepMonitorLog,
  })
  display.line(
    `The monitor answers at ${monitor.url}, ready ${monitor.readyMs.toFixed(0)} ms after its start; it announces the region at ${withoutCredentials(mqtt.url)}`,
  )
  const birth = await births.heard(({ verb }) => verb === 'NBIRTH', `The birth of ${mqtt.group}/${mqtt.node}`)
  // Last started is first stopped: it says so before it goes.
  undo.push(async () => {
    await monitor.stop()
    await births.heard((message) => message.verb === 'NDEATH' && bdSeqOf(message) === bdSeqOf(birth), 'The death of the node')
  })
  const running = { region, agent, monitor, mqtt }
  await writePlace(running)
  undo.push(removePlace)
  return { ...running, births }
}

async function startBroker(undo: Undo): Promise<string> {
  const broker = await startEmbeddedBroker()
  undo.push(() => broker.close())
  return broker.url
}

/** Gathers lines, which are written when all has ended. */
function keepLog(file: string, undo: Undo): (line: string) => void {
  const lines: string[] = []
  undo.push(() => writeFile(file, `${lines.join('\n')}\n`))
  return (line) => lines.push(line)
}

function stopSignal(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve())
  })
}
