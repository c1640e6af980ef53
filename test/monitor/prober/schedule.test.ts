import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Due, firstStart, gridOf, nextStart, phaseOf, startsBetween, Timetable } from '../../../monitor/prober/schedule.ts'
import { createSlots } from '../../../monitor/prober/slots.ts'
import { fc } from '../../shared/property.ts'

test('a thousand checks start spread over their interval', () => {
  const tenths = new Array<number>(100).fill(0)
  for (let index = 0; index < 1000; index++) {
    const place = Math.floor(phaseOf(`check-${index}`) * 100)
    tenths[place] = (tenths[place] ?? 0) + 1
  }
  // Ten are expected in each hundredth of the interval; with chance alone, 25 in any of them is one case in ten thousand.
  assert.ok(Math.max(...tenths) < 25, `${Math.max(...tenths)} start together`)
  assert.ok(tenths.filter((count) => count === 0).length <= 1)
})

test('a check starts at the same place of its interval whenever it is computed', () => {
  assert.equal(phaseOf('shop'), phaseOf('shop'))
  assert.notEqual(phaseOf('shop'), phaseOf('shoq'))
})

test('the next start is first + n × interval, after a million of them too', () => {
  const grid = gridOf({ name: 'shop', intervalMs: 10_000 }, 123.456)
  const first = nextStart(grid, 0)
  let time = first
  for (let n = 0; n < 1000; n++) time = nextStart(grid, time + 7.3)
  assert.equal(time, first + 1000 * 10_000)
  assert.equal(nextStart(grid, first + 1_000_000 * 10_000 - 1), first + 1_000_000 * 10_000)
})

test('starts that fell out are counted', () => {
  const grid = { origin: 0, phaseMs: 300, intervalMs: 1000 }
  assert.equal(startsBetween(grid, 300, 300), 0)
  assert.equal(startsBetween(grid, 300, 1299), 0)
  assert.equal(startsBetween(grid, 300, 1300), 1)
  assert.equal(startsBetween(grid, 300, 5500), 5)
})

test('a check that runs once an hour first runs within ten seconds', () => {
  for (const name of ['a', 'b', 'c', 'd', 'e']) {
    const first = firstStart(gridOf({ name, intervalMs: 3_600_000 }, 0), name, 0)
    assert.ok(first >= 0 && first <= 10_000, String(first))
  }
})

test('the timetable always has what is due first, whatever is put and removed', () => {
  type Item = Due & { id: number }
  const step = fc.record({ id: fc.nat(20), at: fc.nat(1000), remove: fc.boolean() })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const timetable = new Timetable<Item>()
      const items = Array.from({ length: 21 }, (_, id): Item => ({ id, at: Infinity }))
      const model = new Map<number, number>()
      for (const { id, at, remove } of steps) {
        const item = items[id] as Item
        if (remove) {
          timetable.remove(item)
          model.delete(id)
        } else {
          timetable.put(item, at)
          model.set(id, at)
        }
        assert.equal(timetable.first()?.at, model.size === 0 ? undefined : Math.min(...model.values()))
      }
    }),
    { numRuns: 200 },
  )
})

test('what hung the last time gets half of the slots, and the others go first', () => {
  const slots = createSlots<string>(4)
  assert.deepEqual([slots.take('s1', 'slow'), slots.take('s2', 'slow'), slots.take('s3', 'slow')], [true, true, false])
  assert.deepEqual([slots.take('q1', 'quick'), slots.take('q2', 'quick'), slots.take('q3', 'quick')], [true, true, false])
  assert.deepEqual([slots.running, slots.waiting, slots.first()], [4, 2, 'q3'])
  assert.deepEqual(slots.free('slow'), { item: 'q3', lane: 'quick' })
  assert.deepEqual(slots.free('quick'), { item: 's3', lane: 'slow' })
  assert.equal(slots.free('slow'), undefined)
  assert.equal(slots.running, 3)
})

test('the slots are never exceeded and none is lost', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 8 }), fc.array(fc.constantFrom('quick', 'slow', 'end'), { maxLength: 200 }), (size, steps) => {
      const slots = createSlots<number>(size)
      const running: ('quick' | 'slow')[] = []
      let waiting = 0
      for (const [id, step] of steps.entries()) {
        if (step !== 'end') {
          if (slots.take(id, step)) running.push(step)
          else waiting++
        } else if (running.length > 0) {
          const next = slots.free(running.shift() as 'quick' | 'slow')
          if (next !== undefined) {
            waiting--
            running.push(next.lane)
          }
        }
        assert.ok(running.length <= size)
        assert.deepEqual([slots.running, slots.waiting], [running.length, waiting])
      }
      // What waits is served in the end.
      while (running.length > 0) {
        const next = slots.free(running.shift() as 'quick' | 'slow')
        if (next !== undefined) {
          waiting--
          running.push(next.lane)
        }
      }
      assert.equal(waiting, 0)
    }),
    { numRuns: 200 },
  )
})
