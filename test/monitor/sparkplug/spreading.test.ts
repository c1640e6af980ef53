import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BrokerModel } from '../../fleet/broker-model.ts'
import { EventClock } from '../../fleet/event-clock.ts'
import { host, Monitors } from '../../fleet/monitors.ts'

const count = 50

/** Many monitors that need a primary host, on one broker. */
function many(isOnline: boolean) {
  const clock = new EventClock()
  const broker = new BrokerModel(clock)
  const monitors = new Monitors(count, { clock, brokers: [broker], seed: 1, hasPrimaryHost: true })
  broker.hostSays(host, isOnline)
  return { clock, broker, monitors }
}

test('nodes that wait for their primary host are born spread over its pause once it comes: they all hear it in the same moment', async () => {
  const { clock, broker, monitors } = many(false)
  await monitors.start()
  await clock.advance(12_000)
  assert.equal(monitors.online, 0)
  broker.hostSays(host, true)
  const born = [monitors.online]
  for (let second = 0; second < 5; second++) {
    await clock.advance(1_000)
    born.push(monitors.online)
  }
  assert.equal(born.at(-1), count, `${born}`)
  const inEach = born.slice(1).map((all, second) => all - (born[second] ?? 0))
  assert.ok(
    inEach.every((some) => some > 1 && some < 25),
    `${inEach}`,
  )
})

test('a node that finds its primary host online is born at once', async () => {
  const { clock, monitors } = many(true)
  await monitors.start()
  await clock.advance(1_000)
  assert.equal(monitors.online, count)
})

test('a primary host that has left again before the birth of a node leads to none', async () => {
  const { clock, broker, monitors } = many(false)
  await monitors.start()
  await clock.advance(12_000)
  broker.hostSays(host, true)
  await clock.advance(0)
  broker.hostSays(host, false)
  await clock.advance(12_000)
  assert.equal(monitors.online, 0)
})

test('monitors that were there before and start in the same second connect spread over the first window; new ones connect at once', async () => {
  const clock = new EventClock()
  const broker = new BrokerModel(clock)
  const monitors = new Monitors(count, { clock, brokers: [broker], seed: 1 })
  await monitors.start()
  await clock.advance(1_000)
  assert.equal(monitors.online, count)
  broker.fail()
  await monitors.stop()
  await clock.advance(60_000)
  broker.condition = { is: 'open' }
  const startedAt = clock.monotonic()
  await monitors.start()
  assert.ok(await clock.until(() => monitors.areAllOnline, 12_000))
  const inEach = broker.connects.rates(startedAt, startedAt + 10_000, 1)
  assert.ok(
    inEach.every((some) => some < 15),
    `${inEach}`,
  )
})
