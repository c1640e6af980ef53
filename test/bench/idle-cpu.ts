import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { nodeArguments } from '../../deploy/node-arguments.ts'
import { startEmbeddedCluster, startStandIns } from '../cluster/index.ts'
import { startEmbeddedBroker } from '../peers/embedded-broker.ts'
import { type Client, createClient } from '../region/client.ts'
import { prepareRegion } from '../region/index.ts'
import { startTakingCloud } from '../region/taking-cloud.ts'
import { bundled } from './clusters.ts'
import { databaseBody, databaseName, project, put, until } from './databases.ts'
import { type Bench, type Finding, held, type Measurement } from './measurement.ts'
import { asTest } from './peers.ts'
import { processFacts } from './proc.ts'

const [databases, hosts] = [10, 10]
/** Of a core. */
const atMost = 0.01
/** Until caches are synced, births are out and what was compiled is warm. */
const settleMs = 20_000
/** `SKERRY_BENCH_IDLE_SECONDS=30` is long enough for trying. */
const watchedSeconds = Number(process.env.SKERRY_BENCH_IDLE_SECONDS ?? 300)

/** The CPU time of agent and monitor while nothing happens, at default intervals, in parts of a core. */
export const idleCpu: Measurement = {
  name: 'idle-cpu',
  title: `agent and monitor at rest with ${databases} databases: ≤ ${atMost * 100} % of a core each, over ${watchedSeconds} s`,
  async measure(bench) {
    return asTest(async (t) => {
      const pids = await startLivingRegion(t, bench)
      bench.tell('settling')
      await sleep(settleMs)
      const before = pids.map(processFacts)
      bench.tell(`watching for ${watchedSeconds} s`)
      await sleep(watchedSeconds * 1000)
      const after = pids.map(processFacts)
      return ['agent', 'monitor'].map((what, index) => findingOf(what, (after[index]?.cpuMs ?? 0) - (before[index]?.cpuMs ?? 0)))
    })
  },
}

/** A region as it is on site: hosts that renew their Leases, databases that answer, a broker, and a cloud. @returns pids: agent, monitor */
async function startLivingRegion(t: TestContext, bench: Bench): Promise<[agent: number, monitor: number]> {
  const directory = await mkdtemp(join(tmpdir(), 'skerry-bench-'))
  const cluster = await startEmbeddedCluster()
  t.after(() => cluster.stop())
  const region = await prepareRegion(cluster, { directory })
  t.after(() => region.close())
  const standIns = await startStandIns(cluster, { nodes: hosts, kubelet: { renewMs: 10_000 }, operator: { stepMs: 5 } })
  t.after(() => standIns.stop())
  const sqlUrl = `${standIns.database.url}/{namespace}/{database}/_sql`
  const cloud = await startTakingCloud(t, region, directory)
  const agent = await region.startAgent({ ...bundled(bench), config: { cloud, databases: { sqlUrl } } })
  const client = createClient({ url: agent.url, ca: region.ca, token: region.token })
  t.after(() => client.close())
  bench.tell(`making ${databases} databases`)
  await makeDatabases(client)
  const broker = await startEmbeddedBroker()
  t.after(() => broker.close())
  const config = { discovery: { databaseUrl: sqlUrl } }
  const monitor = await region.startMonitor(broker, { program: bench.monitorBundle, nodeArguments: nodeArguments.monitor, config })
  return [agent.pid, monitor.pid]
}

async function makeDatabases(client: Client): Promise<void> {
  const base = `/v1/projects/${project}`
  await put(client, base, { quota: { databases } })
  for (let index = 0; index < databases; index++)
    await put(client, `${base}/databases/${databaseName(index)}`, databaseBody(databaseName(index)))
  await until(async () => {
    const { body } = await client.call('GET', `${base}/databases`)
    return body.items.every(
      ({ status }: { status: { phase: string; health: { value: string | null } } }) => status.health.value === 'GREEN',
    )
  }, 120_000)
}

function findingOf(what: string, cpuMs: number): Finding {
  const part = cpuMs / (watchedSeconds * 1000)
  return {
    what: `${what} at rest with ${databases} databases`,
    measured: `${(part * 100).toFixed(2)} % of a core`,
    against: `budget ${atMost * 100} %`,
    ...held(part / atMost, { atMost: 1 }),
    numbers: { cpuMs, watchedSeconds },
  }
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
