import type { BdSeqStore } from '../../monitor/sparkplug/bd-seq.ts'
import { createMemoryBuffer } from '../../monitor/sparkplug/buffer.ts'
import { edgeNodeConfig, sparkplugConfig } from '../../monitor/sparkplug/config.ts'
import type { Connect } from '../../monitor/sparkplug/connection.ts'
import { createEdgeNode, type EdgeNode } from '../../monitor/sparkplug/edge-node.ts'
import { bdSeqAfter } from '../../monitor/sparkplug/sequence.ts'
import { seeded } from '../cluster/index.ts'
import type { BrokerModel } from './broker-model.ts'
import type { EventClock } from './event-clock.ts'
import { silent } from './regions.ts'

/** The primary host of a fleet whose monitors wait for one. */
export const host = 'scada'

/** The devices of a monitor with three hosts and two databases, and the metrics of each. */
const devices = ['host a', 'host b', 'host c', 'database orders', 'database metrics']
const metrics = ['State', 'Duration', 'Detail', 'Memory Requested', 'CPU Requested', 'Ready']

type MonitorsParts = {
  clock: EventClock
  /** In the order in which they are tried. */
  brokers: readonly BrokerModel[]
  seed: number
  hasPrimaryHost?: boolean
}

/** The edge nodes of many monitors: the monitor's own code above its connection, with its default settings. */
export class Monitors {
  readonly #clock: EventClock
  readonly #random: () => number
  /** Makes the edge node of each monitor, as a start of its program does. What is kept on disk is the number of its sessions. */
  readonly #makers: (() => EdgeNode)[]
  #nodes: EdgeNode[]

  constructor(count: number, parts: MonitorsParts) {
    this.#clock = parts.clock
    this.#random = seeded(parts.seed)
    this.#makers = Array.from({ length: count }, (_, index) => {
      let last: number | undefined
      const next = async () => {
        last = bdSeqAfter(last)
        return last
      }
      const bdSeq = { next, wasUsed: async () => last !== undefined }
      const random = seeded(parts.seed * 1_000_003 + index)
      return () => nodeOf(index, { ...parts, bdSeq, random })
    })
    this.#nodes = this.#makers.map((make) => make())
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

  /** Ends the monitors after their brokers have gone, as a power failure does: nobody takes leave. They can be started again. */
  async stop(): Promise<void> {
    await Promise.all(this.#nodes.map((node) => node.stop(0)))
    this.#nodes = this.#makers.map((make) => make())
  }
}

function nodeOf(
  index: number,
  { clock, brokers, hasPrimaryHost = false, bdSeq, random }: MonitorsParts & { bdSeq: BdSeqStore; random: () => number },
): EdgeNode {
  const urls = brokers.map((_, place) => `mqtts://broker-${place}.example.org:8883`)
  const section = sparkplugConfig.parse({
    group: 'fleet',
    node: `site-${index}`,
    servers: urls.map((url) => ({ url })),
    ...(hasPrimaryHost && { primaryHost: { id: host } }),
  })
  const connect: Connect = (options, signal) => {
    const broker = brokers[urls.indexOf(options.server.url)]
    if (broker === undefined) throw new Error(`there is no broker ${options.server.url}`)
    return broker.connect(options, signal)
  }
  const buffer = createMemoryBuffer({ limit: 1_000 })
  const node = createEdgeNode(edgeNodeConfig(section), { bdSeq, buffer, connect, clock, log: silent, random })
  for (const device of devices) {
    node.setDevice(
      device,
      metrics.map((name) => ({ name, datatype: 'Double', value: index })),
    )
  }
  return node
}
