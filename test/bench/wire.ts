import type { TestContext } from 'node:test'
import pino from 'pino'
import { RegionModel } from '../../monitor/region/model.ts'
import { createMemoryBuffer } from '../../monitor/sparkplug/buffer.ts'
import { edgeNodeConfig, sparkplugConfig } from '../../monitor/sparkplug/config.ts'
import { createEdgeNode } from '../../monitor/sparkplug/edge-node.ts'
import { type Clock, systemClock } from '../../shared/clock.ts'
import { seeded } from '../cluster/index.ts'
import { type ProberInHand, proberInHand } from '../monitor/region/in-hand.ts'
import { startMosquitto } from '../peers/mosquitto.ts'
import { startCountingRelay, type Traffic } from './counting-relay.ts'
import { type Finding, held, type Measurement } from './measurement.ts'
import { asTest } from './peers.ts'

const hours = 3_600_000
const intervalMs = 30_000
const atMost = 0.2

/** How much of a day is watched, and how many times as fast as the clock: every period of a profile fits into it several times. */
const standard = { watchedMs: 1 * hours, faster: 120 }
const metered = { watchedMs: 24 * hours, faster: 720 }
/** Each run of a check that took 0.1 s more or less was a change, and so was each other number in its sentence. */
const everyRun = { duration: { relative: 0, atMostEvery: '0s' }, detail: { atMostEvery: '0s' } }

/** Bytes between the edge node and a real mosquitto in a day in which nothing happens, with every PINGREQ and its answer. */
export const wire: Measurement = {
  name: 'wire',
  title: `a day at rest on a metered link ≤ ${atMost} × on another one`,
  async measure({ tell, note }) {
    const watch = async (what: string, checks: number, { watchedMs, faster }: typeof standard, given: object) => {
      tell(`${what}, ${checks} checks`)
      return asTest((t) => dayOf(t, { checks, watchedMs, faster, given }))
    }
    const none = await watch('standard', 0, standard, {})
    const usual = await watch('standard', 100, standard, {})
    const before = await watch('each run is a change', 100, standard, { deadbands: everyRun })
    const noneMetered = await watch('metered', 0, metered, { profile: 'metered' })
    const sparing = await watch('metered', 100, metered, { profile: 'metered' })
    note(`births of 100 checks: ${kB(usual.births.bytes)}, metered ${kB(sparing.births.bytes)}`)
    return [
      row('a day at rest without checks', none.day),
      row('with 100 checks', usual.day),
      row('with 100 checks, if each run is a change', before.day),
      row('a day at rest without checks, metered', noneMetered.day, none.day),
      { ...row('with 100 checks, metered', sparing.day, usual.day), ...held(sparing.day.bytes / usual.day.bytes, { atMost }) },
      row('births of 100 checks', usual.births),
      row('births of 100 checks, metered', sparing.births, usual.births),
    ]
  },
}

type DayOptions = { checks: number; watchedMs: number; faster: number; given: object }

/** What a monitor with so many checks sends in 24 hours at rest, and with its births. */
async function dayOf(t: TestContext, { checks, watchedMs, faster, given }: DayOptions): Promise<{ births: Traffic; day: Traffic }> {
  const broker = await startMosquitto(t)
  const relay = await startCountingRelay(t, broker.port)
  const clock = hastened(faster)
  const log = pino({ level: 'silent' })
  const section = sparkplugConfig.parse({ group: 'bench', node: 'edge', servers: [{ url: `mqtt://127.0.0.1:${relay.port}` }], ...given })
  const config = edgeNodeConfig(section)
  // The server is not hastened.
  for (const limit of ['connectTimeoutMs', 'subscribeTimeoutMs', 'deathTimeoutMs'] as const) config[limit] *= faster
  const edgeNode = createEdgeNode(config, {
    bdSeq: { next: async () => 0, wasUsed: async () => false },
    buffer: createMemoryBuffer({ limit: 50_000 }),
    clock,
    log,
  })
  const prober = proberInHand()
  const random = seeded(1)
  for (let number = 0; number < checks; number++)
    prober.add(checkNumber(number), { state: 'up', since: clock.now(), ...ran(number, random) })
  const model = new RegionModel({ prober, edgeNode, facts: { version: '0' }, clock, log })
  const ending = new AbortController()
  await model.start()
  await edgeNode.start(ending.signal)
  t.after(async () => {
    ending.abort()
    await model.stop()
    await edgeNode.stop(clock.monotonic() + 5_000 * faster)
  })
  while (!edgeNode.observe().isOnline) await systemClock.sleep(10)
  await systemClock.sleep(500)
  const births = relay.busiest()
  await runAll(prober, { checks, random, clock, until: clock.monotonic() + watchedMs })
  const after = relay.busiest()
  if (edgeNode.observe().sent.NBIRTH !== 1) throw new Error('the connection was lost: this machine is too busy for a hastened clock')
  const share = (24 * hours) / watchedMs
  const inADay = (of: keyof Traffic) => Math.round((after[of] - births[of]) * share)
  return { births, day: { bytes: inADay('bytes'), packets: inADay('packets'), pings: inADay('pings') } }
}

/** Runs every check once in its interval, evenly spread, as the prober does. */
async function runAll(
  prober: ProberInHand,
  { checks, random, clock, until }: { checks: number; random: () => number; clock: Clock; until: number },
): Promise<void> {
  const begun = clock.monotonic()
  for (let runs = 0; clock.monotonic() < until; await systemClock.sleep(2)) {
    const due = ((Math.min(clock.monotonic(), until) - begun) / intervalMs) * checks
    for (; runs < due; runs++) prober.see(`database/shop/orders-${runs % checks}`, ran(runs % checks, random))
  }
}

const checkNumber = (number: number) => ({ name: `database/shop/orders-${number}`, group: 'databases.shop', kind: 'cratedb' as const })

/** A run on a busy host: half of them take more than 20 ms, and one of fifty more than 0.3 s. One sentence of ten has a number in it. */
function ran(number: number, random: () => number): { lastDuration: number; detail: string } {
  const normal = Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random())
  const lastDuration = 0.02 * Math.exp(1.3 * normal)
  const detail = number % 10 === 0 ? `A message made the round trip in ${Math.round(lastDuration * 1000)} ms.` : 'Green: 3 nodes.'
  return { lastDuration, detail }
}

/** A clock that goes so many times as fast as that of the machine. */
function hastened(factor: number): Clock {
  const [monotonic, now] = [systemClock.monotonic(), systemClock.now()]
  const passed = () => (systemClock.monotonic() - monotonic) * factor
  return { now: () => Math.round(now + passed()), monotonic: passed, sleep: (ms, signal) => systemClock.sleep(ms / factor, signal) }
}

function row(what: string, { bytes, packets, pings }: Traffic, beside?: Traffic): Finding {
  return {
    what,
    measured: `${kB(bytes)} in ${packets.toLocaleString('en')} packets`,
    ...(beside && { against: `standard ${kB(beside.bytes)}`, ratio: bytes / beside.bytes }),
    numbers: { bytes, packets, pings },
  }
}

function kB(bytes: number): string {
  return `${Math.round(bytes / 1000).toLocaleString('en')} kB`
}
