import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LeaseClock } from '../../../agent/clock/lease-clock.ts'
import { createFakeClock } from '../../shared/fake-clock.ts'
import { fc } from '../../shared/property.ts'

/** RFC 3339 with microseconds, as kubelets write it. */
const microTime = (at: number) => new Date(at).toISOString().replace('Z', '000Z')

test('the clock of a node is never shown further ahead than it is, and lags by the shortest of the last twelve ways', async () => {
  const delays = fc.array(fc.integer({ min: 0, max: 9_000 }), { minLength: 3, maxLength: 30 })
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: -1e11, max: 1e11 }), delays, async (ahead, ways) => {
      const clock = createFakeClock()
      const node = new LeaseClock()
      for (const way of ways) {
        const renewTime = microTime(clock.now() + ahead)
        await clock.advance(way)
        node.renewed(renewTime, clock)
        await clock.advance(10_000 - way)
      }
      const shortest = Math.min(...ways.slice(-12))
      assert.equal(node.offset(clock)?.offsetMs, ahead - shortest)
    }),
  )
})

test('it is not known before three renewals, nor while the node is silent', async () => {
  const clock = createFakeClock()
  const node = new LeaseClock()
  node.found(microTime(clock.now() - 9_000))
  for (let i = 0; i < 3; i++) {
    assert.equal(node.offset(clock), undefined)
    node.renewed(microTime(clock.now() + 700), clock)
    await clock.advance(10_000)
  }
  assert.deepEqual(node.offset(clock), { offsetMs: 700, uncertaintyMs: 10 })
  await clock.advance(61_000)
  assert.equal(node.offset(clock), undefined)
})

test('a Lease that is listed again is no renewal', () => {
  const clock = createFakeClock()
  const node = new LeaseClock()
  const renewTime = microTime(clock.now())
  node.found(renewTime)
  for (let i = 0; i < 5; i++) node.renewed(renewTime, clock)
  assert.equal(node.offset(clock), undefined)
})

test('a node whose clock is set back is seen so after two minutes, one that is set forward at once', async () => {
  const clock = createFakeClock()
  const node = new LeaseClock()
  const renew = async (ahead: number, times: number) => {
    for (let i = 0; i < times; i++) {
      node.renewed(microTime(clock.now() + ahead), clock)
      await clock.advance(10_000)
    }
  }
  await renew(0, 12)
  await renew(5_000, 1)
  assert.equal(node.offset(clock)?.offsetMs, 5_000)
  await renew(-4_000, 12)
  assert.equal(node.offset(clock)?.offsetMs, -4_000)
})
