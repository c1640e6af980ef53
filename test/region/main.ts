import { mkdir, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { regionDefinitions } from '../cluster/definitions.ts'
import { startEmbeddedCluster } from '../cluster/embedded/index.ts'
import type { TestCluster } from '../cluster/index.ts'
import { useGivenCluster } from '../cluster/real/given.ts'
import { startRealCluster } from '../cluster/real/index.ts'
import { startStandIns } from '../cluster/stand-ins/index.ts'
import type { AgentProcess } from './agent-process.ts'
import { createClient } from './client.ts'
import { createDisplay, type Display } from './display.ts'
import { prepareRegion, type Region } from './region.ts'
import { runScenario } from './scenario.ts'
import { showObjects } from './tables.ts'

const help = `npm start -- [options]: a whole region on this machine

  --once              end after the scenario: 0 when every step succeeded
  --kubeconfig FILE   do it on this cluster, as its administrator, rather than on the embedded one
  --real              do it on a control plane of its own, built by test/cluster/real/build.sh
  --log FILE          write the agent's log there (.skerry/agent.log)
  --help

It writes .skerry/region.json, so that other programs can find the region.
`

const files = { region: '.skerry/region.json', ca: '.skerry/ca.pem', token: '.skerry/token', kubeconfig: '.skerry/kubeconfig' }

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      once: { type: 'boolean', default: false },
      kubeconfig: { type: 'string' },
      real: { type: 'boolean', default: false },
      log: { type: 'string', default: '.skerry/agent.log' },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) {
    process.stdout.write(help)
    return
  }
  const display = createDisplay(process.stdout)
  const undo: (() => Promise<unknown>)[] = []
  const stopped = stopSignal()
  try {
    const cluster = await startPlane(values, display)
    undo.push(() => cluster.stop())
    const { region, agent } = await startRegion(cluster, values.log, undo, display)
    const client = createClient({ url: agent.url, ca: region.ca, token: region.token })
    undo.push(async () => client.close())
    await Promise.race([runScenario(client, display), stopped.then(() => Promise.reject(new Error('interrupted')))])
    await showObjects(region.admin, display)
    if (values.once) return
    display.line(waysToGoOn(agent))
    await stopped
  } finally {
    display.live('  stopping')
    for (const step of undo.toReversed()) await step().catch((error) => display.line(`while stopping: ${error}`))
    display.line('Stopped.')
  }
}

function startPlane({ kubeconfig, real }: { kubeconfig?: string | undefined; real: boolean }, display: Display): Promise<TestCluster> {
  if (kubeconfig !== undefined) {
    display.line(`The cluster of ${kubeconfig}`)
    return useGivenCluster(kubeconfig)
  }
  display.live(real ? '  starting etcd, kube-apiserver and kube-controller-manager' : '  starting the embedded cluster')
  const crds = regionDefinitions()
  return real ? startRealCluster({ crds }) : startEmbeddedCluster({ crds })
}

async function startRegion(
  cluster: TestCluster,
  log: string,
  undo: (() => Promise<unknown>)[],
  display: Display,
): Promise<{ region: Region; agent: AgentProcess }> {
  await mkdir('.skerry', { recursive: true })
  const region = await prepareRegion(cluster)
  undo.push(() => region.close())
  display.live('  starting the stand-ins: nodes, volumes, a load balancer and a Crate Operator')
  const standIns = await startStandIns(cluster, { operator: { stepMs: 120 } })
  undo.push(() => standIns.stop())
  const lines: string[] = []
  const agent = await region.startAgent({
    config: { databases: { sqlUrl: `${standIns.database.url}/{namespace}/{database}/_sql` }, operations: { recheck: '2s' } },
    onLog: (line) => lines.push(line),
  })
  undo.push(() => writeFile(log, `${lines.join('\n')}\n`))
  display.line(
    `The agent answers at ${agent.url}, ready ${agent.readyMs.toFixed(0)} ms after its start; health and metrics at ${agent.adminUrl}`,
  )
  await describe(region, agent)
  // All of it is worthless once the region has ended.
  undo.push(() => Promise.all(Object.values(files).map((path) => rm(path, { force: true }))))
  return { region, agent }
}

/** Writes where everything is, for other programs. It holds a token, so nobody else may read it. */
async function describe(region: Region, agent: AgentProcess): Promise<void> {
  await writeFile(files.ca, region.ca)
  await writeFile(files.kubeconfig, region.cluster.kubeconfig(), { mode: 0o600 })
  await writeFile(files.token, region.token, { mode: 0o600 })
  const found = {
    agent: { url: agent.url, ca: region.ca, token: region.token },
    admin: { url: agent.adminUrl },
    kubeconfig: path.resolve(files.kubeconfig),
  }
  await writeFile(files.region, `${JSON.stringify(found, null, 2)}\n`, { mode: 0o600 })
}

function waysToGoOn({ url, adminUrl }: AgentProcess): string {
  const curl = 'curl --cacert .skerry/ca.pem -H "Authorization: Bearer $(cat .skerry/token)"'
  return `
Go on with
  ${curl} ${url}/v1/projects/harbour/databases/tidal-gauge
  ${curl} -X POST ${url}/v1/projects/harbour/databases/tidal-gauge/actions/restart -H 'content-type: application/json' -d '{}'
  ${curl} -N ${url}/v1/events
  curl ${adminUrl}/metrics
  kubectl --kubeconfig .skerry/kubeconfig get projects,operations,cratedbs -A
The API is described at ${url}/docs. Ctrl-C ends it all.`
}

function stopSignal(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve())
  })
}

await main().then(
  () => process.exit(0),
  (error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.message : error}\n`)
    process.exit(1)
  },
)
