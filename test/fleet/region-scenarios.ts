import { createAuthority } from '../shared/certificates.ts'
import { CloudDoor, patienceMs } from './cloud-door.ts'
import { EventClock } from './event-clock.ts'
import { Regions } from './regions.ts'
import { type Bound, type Outcome, recoveryBounds, stepFor, Timeline } from './timeline.ts'

/** @param count regions; the same seed gives the same run */
type Run = (count: number, seed: number) => Promise<Outcome>

/** The longest pause between two attempts to tell a status, and to renew a credential: pusher.ts and refusing.ts. */
const [longestPauseMs, longestRenewalPauseMs] = [300_000, 900_000]
const outageMs = 600_000

/** A fleet, and what it does. */
class World {
  readonly clock = new EventClock()
  readonly door = new CloudDoor(this.clock)
  readonly timeline = new Timeline(this.clock)
  readonly regions: Regions
  readonly #bounds: Bound[] = []
  readonly #facts: string[] = []

  constructor(count: number, seed: number) {
    this.regions = new Regions(count, { clock: this.clock, door: this.door, seed })
  }

  /** The regions join in the course of a minute, and are heard for two more. */
  async grow(): Promise<void> {
    await this.timeline.phase('joining', () => this.regions.start(60_000))
    await this.pass('at rest', 120_000)
  }

  pass(name: string, ms: number): Promise<void> {
    return this.timeline.phase(name, () => this.clock.advance(ms))
  }

  /** From now on, all are to be heard again within a window. */
  async recover(windowMs: number, during: () => Promise<void> = async () => {}): Promise<void> {
    const { clock, door, regions } = this
    const fromMs = clock.monotonic()
    regions.listen()
    let tookMs: number | undefined
    await this.timeline.phase('back', async () => {
      await during()
      const more = await clock.until(() => regions.areAllHeard, 2 * windowMs)
      tookMs = more === undefined ? undefined : clock.monotonic() - fromMs
      await clock.advance(Math.max(0, fromMs + windowMs - clock.monotonic()))
    })
    const spread = door.requests.spread(fromMs, fromMs + windowMs, stepFor(regions.count))
    this.#facts.push(
      tookMs === undefined ? `${regions.count - regions.heard} regions are not heard` : `all heard after ${Math.round(tookMs / 1_000)} s`,
    )
    this.#bounds.push(...recoveryBounds('requests', { spread, tookMs, windowMs }))
  }

  expect(bound: Bound): void {
    this.#bounds.push(bound)
  }

  tell(fact: string): void {
    this.#facts.push(fact)
  }

  get outcome(): Outcome {
    const { door, regions, clock } = this
    const bytes = Object.values(door.bytes).reduce((sum, each) => sum + each, 0) / regions.count
    const facts = [...this.#facts, `${Math.round(bytes / 1_000)} kB per region in ${Math.round(clock.monotonic() / 60_000)} minutes`]
    return { meters: [{ unit: 'requests', meter: door.requests }], phases: this.timeline.phases, facts, bounds: this.#bounds }
  }
}

/** The cloud is away, and is then met as `as` says for a while. */
function returning(as: (world: World, count: number) => Promise<void>, windowMs: number): Run {
  return async (count, seed) => {
    const world = new World(count, seed)
    await world.grow()
    world.door.condition = { is: 'away' }
    await world.pass('away', outageMs)
    await world.recover(windowMs, () => as(world, count))
    return world.outcome
  }
}

/** How long a cloud that comes back weak is weak. */
const weakMs = 300_000

/** The cloud comes back with less than it needs for everybody's heartbeat, and is itself again after five minutes. */
async function weak({ door, clock }: World, count: number, is: 'refusing' | 'slow'): Promise<void> {
  door.condition = { is, serves: Math.max(1, Math.round(count / 100)) }
  await clock.advance(weakMs)
  door.condition = { is: 'open' }
}

const atOnce = async ({ door }: World) => {
  door.condition = { is: 'open' }
}

const outage = returning(atOnce, longestPauseMs)
const refusing = returning((world, count) => weak(world, count, 'refusing'), weakMs + longestPauseMs)
// Whoever came last while it was slow waits in vain for an answer before the longest pause begins.
const slow = returning((world, count) => weak(world, count, 'slow'), weakMs + patienceMs + longestPauseMs)

const maintenance: Run = async (count, seed) => {
  const world = new World(count, seed)
  await world.grow()
  world.door.condition = { is: 'maintained', untilMs: world.clock.monotonic() + outageMs }
  await world.pass('maintained', outageMs)
  world.door.condition = { is: 'open' }
  await world.recover(longestPauseMs)
  return world.outcome
}

const announced: Run = async (count, seed) => {
  const world = new World(count, seed)
  const { door } = world
  await world.grow()
  const { cert } = await createAuthority('the next one')
  await door.cloud.publish({ anchors: [cert] })
  door.cloud.announces = true
  await world.pass('announced', 120_000)
  door.ca = cert
  await world.recover(120_000)
  world.expect({ what: 'connections that were not trusted', found: door.untrusted, most: 0, unit: '' })
  return world.outcome
}

const unannounced: Run = async (count, seed) => {
  const world = new World(count, seed)
  const { door } = world
  await world.grow()
  const { cert } = await createAuthority('a surprise')
  await door.cloud.publish({ anchors: [cert] })
  door.ca = cert
  await world.recover(120_000)
  world.expect({ what: 'connections that were not trusted, per region', found: door.untrusted / count, most: 1, unit: '' })
  return world.outcome
}

/** So long that each credential expires, which lives for an hour. */
const longOutageMs = 2 * 3_600_000

const expired: Run = async (count, seed) => {
  const world = new World(count, seed)
  await world.grow()
  world.door.condition = { is: 'away' }
  await world.pass('away', longOutageMs)
  world.door.condition = { is: 'open' }
  await world.recover(longestRenewalPauseMs)
  return world.outcome
}

/** Everything is switched on in the same second, such as after a power failure; `offMs`: after so long. */
function restarted(offMs: number): Run {
  return async (count, seed) => {
    const world = new World(count, seed)
    await world.grow()
    await world.regions.stop()
    await world.pass('off', offMs)
    await world.recover(60_000, () => world.regions.start())
    return world.outcome
  }
}

/** Regions enough for the bytes of a day; more would be the same. */
const measured = 5

const day: Run = async (_count, seed) => {
  const world = new World(measured, seed)
  await world.timeline.phase('a day', async () => {
    await world.regions.start(60_000)
    await world.clock.advance(86_400_000 - 60_000)
  })
  const { bytes } = world.door
  for (const [what, all] of Object.entries(bytes)) world.tell(`${what}: ${(all / measured / 1_000).toFixed(1)} kB per region and day`)
  const megabytes = Object.values(bytes).reduce((sum, each) => sum + each, 0) / measured / 1e6
  world.expect({ what: 'HTTP in TLS per region and day', found: megabytes, most: 1.5, unit: 'MB' })
  return world.outcome
}

/** What a fleet of regions goes through, by name. */
export const regionScenarios = {
  day: { about: `${measured} regions at rest for a day: what each costs`, run: day },
  outage: { about: 'the cloud is away for 10 minutes', run: outage },
  refusing: { about: 'it comes back and serves 60 % of the heartbeats for 5 minutes, with 503 for the others', run: refusing },
  slow: { about: 'it comes back and serves 60 % of the heartbeats for 5 minutes, and lets the others wait', run: slow },
  maintenance: { about: 'for 10 minutes it tells everybody with Retry-After when the maintenance ends', run: maintenance },
  announced: { about: 'its certificate comes from another CA, which it has announced', run: announced },
  unannounced: { about: 'its certificate comes from another CA, which everybody has to ask for', run: unannounced },
  expired: { about: 'the cloud is away for 2 hours, and every credential expires', run: expired },
  restarted: { about: 'all regions start in the same second', run: restarted(60_000) },
  power: { about: 'all regions start in the same second, after 2 hours without power', run: restarted(longOutageMs) },
} as const satisfies Record<string, { about: string; run: Run }>
