import { rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { startEmbeddedCluster, startRealCluster, startStandIns, type TestCluster, useGivenCluster } from '../cluster/index.ts'
import { startEmbeddedBroker } from '../peers/embedded-broker.ts'
import { type Births, bdSeqOf, countsOf, followBirths, showMessages } from './births.ts'
import { partsOf, withoutCredentials } from './broker-url.ts'
import { createClient } from './client.ts'
import { type Cloud, join, startCloud } from './cloud.ts'
import { regionDefinitions } from './definitions.ts'
import { createDisplay, type Display } from './display.ts'
import { type OwnFolder, takeFolder } from './folder.ts'
import { countsOfRequests, showRequests } from './heard.ts'
import { missingImage } from './images.ts'
import { prepareRegion } from './index.ts'
import { openLog } from './log-file.ts'
import { filesIn, type RunningRegion, removePlace, waysToGoOn, writePlace } from './place.ts'
import { project, runScenario } from './scenario.ts'
import { showChecks, showObjects } from './tables.ts'
import { createUndertaking, type Undertaking } from './undertaking.ts'

/** As `npm start` was asked. */
export type Options = {
  once: boolean
  port?: number | undefined
  mqttPort?: number | undefined
  kubeconfig?: string | undefined
  real: boolean
  mqtt?: string | undefined
  log?: string | undefined
  monitorLog?: string | undefined
}

/**
 * Starts the region, shows the main job, and stays until `stopping` aborts, unless it is to run once.
 * @returns the exit code: 130 if it was interrupted before it had run once
 * @throws Error when a step goes wrong
 */
export async function run(options: Options, stopping: AbortSignal): Promise<number> {
  const display = createDisplay(process.stdout)
  const work = createUndertaking(stopping)
  const announceStop = () => display.live('  stopping')
  stopping.addEventListener('abort', announceStop)
  try {
    const own = await work.take(takeFolder, (taken) => taken.release())
    if (own.number > 1) display.line(`Another region runs in this checkout. This is ${idOf(own)}, and its files are in ${own.folder}.`)
    await work.wait(removePlace(own.folder)) // of one that was killed
    const cluster = await work.take(
      () => startPlane(options, display),
      (started) => started.stop(),
    )
    const { births, ...running } = await startRegion(cluster, { options, own, work, stopping, display })
    const { region, agent, monitor } = running
    const client = createClient({ url: agent.url, ca: region.ca, token: region.token })
    await work.take(
      async () => client,
      () => client.close(),
    )
    await work.wait(runScenario(client, births, display))
    await work.wait(showObjects(region.admin, display))
    await work.wait(showChecks(monitor.url, `database/${project.id}/tidal-gauge`, display))
    display.line(`\nHeard over MQTT so far: ${countsOf(births.messages)}`)
    display.line(`Heard by the cloud so far: ${countsOfRequests(running.cloud.heard)}`)
    if (!options.once) {
      display.line(waysToGoOn(running, own.folder))
      await work.wait(new Promise(() => {}))
    }
  } catch (error) {
    if (!stopping.aborted) throw error
    return options.once ? 130 : 0
  } finally {
    announceStop()
    await work.end((error) => display.line(`while stopping: ${error}`))
    display.line('Stopped.')
  }
  return 0
}

const idOf = ({ number }: OwnFolder) => `harbour-${number}`

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

type Tools = { options: Options; own: OwnFolder; work: Undertaking; stopping: AbortSignal; display: Display }

async function startRegion(cluster: TestCluster, tools: Tools): Promise<RunningRegion & { births: Births }> {
  const { options, own, work, stopping, display } = tools
  const log = async (file: string) =>
    work.take(
      async () => openLog(file),
      (opened) => opened.close(),
    )
  const agentLog = await log(options.log ?? `${own.folder}/agent.log`)
  const monitorLog = await log(options.monitorLog ?? `${own.folder}/monitor.log`)
  const { cloud, caFile } = await startOwnCloud(tools)
  const region = await work.take(
    () => prepareRegion(cluster, { id: idOf(own), directory: path.resolve(own.folder, 'run') }),
    (prepared) => prepared.close(),
  )
  display.live('  starting the stand-ins: nodes, volumes, a load balancer and a Crate Operator')
  const standIns = await work.take(
    () => startStandIns(cluster, { operator: { stepMs: 120 }, kubelet: { missingImage } }),
    (started) => started.stop(),
  )
  const broker = async () => {
    const started = await work.take(
      () => startEmbeddedBroker({ port: options.mqttPort }),
      (running) => running.close(),
    )
    return started.url
  }
  const mqtt = { url: options.mqtt ?? (await broker()), ...region.edgeNode }
  // Before the monitor, so that nothing it says is missed.
  const births = await work.take(
    () => followBirths(mqtt, showMessages(mqtt, display)),
    (followed) => followed.close(),
  )

  display.live('  starting the agent')
  const sqlUrl = `${standIns.database.url}/{namespace}/{database}/_sql`
  const agent = await work.take(() =>
    region.startAgent({
      config: {
        api: { port: options.port ?? 0 },
        databases: { sqlUrl },
        operations: { recheck: '2s' },
        cloud: { url: cloud.url, caFile, tags: { quay: '4' }, heartbeat: '15s', gather: '1s' },
      },
      onLog: agentLog.line,
      signal: stopping,
    }),
  )
  display.line(
    `The agent answers at ${agent.url}, ready ${agent.readyMs.toFixed(0)} ms after its start; health and metrics at ${agent.adminUrl}`,
  )
  // Meanwhile the monitor starts.
  const joining = join(cloud, region, display, stopping)
  joining.catch(() => {}) // it is waited for below, unless something else goes wrong before
  display.live('  starting the monitor')
  const { url, username } = partsOf(mqtt.url)
  const monitor = await work.take(
    () =>
      region.startMonitor(mqtt, {
        config: { discovery: { databaseUrl: sqlUrl, interval: '2s', volumeInterval: '2s', timeout: '2s' } },
        checks: [
          ...(username === undefined ? [{ name: 'broker', kind: 'mqtt', url, protocolVersion: 4, ...often }] : []),
          { name: 'agent', kind: 'agent', url: agent.adminUrl, ...often },
          { name: 'agent-health', kind: 'http', url: `${agent.adminUrl}/healthz`, ...often },
        ],
        onLog: monitorLog.line,
        signal: stopping,
      }),
    // Last started is first stopped: it says so before it goes.
    async (started) => {
      await started.stop()
      const birth = births.messages.find(({ verb }) => verb === 'NBIRTH')
      if (birth) await births.heard((message) => message.verb === 'NDEATH' && bdSeqOf(message) === bdSeqOf(birth), 'The death of the node')
    },
  )
  display.line(
    `The monitor answers at ${monitor.url}, ready ${monitor.readyMs.toFixed(0)} ms after its start; it announces the region at ${withoutCredentials(mqtt.url)}`,
  )
  await work.wait(births.heard(({ verb }) => verb === 'NBIRTH', `The birth of ${mqtt.group}/${mqtt.node}`))
  await work.wait(joining)
  const running = { region, cloud, agent, monitor, mqtt }
  await work.take(
    () => writePlace(own.folder, running),
    () => removePlace(own.folder),
  )
  display.line(`Files for other programs: ${own.folder}/region.json and beside it`)
  return { ...running, births }
}

/** The cloud, and where the agent finds the authority of its certificate. It outlives the region. */
async function startOwnCloud({ own, work, display }: Tools): Promise<{ cloud: Cloud; caFile: string }> {
  const cloud = await work.take(
    () => startCloud(showRequests(display)),
    (started) => started.close(),
  )
  const caFile = path.resolve(filesIn(own.folder).cloudCa)
  await work.take(
    () => writeFile(caFile, cloud.ca),
    () => rm(caFile, { force: true }),
  )
  display.line(`The cloud answers at ${cloud.url}`)
  return { cloud, caFile }
}
