import { createMemoryBuffer } from '../../monitor/sparkplug/buffer.ts'
import { edgeNodeConfig, sparkplugConfig } from '../../monitor/sparkplug/config.ts'
import { createEdgeNode, type EdgeNode } from '../../monitor/sparkplug/edge-node.ts'
import type { BrokerModel } from './broker-model.ts'
import type { EventClock } from './event-clock.ts'
import { silent } from './regions.ts'
import { seeded } from './seeded.ts'

/** The primary host of a fleet whose monitors wait for one. */
export const host = 'scada'

/** The devices of a monitor with three hosts and two databases, and the metrics of each. */
const devices = ['host a', 'host b', 'host c', 'database orders', 'database metrics']
const metrics = ['State', 'Duration', 'Detail', 'Memory Requested', 'CPU Requested', 'Ready']

/** The edge nodes of many monitors on one broker: the monitor's own code above its connection, with its default settings. */
export class Monitors {
  readonly #clock: EventClock
  readonly #random: () => number
  readonly #nodes: EdgeNode[]

  constructor(
    count: number,
    { clock, broker, seed, hasPrimaryHost = false }: { clock: EventClock; broker: BrokerModel; seed: number; hasPrimaryHost?: boolean },
  ) {
    this.#clock = clock
    this.#random = seeded(seed)
    this.#nodes = Array.from({ length: count }, (_, index) => {
      const section = sparkplugConfig.parse({
        group: 'fleet',
        node: `site-${index}`,
        servers: [{ url: 'mqtts://broker.example.org:8883' }],
        ...(hasPrimaryHost && { primaryHost: { id: host } }),
      })
      let bdSeq = 0
      const node = createEdgeNode(edgeNodeConfig(section), {
        bdSeq: { next: async () => bdSeq++ % 256 },
        buffer: createMemoryBuffer({ limit: 1_000 }),
        connect: broker.connect,
        clock,
        log: silent,
        random: seeded(seed * 1_000_003 + index),
      })
      for (const device of devices) {
        node.setDevice(
          device,
          metrics.map((name) => ({ name, datatype: 'Double', value: index })),
        )
      }
      return node
    })
  }

  get count(): number {
    return this.#nodes.length
  }

  get areAllOnline(): boolean {
    return this.#nodes.every((node) => node.observe().isOnline)
  }

  get online(): number {
    return this.#nodes.filter((node) => node.observe().isOnline).length
  }

  /** Starts the monitors, evenly spread over that time, which passes. */
  async start(overMs = 0): Promise<void> {
    const starts = this.#nodes.map((node) => ({ node, at: this.#random() * overMs })).sort((a, b) => a.at - b.at)
    const began = this.#clock.monotonic()
    for (const { node, at } of starts) {
      if (began + at > this.#clock.monotonic() + 1_000) await this.#clock.advance(began + at - this.#clock.monotonic())
      await node.start(new AbortController().signal)
    }
    await this.#clock.advance(began + overMs - this.#clock.monotonic())
  }
}
