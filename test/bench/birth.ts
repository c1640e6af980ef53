import pino from 'pino'
import sparkplug from 'sparkplug-payload'
import { createMemoryBuffer } from '../../monitor/sparkplug/buffer.ts'
import { edgeNodeConfig, sparkplugConfig } from '../../monitor/sparkplug/config.ts'
import { type Connect, createMqttConnect } from '../../monitor/sparkplug/connection.ts'
import { createEdgeNode } from '../../monitor/sparkplug/edge-node.ts'
import type { SparkplugMetric } from '../../monitor/sparkplug/tracked-metric.ts'
import { type Clock, systemClock } from '../../shared/clock.ts'
import { startEmbeddedBroker } from '../peers/embedded-broker.ts'
import { held, type Measurement, median, ms, sideBySide } from './measurement.ts'

const count = 10_000
const atMost = 1.1

/** An NBIRTH of 10,000 metrics, from the start of its encoding until the socket has it, beside the reference encoder alone. */
export const birth: Measurement = {
  name: 'birth',
  title: `NBIRTH of ${count.toLocaleString('en')} metrics ≤ ${atMost} × sparkplug-payload's encoder alone`,
  async measure() {
    const broker = await startEmbeddedBroker()
    try {
      const first = await bear(broker.url, metricsOf(plain))
      const bare = await beside(broker.url, plain)
      const full = await beside(broker.url, described)
      return [
        { what: `NBIRTH of ${count.toLocaleString('en')} metrics`, ...bare, ...held(bare.ratio, { atMost }) },
        { what: 'the same with four properties each', ...full },
        { what: 'the first NBIRTH of a process', measured: ms(first), numbers: { first } },
      ]
    } finally {
      await broker.close()
    }
  },
}

const plain = (_: number): Partial<SparkplugMetric> => ({})
const described = (number: number): Partial<SparkplugMetric> => ({
  ...{ unit: 'Cel', low: -40, high: 85 },
  description: `Sensor ${number} on the quay`,
})

function metricsOf(more: (number: number) => Partial<SparkplugMetric>): SparkplugMetric[] {
  return Array.from({ length: count }, (_, number) => ({
    ...{ name: `Quay/${number % 100}/Sensor ${number}`, datatype: 'Double', value: number / 7 },
    ...more(number),
  }))
}

async function beside(url: string, more: (number: number) => Partial<SparkplugMetric>) {
  const metrics = metricsOf(more)
  const { one, other } = await sideBySide(
    { rounds: 41, warmUp: 20 },
    () => bear(url, metrics),
    async () => libraryMs(metrics),
  )
  const [ours, theirs] = [median(one), median(other)]
  return { measured: ms(ours), against: `sparkplug-payload ${ms(theirs)}`, ratio: ours / theirs, numbers: { ours, theirs } }
}

/** Milliseconds of one birth of a node of its own. */
async function bear(url: string, metrics: SparkplugMetric[]): Promise<number> {
  let begun = 0
  const took = Promise.withResolvers<number>()
  // The edge node reads the clock right before it encodes a message.
  const clock: Clock = {
    ...systemClock,
    now: () => {
      begun = performance.now()
      return systemClock.now()
    },
  }
  const connectTo = createMqttConnect({ clock: systemClock })
  const connect: Connect = async (options, signal) => {
    const connection = await connectTo(options, signal)
    return {
      ...connection,
      send(topic, payload) {
        const taken = connection.send(topic, payload)
        if (topic.includes('/NBIRTH/')) took.resolve(performance.now() - begun)
        return taken
      },
    }
  }
  const config = edgeNodeConfig(sparkplugConfig.parse({ group: 'bench', node: 'edge', servers: [{ url }] }))
  const node = createEdgeNode(config, {
    bdSeq: { next: async () => 0, wasUsed: async () => false },
    buffer: createMemoryBuffer({ limit: 50_000 }),
    connect,
    clock,
    log: pino({ level: 'silent' }),
  })
  node.setNode(metrics)
  await node.start(new AbortController().signal)
  try {
    return await took.promise
  } finally {
    await node.stop(performance.now() + 2_000)
  }
}

/** Milliseconds that the reference encoder takes to encode the same metrics. */
function libraryMs(metrics: SparkplugMetric[]): number {
  const timestamp = Date.now()
  const payload = {
    timestamp,
    seq: 0,
    metrics: metrics.map(({ name, value, unit, low, high, description }) => ({
      name,
      value: value as number,
      type: 'Double' as const,
      timestamp,
      ...(description !== undefined && {
        properties: {
          engUnit: { type: 'String' as const, value: unit as string },
          engLow: { type: 'Double' as const, value: low as number },
          engHigh: { type: 'Double' as const, value: high as number },
          documentation: { type: 'String' as const, value: description },
        },
      }),
    })),
  }
  const begun = performance.now()
  sparkplug.get('spBv1.0')?.encodePayload(payload)
  return performance.now() - begun
}
