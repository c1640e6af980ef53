import { startEmbeddedBroker } from '../peers/embedded-broker.ts'
import { startLoneMonitor } from './lone-monitor.ts'
import { type Measurement, median, ms } from './measurement.ts'

const budgetMs = 400
const rounds = 9

/** From the start of the process until the broker has its NBIRTH. */
export const announcing: Measurement = {
  name: 'announce',
  title: 'exec to NBIRTH ≤ 0.4 s',
  async measure({ monitorBundle, tell }) {
    const broker = await startEmbeddedBroker()
    let heard = 0
    broker.aedes.on('publish', ({ topic }) => {
      if (topic.includes('/NBIRTH/')) heard = performance.timeOrigin + performance.now()
    })
    const took: number[] = []
    try {
      for (let round = 0; round <= rounds; round++) {
        tell(`start ${round}`)
        heard = 0
        const monitor = await startLoneMonitor({ program: monitorBundle, sparkplug: broker })
        while (heard === 0) await new Promise((resolve) => setTimeout(resolve, 5))
        if (round > 0) took.push(heard - monitor.started)
        await monitor.stop()
      }
    } finally {
      await broker.close()
    }
    const value = median(took)
    return [
      { what: 'exec to NBIRTH', measured: ms(value), budget: { text: `≤ ${budgetMs} ms`, met: value <= budgetMs }, numbers: { ms: value } },
    ]
  },
}
