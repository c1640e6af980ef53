import { setTimeout as sleep } from 'node:timers/promises'
import { startEmbeddedBroker } from '../peers/embedded-broker.ts'
import { startNginx } from '../peers/nginx.ts'
import { startLoneMonitor } from './lone-monitor.ts'
import { type Finding, type Measurement, median, mib, ms } from './measurement.ts'
import { asTest } from './peers.ts'
import { processFacts } from './proc.ts'

const checks = 1_000
const settleMs = 22_000
const watchedMs = 30_000
/** As often as the more eager Prometheus asks. */
const scrapeEveryMs = 5_000
const budgets = { share: 0.15, delayMs: 100, scrapeMs: 30, idleMiB: 75, fullMiB: 140 }

/** A monitor with 1,000 checks at 10 s, which are 1,000 metrics and more of a Sparkplug device, over half a minute. */
export const thousandChecks: Measurement = {
  name: 'checks',
  title: `${checks.toLocaleString('en')} checks at 10 s on time, their series scraped, and what that takes`,
  async measure({ monitorBundle, tell, note }) {
    return asTest(async (t) => {
      const target = await startNginx(t)
      const broker = await startEmbeddedBroker()
      t.after(() => broker.close())
      tell('an idle monitor settles')
      const idle = await startLoneMonitor({ program: monitorBundle, sparkplug: broker })
      await sleep(8_000)
      const idleFacts = processFacts(idle.pid)
      await idle.stop()

      const monitor = await startLoneMonitor({
        program: monitorBundle,
        sparkplug: broker,
        checks: Array.from({ length: checks }, (_, number) => checkNumber(number, target.port)),
      })
      t.after(() => monitor.stop())
      tell('every check runs for the first time')
      await sleep(settleMs)
      tell('on schedule')
      const before = await delays(monitor.url)
      const cpuBefore = processFacts(monitor.pid).cpuMs
      const resident: number[] = []
      for (const end = performance.now() + watchedMs; performance.now() < end; await sleep(scrapeEveryMs)) {
        await text(`${monitor.url}/metrics`)
        resident.push(processFacts(monitor.pid).rss)
      }
      const share = (processFacts(monitor.pid).cpuMs - cpuBefore) / watchedMs
      const delay = quantileOf(before, await delays(monitor.url), 0.99)
      const scrapes: number[] = []
      let page = ''
      for (let round = 0; round < 15; round++) {
        const begun = performance.now()
        page = await text(`${monitor.url}/metrics`)
        scrapes.push(performance.now() - begun)
      }
      const series = page.split('\n').filter((line) => line !== '' && !line.startsWith('#')).length
      const facts = processFacts(monitor.pid)
      const full = Math.max(...resident)
      const metrics = Number(/^skerry_sparkplug_metrics (\d+)/m.exec(page)?.[1] ?? Number.NaN)
      note(`${series.toLocaleString('en')} series${Number.isNaN(metrics) ? '' : `, ${metrics.toLocaleString('en')} Sparkplug metrics`}`)
      return [
        finding('99 % of the checks start within', ms(delay * 1000), `≤ ${budgets.delayMs} ms`, delay * 1000 <= budgets.delayMs, delay),
        finding('share of one core', `${(share * 100).toFixed(1)} %`, `≤ ${budgets.share * 100} %`, share <= budgets.share, share),
        scrape(median(scrapes), series),
        finding(
          'resident, idle, connected',
          mib(idleFacts.rss),
          `≤ ${budgets.idleMiB} MiB`,
          idleFacts.rss <= budgets.idleMiB,
          idleFacts.rss,
        ),
        finding('resident with the checks', mib(full), `≤ ${budgets.fullMiB} MiB`, full <= budgets.fullMiB, full),
        { what: `after ${scrapes.length} scrapes in a row`, measured: mib(facts.rss), numbers: { value: facts.rss } },
      ]
    })
  },
}

function checkNumber(number: number, port: number): object {
  const usual = { name: `check-${number}`, interval: '10s', timeout: '5s', group: `group-${number % 10}` }
  return number % 2 === 0
    ? { ...usual, kind: 'http', url: `http://127.0.0.1:${port}/${number}` }
    : { ...usual, kind: 'tcp', host: '127.0.0.1', port }
}

function finding(what: string, measured: string, text: string, met: boolean, value: number): Finding {
  return { what, measured, budget: { text, met }, numbers: { value } }
}

/** In proportion to 10,000 series, which is what the budget is about. */
function scrape(took: number, series: number): Finding {
  const for10k = (took * 10_000) / series
  return finding('scrape of 10,000 series', ms(for10k), `≤ ${budgets.scrapeMs} ms`, for10k <= budgets.scrapeMs, for10k)
}

async function text(url: string): Promise<string> {
  return (await fetch(url)).text()
}

type Buckets = Map<number, number>

/** The histogram of how late runs began. */
async function delays(url: string): Promise<Buckets> {
  const page = await text(`${url}/metrics`)
  const lines = page.matchAll(/^skerry_monitor_check_start_delay_seconds_bucket\{le="([^"]+)"\} (\d+)/gm)
  return new Map([...lines].map(([, bound, count]) => [bound === '+Inf' ? Infinity : Number(bound), Number(count)]))
}

/** The upper bound of the bucket in which that share of what came in between lies, in seconds. */
function quantileOf(before: Buckets, after: Buckets, share: number): number {
  const between = [...after].map(([bound, count]) => [bound, count - (before.get(bound) ?? 0)] as const)
  const total = between.at(-1)?.[1] ?? 0
  return between.find(([, count]) => count >= total * share)?.[0] ?? Number.NaN
}
