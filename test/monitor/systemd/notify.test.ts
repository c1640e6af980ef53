import assert from 'node:assert/strict'
import test from 'node:test'
import pino from 'pino'
import { createServiceManager, type NotifyEnvironment, watchdogIntervalMs } from '../../../monitor/systemd/notify.ts'
import { createFakeClock } from '../../shared/fake-clock.ts'

const environment = { NOTIFY_SOCKET: '/run/systemd/notify', WATCHDOG_USEC: '60000000' }

function inHand(given: NotifyEnvironment = environment) {
  const sent: string[][] = []
  const lines: string[] = []
  const state = { stall: undefined as string | undefined, failure: undefined as Error | undefined }
  const clock = createFakeClock()
  const log = pino({ level: 'info' }, { write: (line: string) => void lines.push(JSON.parse(line).msg) })
  const manager = createServiceManager(given, {
    stall: () => state.stall,
    status: () => '3 checks, all up',
    send: async (assignments) => {
      if (state.failure) throw state.failure
      sent.push([...assignments])
    },
    clock,
    log,
  })
  return { manager, sent, lines, state, clock }
}

const never = new AbortController().signal

test('tells systemd that it is ready, and that it stops', async () => {
  const { manager, sent } = inHand()
  await manager.start(never)
  await manager.stop(0)
  assert.deepEqual(sent, [
    ['READY=1', 'STATUS=3 checks, all up'],
    ['STOPPING=1', 'STATUS=stopping'],
  ])
})

test('gives a sign of life in each half of the time that the watchdog waits', async () => {
  const { manager, sent, clock } = inHand()
  await manager.start(never)
  for (let half = 0; half < 3; half++) await clock.advance(30_000)
  assert.equal(sent.filter(([first]) => first === 'WATCHDOG=1').length, 3)
  await manager.stop(0)
})

test('gives none while the checks stall, says why, and goes on when they do not any more', async () => {
  const { manager, sent, lines, state, clock } = inHand()
  await manager.start(never)
  state.stall = 'no run ended\nfor 90 s'
  await clock.advance(30_000)
  await clock.advance(30_000)
  assert.deepEqual(sent.slice(1), [['STATUS=stalled: no run ended for 90 s']])
  assert.deepEqual(lines, ['checks stall: the watchdog of systemd is no longer notified'])
  state.stall = undefined
  await clock.advance(30_000)
  assert.equal(sent.at(-1)?.[0], 'WATCHDOG=1')
  await manager.stop(0)
})

test('tells of a reload from its beginning to its end', async () => {
  const { manager, sent } = inHand()
  await manager.start(never)
  manager.reloading()
  manager.reloaded('2 checks')
  await manager.stop(0)
  assert.match(sent[1]?.join(' ') ?? '', /^RELOADING=1 MONOTONIC_USEC=\d+$/)
  assert.deepEqual(sent[2], ['READY=1', 'STATUS=2 checks'])
})

test('warns once when systemd cannot be notified, and goes on', async () => {
  const { manager, lines, state, clock } = inHand()
  state.failure = new Error('no such program')
  await manager.start(never)
  await clock.advance(30_000)
  assert.equal(lines.length, 1)
  await manager.stop(0)
})

test('says nothing where there is no systemd', async () => {
  const { manager, sent, clock } = inHand({ WATCHDOG_USEC: '60000000' })
  await manager.start(never)
  await clock.advance(60_000)
  await manager.stop(0)
  assert.deepEqual(sent, [])
})

const watchdogs: [string, NotifyEnvironment, number | undefined][] = [
  ['half of the time', environment, 30_000],
  ['nothing without a time', { NOTIFY_SOCKET: 'x' }, undefined],
  ['nothing without a socket', { WATCHDOG_USEC: '60000000' }, undefined],
  ['nothing when another process is meant', { ...environment, WATCHDOG_PID: '7' }, undefined],
  ['half of the time when this process is meant', { ...environment, WATCHDOG_PID: '42' }, 30_000],
  ['nothing when the time is none', { ...environment, WATCHDOG_USEC: '-1' }, undefined],
]
for (const [name, given, expected] of watchdogs)
  test(`the watchdog is told: ${name}`, () => assert.equal(watchdogIntervalMs(given, 42), expected))
