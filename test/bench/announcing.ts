import { nodeArguments } from '../../deploy/node-arguments.ts'
import { startEmbeddedBroker } from '../peers/embedded-broker.ts'
import { bareStartMs } from './bare-node.ts'
import { startLoneMonitor } from './lone-monitor.ts'
import { held, type Measurement, median, ms, sideBySide } from './measurement.ts'
import { atMost } from './starting.ts'

/** From the spawn of the monitor until the broker has its NBIRTH, beside bare Node's own start. */
export const announcing: Measurement = {
  name: 'announce',
  title: `exec to NBIRTH ≤ ${atMost} × bare Node's own start`,
  async measure({ monitorBundle, tell }) {
    const broker = await startEmbeddedBroker()
    let heard = Promise.withResolvers<number>()
    broker.aedes.on('publish', ({ topic }) => {
      if (topic.includes('/NBIRTH/')) heard.resolve(performance.now())
    })
    const start = async (round: number) => {
      tell(`start ${round}`)
      heard = Promise.withResolvers()
      const monitor = await startLoneMonitor({ program: monitorBundle, sparkplug: broker })
      const took = (await heard.promise) - monitor.startedAt
      await monitor.stop()
      return took
    }
    try {
      const { one, other } = await sideBySide({ rounds: 9, warmUp: 1 }, start, () => bareStartMs(nodeArguments.monitor))
      const [birthMs, floorMs] = [median(one), median(other)]
      return [
        {
          what: 'exec to NBIRTH',
          measured: ms(birthMs),
          against: `bare Node ${ms(floorMs)}`,
          ...held(birthMs / floorMs, { atMost }),
          numbers: { birthMs, floorMs },
        },
      ]
    } finally {
      await broker.close()
    }
  },
}
