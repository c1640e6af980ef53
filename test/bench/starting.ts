import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { startEmbeddedCluster } from '../cluster/embedded/index.ts'
import { bundled, withRegion } from './clusters.ts'
import { type Measurement, median, ms, sideBySide, timed } from './measurement.ts'
import { processFacts } from './proc.ts'

const run = promisify(execFile)
const budgetMs = 400

/** From the start of the process until it says that the region is ready, beside a Node that does nothing. */
export const starting: Measurement = {
  name: 'start',
  title: 'exec to ready ≤ 0.4 s on the embedded cluster',
  async measure({ bundle, tell }) {
    return withRegion(await startEmbeddedCluster(), bundled({ bundle }), async ({ region, agent }) => {
      await agent.stop() // with the first one, the region is made: its key, its Lease
      const { one, other } = await sideBySide(
        { rounds: 9, warmUp: 1 },
        async (round) => {
          tell(`start ${round}`)
          const started = await region.startAgent(bundled({ bundle }))
          const { cpuMs } = processFacts(started.pid)
          await started.stop()
          return { readyMs: started.readyMs, cpuMs }
        },
        () => timed(() => run(process.execPath, ['--eval', '0'])),
      )
      const readyMs = median(one.map(({ readyMs }) => readyMs))
      const cpuMs = median(one.map(({ cpuMs }) => cpuMs))
      const floorMs = median(other)
      return [
        {
          what: 'exec to ready',
          measured: ms(readyMs),
          against: `Node itself ${ms(floorMs)}`,
          ratio: readyMs / floorMs,
          budget: { text: `≤ ${budgetMs} ms`, met: readyMs <= budgetMs },
          numbers: { readyMs, floorMs },
        },
        { what: 'CPU time until then', measured: ms(cpuMs), numbers: { cpuMs } },
      ]
    })
  },
}
