import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { nodeArguments } from '../../deploy/node-arguments.ts'
import { startBlackbox } from '../peers/blackbox.ts'
import { startEmbeddedBroker } from '../peers/embedded-broker.ts'
import { startNginx } from '../peers/nginx.ts'
import { bareMiB } from './bare-node.ts'
import { startLoneMonitor } from './lone-monitor.ts'
import { type Finding, held, type Measurement, median, mib, ms, timed } from './measurement.ts'
import { asTest } from './peers.ts'
import { processFacts } from './proc.ts'
import { registryOf } from './prom-client.ts'

const checks = 1_000
const intervalMs = 10_000
const settleMs = 22_000
const watchedMs = 30_000
/** As often as an eager Prometheus scrapes. */
const scrapeEveryMs = 5_000
const scrapes = 15
/** Memory beside bare Node's: 75 and 140 MiB where that takes 42. The delay beside the interval: 0.1 s. */
const atMost = { delay: 0.01, share: 2, scrape: 1, idle: 1.8, full: 3.3 }

/** A monitor with 1,000 checks at 10 s, which are more than 1,000 metrics of a Sparkplug device, over half a minute. */
export const thousandChecks: Measurement = {
  name: 'checks',
  title: `${checks.toLocaleString('en')} checks at 10 s on time, their series scraped, and what that takes`,
  async measure({ monitorBundle, tell, note }) {
    return asTest(async (t) => {
      const target = await startNginx(t)
      const broker = await startEmbeddedBroker()
      t.after(() => broker.close())
      const floor = await bareMiB(nodeArguments.monitor)
      tell('an idle monitor settles')
      const idle = await startLoneMonitor({ program: monitorBundle, sparkplug: broker })
      await sleep(8_000)
      const idleMiB = processFacts(idle.pid).rss
      await idle.stop()
      tell('blackbox_exporter probes the same')
      const theirShare = await blackboxShare(t, target.port)

      const monitor = await startLoneMonitor({
        program: monitorBundle,
        sparkplug: broker,
        checks: Array.from({ length: checks }, (_, number) => checkNumber(number, target.port)),
      })
      t.after(() => monitor.stop())
      tell('every check runs for the first time')
      await sleep(settleMs)
      tell('on schedule')
      const { share, delayMs, fullMiB } = await onSchedule(monitor)
      const { oursMs, theirsMs, series } = await scraped(monitor.url)
      const afterwards = processFacts(monitor.pid).rss
      note(`${series.toLocaleString('en')} series`)
      return [
        {
          what: '99 % of the checks start within',
          measured: ms(delayMs),
          against: 'their interval 10 s',
          ...held(delayMs / intervalMs, { atMost: atMost.delay }),
          numbers: { delayMs, intervalMs },
        },
        {
          what: 'share of one core, scraped every 5 s',
          measured: percent(share),
          against: `blackbox_exporter ${percent(theirShare)}, the probes alone`,
          ...held(share / theirShare, { atMost: atMost.share }),
          numbers: { share, theirShare },
        },
        {
          what: 'scrape of 10,000 series',
          measured: ms((oursMs * 10_000) / series),
          against: `prom-client's registry ${ms((theirsMs * 10_000) / series)}`,
          ...held(oursMs / theirsMs, { atMost: atMost.scrape }),
          numbers: { oursMs, theirsMs, series },
        },
        resident('monitor resident, idle, connected', idleMiB, floor, atMost.idle),
        resident(`monitor resident, ${checks.toLocaleString('en')} checks`, fullMiB, floor, atMost.full),
        { what: `after ${scrapes} scrapes in a row`, measured: mib(afterwards), numbers: { rssMiB: afterwards } },
      ]
    })
  },
}

/** Half a minute of a monitor whose checks have all run, scraped as Prometheus does. */
async function onSchedule({ url, pid }: { url: string; pid: number }) {
  const before = await delays(url)
  const cpuBefore = processFacts(pid).cpuMs
  const resident: number[] = []
  for (const end = performance.now() + watchedMs; performance.now() < end; await sleep(scrapeEveryMs)) {
    await text(`${url}/metrics`)
    resident.push(processFacts(pid).rss)
  }
  const share = (processFacts(pid).cpuMs - cpuBefore) / watchedMs
  return { share, delayMs: quantileOf(before, await delays(url), 0.99) * 1000, fullMiB: Math.max(...resident) }
}

/** Scrapes without a pause, beside prom-client's registry, which only makes the text of the same series. */
async function scraped(url: string) {
  let page = ''
  const ours: number[] = []
  for (let round = 0; round < scrapes; round++) {
    ours.push(
      await timed(async () => {
        page = await text(`${url}/metrics`)
      }),
    )
  }
  const registry = registryOf(page)
  const theirs: number[] = []
  for (let round = 0; round < scrapes; round++) theirs.push(await timed(() => registry.metrics()))
  const series = page.split('\n').filter((line) => line !== '' && !line.startsWith('#')).length
  return { oursMs: median(ours), theirsMs: median(theirs), series }
}

/** The share of one core that blackbox_exporter takes for as many probes of the same server in a second. */
async function blackboxShare(t: TestContext, port: number): Promise<number> {
  const { url, pid } = await startBlackbox(t, { http_2xx: { prober: 'http' }, tcp_connect: { prober: 'tcp' } })
  const pair = [`module=http_2xx&target=127.0.0.1:${port}`, `module=tcp_connect&target=127.0.0.1:${port}`]
  const probe = async (pairs: number) => {
    for (let done = 0; done < pairs; done++) await Promise.all(pair.map((query) => text(`${url}/probe?${query}`)))
  }
  await probe(100)
  const before = processFacts(pid).cpuMs
  const pairs = 1_000
  await probe(pairs)
  const cpuMsOfOne = (processFacts(pid).cpuMs - before) / (pairs * 2)
  return (cpuMsOfOne * checks) / intervalMs
}

function checkNumber(number: number, port: number): object {
  const usual = { name: `check-${number}`, interval: '10s', timeout: '5s', group: `group-${number % 10}` }
  return number % 2 === 0
    ? { ...usual, kind: 'http', url: `http://127.0.0.1:${port}/${number}` }
    : { ...usual, kind: 'tcp', host: '127.0.0.1', port }
}

function resident(what: string, rssMiB: number, floorMiB: number, atMost: number): Finding {
  return {
    what,
    measured: mib(rssMiB),
    against: `bare Node ${mib(floorMiB)}`,
    ...held(rssMiB / floorMiB, { atMost }),
    numbers: { rssMiB, floorMiB },
  }
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`
}

async function text(url: string): Promise<string> {
  return (await fetch(url)).text()
}

type Buckets = Map<number, number>

/** The histogram of the delays with which runs began. */
async function delays(url: string): Promise<Buckets> {
  const page = await text(`${url}/metrics`)
  const lines = page.matchAll(/^skerry_monitor_check_start_delay_seconds_bucket\{le="([^"]+)"\} (\d+)/gm)
  return new Map([...lines].map(([, bound, count]) => [bound === '+Inf' ? Infinity : Number(bound), Number(count)]))
}

/** The upper bound, in seconds, of the bucket that holds this quantile of the runs between the two readings. */
function quantileOf(before: Buckets, after: Buckets, share: number): number {
  const between = [...after].map(([bound, count]) => [bound, count - (before.get(bound) ?? 0)] as const)
  const total = between.at(-1)?.[1] ?? 0
  return between.find(([, count]) => count >= total * share)?.[0] ?? Number.NaN
}
