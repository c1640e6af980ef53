import assert from 'node:assert/strict'
import { test } from 'node:test'
import { backoff, systemClock } from '../../shared/clock.ts'
import { createFakeClock } from './fake-clock.ts'

test('a sleep ends after its time', async () => {
  const before = systemClock.monotonic()
  await systemClock.sleep(20)
  assert.ok(systemClock.monotonic() - before >= 19)
})

test('a sleep rejects with the reason of its signal, at once if it was aborted before', async () => {
  const controller = new AbortController()
  const sleeping = systemClock.sleep(60_000, controller.signal)
  const reason = new Error('told to stop')
  controller.abort(reason)
  await assert.rejects(sleeping, reason)
  await assert.rejects(systemClock.sleep(60_000, controller.signal), reason)
})

test('a sleep longer than a timer can hold does not end at once', async () => {
  const controller = new AbortController()
  const sleeping = systemClock.sleep(2 ** 40, controller.signal).then(() => 'woke')
  const early = await Promise.race([sleeping, systemClock.sleep(20).then(() => 'still asleep')])
  assert.equal(early, 'still asleep')
  controller.abort()
  await assert.rejects(sleeping)
})

const waits = [
  { name: 'starts below the base', attempt: 0, random: 0.999, want: 99 },
  { name: 'doubles with every failure', attempt: 3, random: 0.5, want: 400 },
  { name: 'never exceeds the cap', attempt: 60, random: 0.9999, want: 9999 },
  { name: 'may be no wait at all', attempt: 60, random: 0, want: 0 },
]
for (const { name, attempt, random, want } of waits) {
  test(`a backoff ${name}`, () => assert.equal(backoff({ baseMs: 100, capMs: 10_000 }, attempt, random), want))
}

test('the fake clock wakes sleepers in the order in which they are due, each at its own time', async () => {
  const clock = createFakeClock()
  const start = clock.monotonic()
  const woken: [string, number][] = []
  const wake = (name: string, ms: number) => clock.sleep(ms).then(() => woken.push([name, clock.monotonic() - start]))
  void wake('late', 300)
  void wake('early', 100).then(() => wake('again', 50))
  await clock.advance(299)
  assert.deepEqual(woken, [
    ['early', 100],
    ['again', 150],
  ])
  await clock.advance(1)
  assert.deepEqual(woken.at(-1), ['late', 300])
  assert.equal(clock.sleepers(), 0)
})

test('a paused process of the fake clock wakes only when it is resumed, and sees at once how late it is', async () => {
  const clock = createFakeClock()
  const paused = clock.process()
  const start = paused.monotonic()
  let wokeAt: number | undefined
  void paused.sleep(100).then(() => {
    wokeAt = paused.monotonic() - start
  })
  paused.pause()
  await clock.advance(5_000)
  assert.equal(wokeAt, undefined)
  paused.resume()
  await clock.advance(0)
  assert.equal(wokeAt, 5_000)
})
