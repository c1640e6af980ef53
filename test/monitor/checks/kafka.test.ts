import assert from 'node:assert/strict'
import { test } from 'node:test'
import { kafka } from '../../../monitor/checks/kafka.ts'
import { assertResult, measured, run } from './run.ts'
import { listen } from './servers.ts'

// No Kafka is to be had for the tests: a small server answers ApiVersions 3 and Metadata 5 with the bytes of Kafka's protocol guide.

const int = (bits: 8 | 16 | 32, value: number) => {
  const bytes = Buffer.alloc(bits / 8)
  bytes.writeIntBE(value, 0, bits / 8)
  return bytes
}
const text = (value: string) => Buffer.concat([int(16, value.length), Buffer.from(value)])
const array = (items: Buffer[]) => Buffer.concat([int(32, items.length), ...items])
const ids = (values: number[]) => array(values.map((value) => int(32, value)))

type Partition = { leader: number; replicas: number[]; inSync: number[] }

function metadata(brokers: number[], partitions: Partition[]): Buffer {
  return Buffer.concat([
    int(32, 0), // throttle time
    array(brokers.map((id) => Buffer.concat([int(32, id), text('127.0.0.1'), int(32, 9092), int(16, -1)]))),
    text('harbour'),
    int(32, brokers[0] ?? -1), // controller
    array([
      Buffer.concat([
        int(16, 0),
        text('cargo'),
        int(8, 0),
        array(
          partitions.map(
            ({ leader, replicas, inSync }, index) =>
              Buffer.concat([int(16, leader < 0 ? 5 : 0), int(32, index), int(32, leader), ids(replicas), ids(inSync), ids([])]), // 5: LEADER_NOT_AVAILABLE
          ),
        ),
      ]),
    ]),
  ])
}

// Compact array of one entry: Metadata (3), versions 0 to 5; then throttle time and no tags.
const apiVersions = Buffer.concat([int(16, 0), int(8, 2), int(16, 3), int(16, 0), int(16, 5), int(8, 0), int(32, 0), int(8, 0)])

async function broker(t: Parameters<typeof listen>[0], answer: Buffer): Promise<string> {
  const port = await listen(t, (socket) => {
    let read = Buffer.alloc(0)
    socket.on('data', (chunk) => {
      read = Buffer.concat([read, chunk])
      while (read.length >= 4 && read.length >= 4 + read.readInt32BE(0)) {
        const request = read.subarray(4, 4 + read.readInt32BE(0))
        read = read.subarray(4 + request.length)
        const [key, correlation] = [request.readInt16BE(0), request.subarray(4, 8)]
        const body = key === 18 ? apiVersions : answer
        socket.write(Buffer.concat([int(32, 4 + body.length), correlation, body]))
      }
    })
  })
  return `127.0.0.1:${port}`
}

const sound: Partition = { leader: 1, replicas: [1, 2], inSync: [1, 2] }

for (const { name, partitions, state, reason, detail, measures } of [
  {
    name: 'is up when all replicas are in sync',
    partitions: [sound, sound],
    state: 'up',
    detail: /2 brokers, 2 partitions/,
    measures: [0, 0],
  },
  {
    name: 'is degraded when a partition is under-replicated',
    partitions: [sound, { ...sound, inSync: [1] }],
    state: 'degraded',
    reason: 'partly_unavailable',
    detail: /under-replicated: cargo-1/,
    measures: [1, 0],
  },
  {
    name: 'is down when a partition has no leader',
    partitions: [sound, { leader: -1, replicas: [2], inSync: [] }],
    state: 'down',
    reason: 'unavailable',
    detail: /without a leader: cargo-1/,
    measures: [1, 1],
  },
] as const)
  test(`kafka check of documented bytes ${name}`, async (t) => {
    const result = await run(kafka, { brokers: [await broker(t, metadata([1, 2], [...partitions] as Partition[]))] })
    assertResult(result, state, reason, detail)
    assert.deepEqual(
      [measured(result, 'skerry_kafka_under_replicated_partitions'), measured(result, 'skerry_kafka_offline_partitions')],
      measures,
    )
  })

test('kafka check of documented bytes is degraded when a broker is missing', async (t) => {
  const brokers = [await broker(t, metadata([1, 2], [sound]))]
  assertResult(await run(kafka, { brokers, expectBrokers: 3 }), 'degraded', 'partly_unavailable', /2 of 3 brokers/)
})

test('kafka check tries the next broker when the first hangs or is gone', async (t) => {
  const silent = `127.0.0.1:${await listen(t, () => {})}`
  const brokers = ['127.0.0.1:1', silent, await broker(t, metadata([1, 2], [sound]))]
  assertResult(await run(kafka, { brokers, brokerTimeoutMs: 1_500 }, { timeoutMs: 10_000 }), 'up')
})

test('kafka check is down when no broker answers', async () => {
  assertResult(await run(kafka, { brokers: ['127.0.0.1:1'] }), 'down', 'connection_refused')
})
