import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type ChangeBuffer, createMemoryBuffer } from '../../../monitor/sparkplug/buffer.ts'
import type { Connect, Connection, EndedBy } from '../../../monitor/sparkplug/connection.ts'
import type { ConnectOptions } from '../../../monitor/sparkplug/mqtt-client.ts'
import type { ServerTerms } from '../../../monitor/sparkplug/server-terms.ts'
import { createFakeClock, type FakeClock } from '../../shared/fake-clock.ts'
import { metric, nodeInHand } from './node-in-hand.ts'
import { carriedValue, decode } from './schema.ts'

/** A server in the test's hand: it does what it is told, at the time of a clock that stands still. */
function serverInHand() {
  const sent: { life: number; verb: string; metrics: ReturnType<typeof decode>['metrics'] }[] = []
  const lives: ConnectOptions[] = []
  const open = new Set<Connection>()
  const server = {
    sent,
    /** Ends every connection. */
    cut() {
      for (const connection of open) connection.destroy('ECONNRESET')
    },
    lives,
    terms: {} as ServerTerms,
    /** Of each life in turn: what the server does not answer. */
    flow: { given: 0, gone: 0 },
    silent: new Set<'connect' | 'subscribe' | 'ping' | 'publish'>(),
    connect: (async (options, signal) => {
      lives.push(options)
      const life = lives.length
      if (server.silent.has('connect')) {
        // As a real connection does, it gives up by the clock or by the signal.
        await new Promise((_resolve, reject) => {
          clock.sleep(options.timeoutMs, signal).then(() => reject(new Error('timeout')), reject)
        })
      }
      await options.will(signal)
      options.onConnect()
      const closed = Promise.withResolvers<string>()
      let isOpen = true
      let by: EndedBy | undefined
      const never = new Promise<never>(() => {})
      const take = (topic: string, payload: Buffer) => {
        sent.push({ life, verb: topic.split('/')[2] as string, metrics: decode(payload).metrics })
      }
      const connection: Connection = {
        closed: closed.promise,
        endedBy: () => by,
        terms: server.terms,
        isOpen: () => isOpen,
        isCongested: () => false,
        flow: () => server.flow,
        send(topic, payload) {
          if (isOpen) take(topic, payload)
          return isOpen
        },
        async sendAcknowledged(topic, payload) {
          take(topic, payload)
          if (server.silent.has('publish')) await never
        },
        subscribe: async (filters) => (server.silent.has('subscribe') ? never : filters.map(() => 1)),
        unsubscribe() {},
        ping: async () => (server.silent.has('ping') ? never : undefined),
        disconnect: () => connection.destroy('left'),
        destroy(reason) {
          isOpen = false
          by ??= reason === 'ECONNRESET' ? 'server' : 'node'
          open.delete(connection)
          closed.resolve(reason)
        },
      }
      open.add(connection)
      return connection
    }) satisfies Connect as Connect,
  }
  const clock: FakeClock = createFakeClock()
  return { server, clock }
}

const settings = {
  keepAliveSeconds: 30,
  coalesceMs: 100,
  proofMs: 1_000,
  reconnect: { baseMs: 10_000, capMs: 60_000 },
  connectTimeoutMs: 15_000,
  subscribeTimeoutMs: 10_000,
  deathTimeoutMs: 2_000,
}
const loads = (sent: ReturnType<typeof serverInHand>['server']['sent'], life: number) =>
  sent
    .filter((each) => each.life === life)
    .flatMap(({ metrics }) => metrics.filter(({ name }) => name === 'Load').map((each) => [each.isHistorical ?? false, carriedValue(each)]))

test('a dead link is noticed within 1.5 of the keep-alive, and all that went into it is sent again as history', async (t) => {
  const { server, clock } = serverInHand()
  const { node } = nodeInHand(t, ['mqtt://stand-in'], settings, { connect: server.connect, clock, random: () => 0.5 })
  node.setDevice('host:a', [metric('Load', 0)])
  await node.start(new AbortController().signal)
  await clock.advance(5_000)
  node.update('host:a', [{ name: 'Load', value: 1 }])
  await clock.advance(5_000) // proven
  server.silent.add('ping')
  for (let value = 2; value <= 20; value++) {
    node.update('host:a', [{ name: 'Load', value }])
    await clock.advance(1_000)
  }
  assert.equal(node.observe().isConnected, true)
  const before = clock.monotonic()
  while (node.observe().isConnected && clock.monotonic() - before < 45_000) await clock.advance(500)
  assert.equal(node.observe().isConnected, false)
  server.silent.clear()
  await clock.advance(30_000)
  assert.equal(server.lives.length, 2)
  const live = Array.from({ length: 20 }, (_, index) => [false, index + 1])
  assert.deepEqual(loads(server.sent, 1), [[false, 0], ...live])
  // 1 was proven; 20 is in the birth.
  assert.deepEqual(loads(server.sent, 2), [[false, 20], ...Array.from({ length: 18 }, (_, index) => [true, index + 2])])
})

test('a server that never reads the births is tried at longer and longer intervals, until one is proven and lasts', async (t) => {
  const { server, clock } = serverInHand()
  const times: number[] = []
  const connect: Connect = (options, signal) => {
    times.push(clock.monotonic())
    return server.connect(options, signal)
  }
  const nearest = (ms: number) => Math.round(ms / 2_500) * 2_500
  const { node } = nodeInHand(t, ['mqtt://stand-in'], settings, { connect, clock, random: () => 0.5 })
  server.silent.add('ping')
  await node.start(new AbortController().signal)
  while (times.length < 5) await clock.advance(500)
  // Half of a window of 10 s that doubles; 23.5 s for a life: a second until the ping, and its limit.
  const pauses = times.slice(1).map((time, index) => nearest(time - (times[index] as number) - 23_500))
  assert.deepEqual(pauses, [5_000, 15_000, 30_000, 45_000])
  server.silent.clear()
  while (times.length < 6) await clock.advance(500)
  for (const [lifeMs, pauseMs] of [
    [5_000, 45_000],
    [60_000, 5_000],
  ] as const) {
    await clock.advance(lifeMs)
    const { length } = times
    server.cut()
    const lostAt = clock.monotonic()
    while (times.length === length) await clock.advance(500)
    assert.equal(nearest((times[length] as number) - lostAt), pauseMs)
  }
})

test('as long as what stands before the PINGREQ goes out, the link is slow and not dead', async (t) => {
  const { server, clock } = serverInHand()
  const { node } = nodeInHand(t, ['mqtt://stand-in'], settings, { connect: server.connect, clock, random: () => 0.9 })
  server.silent.add('ping')
  server.flow = { given: 10_000_000, gone: 0 }
  await node.start(new AbortController().signal)
  for (let second = 0; second < 300; second++) {
    server.flow.gone += 10_000
    await clock.advance(1_000)
  }
  assert.deepEqual([server.lives.length, node.observe().isOnline], [1, true])
  for (let second = 0; second < 60 && node.observe().isOnline; second++) await clock.advance(1_000)
  assert.equal(node.observe().isOnline, false)
})

test('what is sent behind the PINGREQ does not keep a dead link alive', async (t) => {
  const { server, clock } = serverInHand()
  const { node } = nodeInHand(t, ['mqtt://stand-in'], settings, { connect: server.connect, clock, random: () => 0.9 })
  server.silent.add('ping')
  server.flow = { given: 1_000, gone: 1_000 }
  await node.start(new AbortController().signal)
  for (let second = 0; second < 30; second++) {
    server.flow.given += 100
    server.flow.gone += 100
    await clock.advance(1_000)
  }
  assert.equal(node.observe().isOnline, false)
})

test('an idle link is pinged within the keep-alive', async (t) => {
  const { server, clock } = serverInHand()
  let pings = 0
  const connect: Connect = async (options, signal) => {
    const connection = await server.connect(options, signal)
    return { ...connection, ping: () => connection.ping().then(() => void pings++) }
  }
  const { node } = nodeInHand(t, ['mqtt://stand-in'], settings, { connect, clock })
  await node.start(new AbortController().signal)
  await clock.advance(300_000)
  assert.ok(pings >= 10, `${pings} pings in ten keep-alives`)
  assert.equal(server.lives.length, 1)
})

for (const [what, limitMs] of [
  ['connect', 15_000],
  ['subscribe', 10_000],
] as const) {
  test(`a server that does not answer ${what} is left after ${limitMs} ms, and the node is born when it answers again`, async (t) => {
    const { server, clock } = serverInHand()
    server.silent.add(what)
    const { node } = nodeInHand(t, ['mqtt://stand-in'], settings, { connect: server.connect, clock, random: () => 0.999 })
    await node.start(new AbortController().signal)
    await clock.advance(limitMs - 1)
    assert.equal(server.lives.length, 1)
    await clock.advance(20_000)
    assert.equal(server.lives.length, 2)
    server.silent.clear()
    await clock.advance(120_000)
    assert.equal(node.observe().isOnline, true)
  })
}

test('a PUBACK of the NDEATH that does not come holds the stop up for two seconds, no more', async (t) => {
  const { server, clock } = serverInHand()
  const { node, stop } = nodeInHand(t, ['mqtt://stand-in'], settings, { connect: server.connect, clock })
  await node.start(new AbortController().signal)
  await clock.advance(1_000)
  server.silent.add('publish')
  let isStopped = false
  const stopping = stop().then(() => {
    isStopped = true
  })
  await clock.advance(1_999)
  assert.equal(isStopped, false)
  await clock.advance(10)
  await stopping
  assert.equal(server.sent.at(-1)?.verb, 'NDEATH')
  assert.equal(clock.sleepers(), 0)
})

test('nodes that lose one server together come back spread over the window', async (t) => {
  const { server, clock } = serverInHand()
  const connections: Connection[] = []
  const times: number[] = []
  const connect: Connect = async (options, signal) => {
    times.push(clock.monotonic())
    const connection = await server.connect(options, signal)
    connections.push(connection)
    return connection
  }
  for (let index = 0; index < 50; index++) {
    const { node } = nodeInHand(
      t,
      ['mqtt://stand-in'],
      { ...settings, node: `n${index}` },
      { connect, clock, random: () => (index + 0.5) / 50 },
    )
    await node.start(new AbortController().signal)
  }
  await clock.advance(60_000)
  const lostAt = clock.monotonic()
  for (const connection of connections) connection.destroy('ECONNRESET')
  await clock.advance(10_000)
  const later = times.slice(50).map((time) => time - lostAt)
  assert.equal(later.length, 50)
  for (let second = 0; second < 10; second++) {
    const within = later.filter((time) => time >= second * 1_000 && time < (second + 1) * 1_000).length
    assert.ok(within >= 4 && within <= 6, `${within} in second ${second}`)
  }
})

test('a buffer that cannot be read ends the connection, and leaves nothing of it behind', async (t) => {
  const { server, clock } = serverInHand()
  const connections: Connection[] = []
  const connect: Connect = async (options, signal) => {
    const connection = await server.connect(options, signal)
    connections.push(connection)
    return connection
  }
  const memory = createMemoryBuffer({ limit: 1_000 })
  let isBroken = false
  const buffer: ChangeBuffer = {
    append: memory.append,
    get start() {
      return memory.start
    },
    get end() {
      return memory.end
    },
    get dropped() {
      return memory.dropped
    },
    read(from, count) {
      if (isBroken) throw new Error('EIO')
      return memory.read(from, count)
    },
    release: memory.release,
    save() {},
  }
  const { node } = nodeInHand(t, ['mqtt://stand-in'], settings, { connect, clock, buffer, random: () => 0.5 })
  node.setDevice('host:a', [metric('Load', 0)])
  await node.start(new AbortController().signal)
  await clock.advance(5_000)
  isBroken = true
  node.update('host:a', [{ name: 'Load', value: 1 }])
  await clock.advance(1_000)
  assert.deepEqual([connections.map((each) => each.isOpen()), node.observe().isConnected, node.observe().isOnline], [[false], false, false])
  isBroken = false
  node.update('host:a', [{ name: 'Load', value: 2 }])
  await clock.advance(60_000)
  assert.deepEqual([connections.map((each) => each.isOpen()), node.observe().isOnline], [[false, true], true])
  assert.deepEqual(loads(server.sent, 2), [
    [false, 2],
    [true, 1],
  ])
})

for (const [what, given, later] of [
  ['confirmed', {}, 1],
  ['moved within its deadband', { deadband: 5 }, 3],
] as const)
  test(`when a value that was ${what} since became what it is remains in the history`, async (t) => {
    const { server, clock } = serverInHand()
    const { node } = nodeInHand(t, ['mqtt://stand-in'], settings, { connect: server.connect, clock, random: () => 0.5 })
    const times = [5_000, 7_000, 9_000].map((ms) => clock.now() + ms) as [number, number, number]
    node.setDevice('host:a', [metric('Load', -20, { timestamp: clock.now(), ...given })])
    await node.start(new AbortController().signal)
    await clock.advance(3_000) // proven
    server.silent.add('connect')
    server.cut()
    node.update('host:a', [{ name: 'Load', value: 1, timestamp: times[0] }])
    node.update('host:a', [{ name: 'Load', value: later, timestamp: times[1] }])
    node.update('host:a', [{ name: 'Load', value: later, timestamp: times[2] }])
    server.silent.clear()
    await clock.advance(120_000)
    const life = server.lives.length
    const told = server.sent
      .filter((each) => each.life === life)
      .flatMap(({ metrics }) => metrics.filter(({ name }) => name === 'Load'))
      .map((each) => [each.isHistorical ?? false, carriedValue(each), each.timestamp])
    assert.deepEqual(told, [
      [false, later, times[2]],
      [true, 1, times[0]],
    ])
  })

test('a change of the clock to an earlier time makes no history of what is measured now', async (t) => {
  const { server, clock } = serverInHand()
  const { node } = nodeInHand(t, ['mqtt://stand-in'], settings, { connect: server.connect, clock })
  node.setDevice('host:a', [metric('Load', 0)])
  await node.start(new AbortController().signal)
  await clock.advance(1_000)
  clock.jump(-3_600_000)
  node.update('host:a', [{ name: 'Load', value: 1 }])
  await clock.advance(1_000)
  assert.deepEqual(loads(server.sent, 1), [
    [false, 0],
    [false, 1],
  ])
})
