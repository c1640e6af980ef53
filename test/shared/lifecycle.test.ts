import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Part, runParts, together } from '../../shared/lifecycle.ts'
import { createLog } from '../../shared/log.ts'
import { createFakeClock, settle } from './fake-clock.ts'

const graceMs = 10_000

function world() {
  const events: string[] = []
  const lines: string[] = []
  const clock = createFakeClock()
  const controller = new AbortController()
  const log = createLog({ level: 'debug', name: 'test', destination: { write: (line) => lines.push(line) } })
  const part = (name: string, { start, stop }: Partial<Pick<Part, 'start' | 'stop'>> = {}): Part => ({
    name,
    start: async (signal) => {
      events.push(`start ${name}`)
      await start?.(signal)
      events.push(`started ${name}`)
    },
    stop: async (deadline) => {
      events.push(`stop ${name}`)
      await stop?.(deadline)
      events.push(`stopped ${name}`)
    },
  })
  return { events, lines, clock, stopping: controller.signal, tellToStop: () => controller.abort(new Error('SIGTERM')), log, part, graceMs }
}

test('parts start from left to right, each after the one before is ready, and stop from right to left', async () => {
  const { events, part, tellToStop, ...options } = world()
  const slow = { start: () => options.clock.sleep(100), stop: () => options.clock.sleep(100) }
  const running = runParts([part('caches', slow), part('lease', slow), part('api', slow)], options)
  await options.clock.advance(300)
  assert.deepEqual(events, ['start caches', 'started caches', 'start lease', 'started lease', 'start api', 'started api'])
  events.length = 0
  tellToStop()
  await options.clock.advance(300)
  await running
  assert.deepEqual(events, ['stop api', 'stopped api', 'stop lease', 'stopped lease', 'stop caches', 'stopped caches'])
})

for (const when of ['rejects', 'throws'] as const) {
  test(`a part whose start ${when} stops those already started and its error is thrown`, async () => {
    const { events, part, tellToStop: _, ...options } = world()
    const error = new Error('EADDRINUSE')
    const broken: Part = {
      name: 'api',
      start:
        when === 'rejects'
          ? () => Promise.reject(error)
          : () => {
              throw error
            },
      stop: () => assert.fail('it never started'),
    }
    await assert.rejects(runParts([part('caches'), part('lease'), broken, part('executor')], options), error)
    assert.deepEqual(events.slice(4), ['stop lease', 'stopped lease', 'stop caches', 'stopped caches'])
  })
}

test('told to stop while a part starts, it starts no other and stops what runs', async () => {
  const { events, part, tellToStop, ...options } = world()
  const waiting = part('caches', { start: (signal) => options.clock.sleep(60_000, signal) })
  const running = runParts([part('admin'), waiting, part('api')], options)
  await settle()
  tellToStop()
  await running
  assert.deepEqual(events, ['start admin', 'started admin', 'start caches', 'stop admin', 'stopped admin'])
})

test('a start that ignores the stop does not hold it up for longer than half of the grace', async () => {
  const { events, part, tellToStop, ...options } = world()
  const deaf = part('caches', { start: () => new Promise(() => {}) })
  const running = runParts([part('admin'), deaf], options)
  await settle()
  tellToStop()
  await options.clock.advance(graceMs / 2)
  await running
  assert.deepEqual(events.slice(-2), ['stop admin', 'stopped admin'])
})

test('told to stop before anything started, nothing starts', async () => {
  const { events, part, tellToStop, ...options } = world()
  tellToStop()
  await runParts([part('admin')], options)
  assert.deepEqual(events, [])
})

test('a stop that fails is logged and the next part is stopped all the same', async () => {
  const { events, lines, part, tellToStop, ...options } = world()
  const broken = part('api', { stop: () => Promise.reject(new Error('socket gone')) })
  const running = runParts([part('lease'), broken], options)
  await settle()
  tellToStop()
  await running
  assert.deepEqual(events.slice(-2), ['stop lease', 'stopped lease'])
  const line = lines.map((each) => JSON.parse(each)).find((each) => each.msg === 'part failed to stop')
  assert.equal(line.level, 'error')
  assert.equal(line.part, 'api')
  assert.equal(line.err.message, 'socket gone')
})

test('a part that never stops leaves the others time of their own, and all end within the grace', async () => {
  const { events, lines, part, tellToStop, ...options } = world()
  let left = 0
  const release = part('lease', {
    stop: async (deadline) => {
      left = deadline - options.clock.monotonic()
      await options.clock.sleep(500)
    },
  })
  const deaf = (name: string) => part(name, { stop: () => new Promise(() => {}) })
  const running = runParts([release, deaf('executor'), deaf('api')], options).then(() => 'ended')
  await settle()
  tellToStop()
  await options.clock.advance(graceMs)
  assert.equal(await Promise.race([running, settle().then(() => 'still running')]), 'ended')
  assert.ok(left >= 1000, `the last part had ${left} ms`)
  assert.ok(events.includes('stopped lease'))
  assert.equal(lines.filter((line) => line.includes('part did not stop in time')).length, 2)
})

test('a part that uses its time up to the deadline is not called late', async () => {
  const { lines, part, tellToStop, ...options } = world()
  const drains = part('api', { stop: (deadline) => options.clock.sleep(deadline - options.clock.monotonic()) })
  const running = runParts([part('lease'), drains], options)
  await settle()
  tellToStop()
  await options.clock.advance(graceMs)
  await running
  assert.ok(!lines.some((line) => line.includes('in time')))
})

test('of parts that start together, a failure stops those that have started', async () => {
  const stopped: string[] = []
  const part = (name: string, start: () => Promise<void>): Part => ({ name, start, stop: async () => void stopped.push(name) })
  const failing = part('failing', () => Promise.reject(new Error('no file')))
  const all = together('all', [part('one', async () => {}), failing, part('two', async () => {})])
  await assert.rejects(all.start(new AbortController().signal), /no file/)
  assert.deepEqual(stopped, ['one', 'two'])
})
