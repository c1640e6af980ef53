import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { type ChangeBuffer, createMemoryBuffer } from '../../../monitor/sparkplug/buffer.ts'
import { createDiskBuffer } from '../../../monitor/sparkplug/disk-buffer.ts'
import type { EdgeNode } from '../../../monitor/sparkplug/edge-node.ts'
import type { Heard } from './broker.ts'
import { type Host, type Mosquitto, noMosquitto, startHost, startMosquitto } from './mosquitto.ts'
import { logInHand, metric, nodeInHand } from './node-in-hand.ts'
import { rules } from './rules.ts'
import { carriedValue } from './schema.ts'

const skip = noMosquitto
const primaryHost = { id: 'scada', giveUpMs: 1_000 }
const rounds = 20

// Servers are killed at random moments, and many of them: a rule that holds only by luck would not hold twenty times.
const cases = [
  { name: 'one server, MQTT 3.1.1, buffer in memory', servers: 1, protocolVersion: 4, onDisk: false },
  { name: 'one server, MQTT 5, buffer on disk', servers: 1, protocolVersion: 5, onDisk: true },
  { name: 'two servers, MQTT 3.1.1, buffer in memory', servers: 2, protocolVersion: 4, onDisk: false },
  { name: 'two servers, MQTT 5, buffer on disk', servers: 2, protocolVersion: 5, onDisk: true },
] as const

for (const { name, servers, protocolVersion, onDisk } of cases) {
  test(`${rounds} kills of the server under load lose no change, repeat only what was unproven, and keep the order (${name})`, {
    skip,
    timeout: 120_000,
  }, async (t) => {
    const messages: Heard[] = []
    const brokers: Mosquitto[] = []
    for (let count = 0; count < servers; count++) brokers.push(await startMosquitto(t))
    const hosts: Host[] = []
    for (const { url } of brokers) hosts.push(await startHost(t, url, {}, messages))
    const [host] = hosts as [Host]
    const buffer = await createBuffer(t, onDisk)
    const urls = brokers.map(({ url }) => url)
    const { node, stop } = nodeInHand(t, urls, { primaryHost, protocolVersion, flushPerSecond: 20_000 }, { buffer })
    const { counts, start, end } = createLoad(t, node)
    await node.start(new AbortController().signal)
    start()
    for (let round = 0; round < rounds; round++) {
      await host.until(() => node.observe().isOnline, `birth ${round}`)
      await sleep(50 + Math.random() * 150)
      // The one that it is connected to.
      const broker = brokers.find(({ url }) => url === node.observe().server) ?? brokers[round % servers]
      await broker?.kill()
      await sleep(Math.random() * 50)
      await broker?.start()
    }
    // As much as a busy machine takes its time for.
    await host.until(() => [...counts.values()].reduce((sum, count) => sum + count, 0) > 5_000, 'the load')
    end()
    await host.until(() => node.observe().isOnline && node.observe().buffer.length === 0, 'the end of the flush')
    await stop()
    await host.until(() => messages.at(-1)?.verb === 'NDEATH', 'the death')
    const { repeats, total } = accounts(messages, counts)
    const { buffer: kept, reconnects } = node.observe()
    t.diagnostic(`${total} changes, ${kept.historical} sent as history, ${repeats} repeated, ${reconnects} reconnects`)
    assert.ok(total > 5_000)
    assert.equal(kept.dropped, 0)
    const sequence = rules.find(({ ids }) => ids.includes('sequence-num-incrementing'))
    assert.ok(sequence)
    for (const life of lives(messages)) sequence.check({ group: 'shore', node: 'skerry', messages: life })
  })
}

async function createBuffer(t: TestContext, onDisk: boolean): Promise<ChangeBuffer> {
  if (!onDisk) return createMemoryBuffer({ limit: 100_000 })
  const directory = await mkdtemp(path.join(tmpdir(), 'skerry-buffer-'))
  t.after(() => rm(directory, { recursive: true, force: true }))
  return createDiskBuffer({ directory, maxBytes: 2 ** 26, values: 400 }, { log: logInHand().log })
}

/** Ten counters of the node and of two devices, each counted up at random every 5 ms. `counts` has where each stands. */
function createLoad(t: TestContext, node: EdgeNode) {
  const devices = [undefined, 'host:a', 'host:b']
  const names = Array.from({ length: 10 }, (_, index) => `Count/${index}`)
  const counts = new Map<string, number>()
  const metrics = names.map((name) => metric(name, 0, { datatype: 'Int32' }))
  node.setNode(metrics)
  for (const device of ['host:a', 'host:b']) node.setDevice(device, metrics)
  let loading: NodeJS.Timeout | undefined
  const end = () => clearInterval(loading)
  t.after(end)
  const load = () => {
    for (const device of devices) {
      const samples = names
        .filter(() => Math.random() < 0.5)
        .map((name) => {
          const key = `${device}/${name}`
          counts.set(key, (counts.get(key) ?? 0) + 1)
          return { name, value: counts.get(key) as number }
        })
      node.update(device, samples)
    }
  }
  return {
    counts,
    start() {
      loading = setInterval(load, 5)
    },
    end,
  }
}

/** Messages from one NBIRTH to the next. */
function lives(messages: Heard[]): Heard[][] {
  const found: Heard[][] = []
  for (const message of messages) {
    if (message.verb === 'NBIRTH') found.push([])
    found.at(-1)?.push(message)
  }
  return found
}

/**
 * Every change of every metric must be there, live ones and historical ones in order. What comes twice comes as history and with the
 * timestamp that it had, so that whoever keeps it by name and timestamp has it once.
 */
function accounts(messages: Heard[], counts: Map<string, number>): { repeats: number; total: number } {
  const seen = new Map<string, Map<number, number>>()
  const last = new Map<string, { live: number; past: number }>()
  let repeats = 0
  for (const { payload, device, verb } of messages) {
    for (const each of payload.metrics) {
      if (!each.name?.startsWith('Count/')) continue
      const key = `${device}/${each.name}`
      const value = carriedValue(each) as number
      const values = seen.get(key) ?? new Map()
      const before = last.get(key) ?? { live: -1, past: -1 }
      seen.set(key, values)
      last.set(key, before)
      if (values.has(value)) {
        // A birth repeats the present value; nothing else is repeated but as history.
        if (verb.endsWith('BIRTH')) continue
        assert.ok(each.isHistorical, `${key} ${value} is live twice`)
        assert.equal(each.timestamp, values.get(value), `${key} ${value} has another timestamp the second time`)
        repeats++
        continue
      }
      values.set(value, each.timestamp as number)
      const line = each.isHistorical ? 'past' : 'live'
      assert.ok(value > before[line], `${key}: ${value} after ${before[line]}, ${line}`)
      before[line] = value
    }
  }
  let total = 0
  for (const [key, count] of counts) {
    total += count
    const missing = Array.from({ length: count }, (_, index) => index + 1).filter((value) => !seen.get(key)?.has(value))
    assert.deepEqual(missing, [], `${key} of ${count}`)
  }
  return { repeats, total }
}
