import { CloudClock } from '../../agent/cloud/cloud-clock.ts'
import type { LinkState, LinkStore } from '../../agent/cloud/registration/state.ts'
import { cloudSection } from '../../agent/cloud/settings.ts'
import { createSpeaker } from '../../agent/cloud/speaker.ts'
import type { Part } from '../../shared/lifecycle.ts'
import { createLog } from '../../shared/log.ts'
import { type Content, memoryStore } from '../cloud/memory-store.ts'
import { seeded } from '../cluster/index.ts'
import { type CloudDoor, origin } from './cloud-door.ts'
import type { EventClock } from './event-clock.ts'

/** What happens to a fleet is nobody's news. */
export const silent = createLog({ level: 'silent', name: 'fleet' })

type Region = { content: Content; random: () => number; heard: boolean; speaker: Part | undefined }

/** The links of many regions to one cloud: the agent's own code, with a clock, a store and a network of ours. */
export class Regions {
  readonly #clock: EventClock
  readonly #door: CloudDoor
  readonly #regions: Region[]
  #heard = 0

  /** @param count how many. They have tokens, and are not started. */
  constructor(count: number, { clock, door, seed }: { clock: EventClock; door: CloudDoor; seed: number }) {
    this.#clock = clock
    this.#door = door
    this.#regions = Array.from({ length: count }, (_, index) => {
      const { sha256 } = door.cloud.registry.addToken(`token ${index}`)
      const content: Content = { version: 1, wanted: { joined: true }, join: { sha256 } }
      return { content, random: seeded(seed * 1_000_003 + index), heard: false, speaker: undefined }
    })
  }

  get count(): number {
    return this.#regions.length
  }

  /** How many the cloud has heard of since `listen`. */
  get heard(): number {
    return this.#heard
  }

  get areAllHeard(): boolean {
    return this.#heard === this.count
  }

  /** Counts anew who is heard. */
  listen(): void {
    for (const region of this.#regions) region.heard = false
    this.#heard = 0
  }

  /** Starts the agents, evenly spread over that time, which passes. */
  async start(overMs = 0): Promise<void> {
    const starts = this.#regions.map((region, index) => ({ region, index, at: region.random() * overMs })).sort((a, b) => a.at - b.at)
    const began = this.#clock.monotonic()
    for (const { region, index, at } of starts) {
      if (began + at > this.#clock.monotonic() + 1_000) await this.#clock.advance(began + at - this.#clock.monotonic())
      region.speaker = this.#speakerOf(region, index)
      await region.speaker.start(new AbortController().signal)
    }
    await this.#clock.advance(began + overMs - this.#clock.monotonic())
  }

  /** Ends the agents as a power failure does: nobody takes leave. What is kept is what the stores have. */
  async stop(): Promise<void> {
    for (const region of this.#regions) {
      await region.speaker?.stop(0)
      region.speaker = undefined
    }
  }

  /** The states that the regions keep, by which a test can see what they trust. */
  get states(): (LinkState | undefined)[] {
    return this.#regions.map(({ content }) => content.state)
  }

  #speakerOf(region: Region, index: number): Part {
    const { heartbeat, gather } = cloudSection.parse({ url: origin })
    const id = `site-${index}`
    const store: LinkStore = memoryStore(region.content)
    return createSpeaker(
      {
        heartbeatMs: heartbeat,
        gatherMs: gather,
        region: async () => ({ cloud: origin, region: { id, cluster: `cluster-${index}` }, version: '0.0.0', tags: {} }),
      },
      {
        store: () => store,
        transport: this.#door.transport(() => {
          if (!region.heard) this.#heard++
          region.heard = true
        }),
        cloudClock: new CloudClock(this.#clock),
        random: region.random,
        status: { read: () => documentOf(id, this.#clock.now()), subscribe: () => [] },
        onWanted: () => [],
        lease: { isLeader: () => true, onChange: () => () => {} },
        clock: this.#clock,
        log: silent,
      },
    )
  }
}

/** A status as a region with three hosts and two databases has it, at rest. */
function documentOf(id: string, now: number) {
  const observedAt = new Date(now).toISOString()
  const hosts = ['a', 'b', 'c'].map((name) => ({
    name,
    ready: true,
    cpu: 8,
    memory: 33_554_432_000,
    version: 'v1.33.4',
    os: 'Debian GNU/Linux 12',
  }))
  const databases = ['orders', 'metrics'].map((name) => ({ project: 'harbour', name, health: 'green', nodes: 3, version: '5.10.4' }))
  const parts = Object.fromEntries(['hosts', 'databases'].map((field) => [field, { observedAt }]))
  return { id, version: '0.0.0', hosts, databases, parts }
}
