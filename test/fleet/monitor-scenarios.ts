import { BrokerModel } from './broker-model.ts'
import { EventClock } from './event-clock.ts'
import { host, Monitors } from './monitors.ts'
import { type Bound, type Outcome, recoveryBounds, stepFor, Timeline } from './timeline.ts'

type Run = (count: number, seed: number) => Promise<Outcome>

/** The largest window of a pause, and how long a CONNECT waits for its answer: config.ts. */
const [longestPauseMs, connectTimeoutMs] = [120_000, 15_000]
const outageMs = 600_000

class World {
  readonly clock = new EventClock()
  readonly broker = new BrokerModel(this.clock)
  /** The next one in the list of each monitor, where there are two. */
  readonly second = new BrokerModel(this.clock)
  readonly timeline = new Timeline(this.clock)
  readonly monitors: Monitors
  readonly #bounds: Bound[] = []
  readonly #facts: string[] = []

  constructor(count: number, seed: number, { hasPrimaryHost = false, hasSecond = false } = {}) {
    const brokers = hasSecond ? [this.broker, this.second] : [this.broker]
    this.monitors = new Monitors(count, { clock: this.clock, brokers, seed, hasPrimaryHost })
    if (hasPrimaryHost) this.broker.hostSays(host, true)
  }

  async grow(): Promise<void> {
    await this.timeline.phase('joining', () => this.monitors.start(60_000))
    await this.pass('at rest', 120_000)
  }

  pass(name: string, ms: number): Promise<void> {
    return this.timeline.phase(name, () => this.clock.advance(ms))
  }

  /** From now on, all are to be online again within a window. `counted`: what must not come in one second, to that broker. */
  async recover(
    windowMs: number,
    counted: 'CONNECTs' | 'bytes',
    { during = async () => {}, broker = this.broker }: { during?: () => Promise<void>; broker?: BrokerModel } = {},
  ): Promise<void> {
    const { clock, monitors } = this
    const fromMs = clock.monotonic()
    let tookMs: number | undefined
    await this.timeline.phase('back', async () => {
      await during()
      const more = await clock.until(() => monitors.areAllOnline, 2 * windowMs)
      tookMs = more === undefined ? undefined : clock.monotonic() - fromMs
      await clock.advance(Math.max(0, fromMs + windowMs - clock.monotonic()))
    })
    const meter = counted === 'bytes' ? broker.bytes : broker.connects
    const spread = meter.spread(fromMs, fromMs + windowMs, stepFor(monitors.count))
    this.#facts.push(
      tookMs === undefined
        ? `${monitors.count - monitors.online} monitors are not online`
        : `all born after ${Math.round(tookMs / 1_000)} s, with ${Math.round(broker.bytes.rates(fromMs, fromMs + windowMs, windowMs / 1_000)[0] ?? 0)} bytes a second`,
    )
    this.#bounds.push(...recoveryBounds(counted, { spread, tookMs, windowMs }))
  }

  get outcome(): Outcome {
    const { broker, second } = this
    return {
      meters: [
        { unit: 'CONNECTs', meter: broker.connects },
        { unit: 'bytes', meter: broker.bytes },
        ...(second.connects.total === 0 ? [] : [{ unit: 'CONNECTs to the second broker', meter: second.connects }]),
      ],
      phases: this.timeline.phases,
      facts: this.#facts,
      bounds: this.#bounds,
    }
  }
}

const outage: Run = async (count, seed) => {
  const world = new World(count, seed)
  await world.grow()
  world.broker.fail()
  await world.pass('away', outageMs)
  world.broker.condition = { is: 'open' }
  await world.recover(longestPauseMs + connectTimeoutMs, 'CONNECTs')
  return world.outcome
}

/** How long a broker that comes back slow is slow. */
const slowMs = 60_000

/** It takes the CONNECTs of half of those who come, and reads as if on a thin line, until it is itself again. */
const slow: Run = async (count, seed) => {
  const world = new World(count, seed)
  await world.grow()
  world.broker.fail()
  await world.pass('away', outageMs)
  world.broker.condition = { is: 'slow', connects: count / 240, bytes: count * 50 }
  await world.recover(slowMs + longestPauseMs + connectTimeoutMs, 'CONNECTs', {
    during: async () => {
      await world.clock.advance(slowMs)
      world.broker.condition = { is: 'open' }
    },
  })
  return world.outcome
}

const blink: Run = async (count, seed) => {
  const world = new World(count, seed)
  await world.grow()
  world.broker.fail()
  await world.pass('away', 2_000)
  world.broker.condition = { is: 'open' }
  await world.recover(20_000, 'CONNECTs')
  return world.outcome
}

const hostless: Run = async (count, seed) => {
  const world = new World(count, seed, { hasPrimaryHost: true })
  await world.grow()
  world.broker.hostSays(host, false)
  await world.pass('no host', outageMs)
  await world.recover(10_000, 'bytes', { during: async () => world.broker.hostSays(host, true) })
  return world.outcome
}

/** Broker, hosts and monitors lose their power, and have it back in the same second. */
const power: Run = async (count, seed) => {
  const world = new World(count, seed)
  await world.grow()
  world.broker.fail()
  await world.monitors.stop()
  await world.pass('off', 60_000)
  world.broker.condition = { is: 'open' }
  await world.recover(20_000, 'CONNECTs', { during: () => world.monitors.start() })
  return world.outcome
}

const second: Run = async (count, seed) => {
  const world = new World(count, seed, { hasSecond: true })
  await world.grow()
  world.broker.fail()
  await world.recover(20_000, 'CONNECTs', { broker: world.second })
  world.broker.condition = { is: 'open' }
  await world.pass('both', 60_000)
  return world.outcome
}

/** What a fleet of monitors goes through, by name. */
export const monitorScenarios = {
  'broker-outage': { about: 'the broker is away for 10 minutes', run: outage },
  'broker-slow': {
    about: 'the broker comes back, and for a minute takes 1 CONNECT of 2 and reads 50 bytes a second for each monitor',
    run: slow,
  },
  'broker-restart': { about: 'the broker restarts within 2 seconds', run: blink },
  'broker-power': { about: 'broker and monitors have no power for a minute, and all start in the same second', run: power },
  'broker-second': { about: 'the first of two brokers goes away, and nobody waits for a primary host', run: second },
  'host-outage': { about: 'the primary host is away for 10 minutes, and all monitors wait for it on one broker', run: hostless },
} as const satisfies Record<string, { about: string; run: Run }>
