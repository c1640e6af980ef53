import { nodeArguments } from '../../deploy/node-arguments.ts'
import { startEmbeddedCluster } from '../cluster/index.ts'
import { bareStartMs } from './bare-node.ts'
import { bundled, withRegion } from './clusters.ts'
import { held, type Measurement, median, ms, sideBySide } from './measurement.ts'
import { processFacts } from './proc.ts'

/** As many starts of bare Node. */
export const atMost = 6

/** From the spawn of the agent until its log says that the region is ready, beside bare Node's own start. */
export const starting: Measurement = {
  name: 'start',
  title: `exec to ready ≤ ${atMost} × bare Node's own start, on the embedded cluster`,
  async measure({ bundle, tell }) {
    return withRegion(await startEmbeddedCluster(), bundled({ bundle }), async ({ region, agent }) => {
      await agent.stop() // the first one has created the region's key and its Lease
      const { one, other } = await sideBySide(
        { rounds: 9, warmUp: 1 },
        async (round) => {
          tell(`start ${round}`)
          const started = await region.startAgent(bundled({ bundle }))
          const { cpuMs } = processFacts(started.pid)
          await started.stop()
          return { readyMs: started.readyMs, cpuMs }
        },
        () => bareStartMs(nodeArguments.agent),
      )
      const readyMs = median(one.map(({ readyMs }) => readyMs))
      const cpuMs = median(one.map(({ cpuMs }) => cpuMs))
      const floorMs = median(other)
      return [
        {
          what: 'exec to ready',
          measured: ms(readyMs),
          against: `bare Node ${ms(floorMs)}`,
          ...held(readyMs / floorMs, { atMost }),
          numbers: { readyMs, floorMs },
        },
        { what: 'CPU time of the agent until then', measured: ms(cpuMs), numbers: { cpuMs } },
      ]
    })
  },
}
