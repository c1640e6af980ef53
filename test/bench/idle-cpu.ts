import { nodeArguments } from '../../deploy/node-arguments.ts'
import { startEmbeddedCluster } from '../cluster/index.ts'
import { startEmbeddedBroker } from '../peers/embedded-broker.ts'
import { bundled, withRegion } from './clusters.ts'
import { createDatabases, createProject, makeOriginal } from './databases.ts'
import { type Finding, held, type Measurement } from './measurement.ts'
import { processFacts } from './proc.ts'

const databases = 10
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
    const original = await makeOriginal(bench)
    const broker = await startEmbeddedBroker()
    try {
      return await withRegion(await startEmbeddedCluster(), bundled(bench), async ({ region, agent }) => {
        await createProject(region.admin, original)
        await createDatabases(region.admin, original, { count: databases })
        const monitor = await region.startMonitor(broker, { program: bench.monitorBundle, nodeArguments: nodeArguments.monitor })
        bench.tell('settling')
        await sleep(settleMs)
        const before = [agent.pid, monitor.pid].map(processFacts)
        bench.tell(`watching for ${watchedSeconds} s`)
        await sleep(watchedSeconds * 1000)
        const after = [agent.pid, monitor.pid].map(processFacts)
        await monitor.stop()
        bench.note('the databases answer no SQL here, so the checks of the monitor find them down')
        return ['agent', 'monitor'].map((what, index) => findingOf(what, (after[index]?.cpuMs ?? 0) - (before[index]?.cpuMs ?? 0)))
      })
    } finally {
      await broker.close()
    }
  },
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
