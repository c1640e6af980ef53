import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Account, type AccountStore, addAccounts, type LinkSettings, Meter } from '../../../shared/link/index.ts'
import { createLog } from '../../../shared/log.ts'
import { createFakeClock, type FakeClock } from '../fake-clock.ts'

type Kept = AccountStore & { content: Account; writes: number; isBroken: boolean }

function storeInHand(content: Account = {}): Kept {
  return {
    content,
    writes: 0,
    isBroken: false,
    async read() {
      if (this.isBroken) throw new Error('away')
      return this.content
    },
    async add(news) {
      if (this.isBroken) throw new Error('away')
      this.writes++
      this.content = addAccounts(this.content, news)
      return this.content
    },
  }
}

type Given = { settings?: Partial<LinkSettings>; clock?: FakeClock; store?: Kept }

async function meterInHand({ settings = {}, clock = createFakeClock(), store = storeInHand() }: Given = {}) {
  const lines: Record<string, unknown>[] = []
  const destination = { write: (line: string) => void lines.push(JSON.parse(line)) }
  const log = createLog({ level: 'info', name: 'test', destination })
  const meter = new Meter({ profile: 'normal', budget: {}, ...settings }, { store, clock, log })
  const wire = { received: 0, sent: 0 }
  meter.attach('cloud', () => ({ ...wire }))
  await meter.start()
  await clock.advance(0)
  return { meter, wire, store, clock, lines, messages: () => lines.map(({ msg }) => msg) }
}

const [minute, hour] = [60_000, 3_600_000]

test('bytes count for the day on which they passed', async () => {
  const { meter, wire, clock } = await meterInHand({ clock: createFakeClock(Date.UTC(2026, 0, 31, 23)) })
  wire.sent = 100
  await clock.advance(hour - 2 * minute)
  wire.sent = 130
  await clock.advance(3 * minute)
  wire.received = 7
  assert.deepEqual(meter.standing().yesterday, { cloud: { received: 0, sent: 130 } })
  assert.deepEqual(meter.standing().today, { cloud: { received: 7, sent: 0 } })
  assert.deepEqual(meter.totals(), { cloud: { received: 7, sent: 130 } })
})

test('the account is written every ten minutes at most, and at the end', async () => {
  const { meter, wire, store, clock } = await meterInHand()
  for (let passed = 0; passed < 35; passed++) {
    wire.sent += 10
    await clock.advance(minute)
  }
  assert.equal(store.writes, 3)
  await meter.stop()
  assert.deepEqual([store.writes, store.content], [4, { '2026-01-01': { cloud: { received: 0, sent: 350 } } }])
})

test('nothing is written while nothing passes', async () => {
  const { store, clock } = await meterInHand()
  await clock.advance(hour)
  assert.equal(store.writes, 0)
})

test('a restart goes on with the bytes of before, and so does another replica', async () => {
  const before = { '2026-01-01': { cloud: { received: 5, sent: 6 } }, '2025-12-31': { cloud: { received: 1, sent: 1 } } }
  const { meter, wire } = await meterInHand({ store: storeInHand(before) })
  wire.sent = 4
  assert.deepEqual(meter.standing().today, { cloud: { received: 5, sent: 10 } })
  assert.deepEqual(meter.standing().yesterday, { cloud: { received: 1, sent: 1 } })
})

test('what cannot be written is kept for the next time, and is warned of once', async () => {
  const { meter, wire, store, clock, messages } = await meterInHand()
  store.isBroken = true
  wire.sent = 10
  await clock.advance(10 * minute)
  wire.sent = 30
  await clock.advance(10 * minute)
  assert.deepEqual(messages(), ['the bytes of the link cannot be kept: a restart forgets those of today'])
  assert.deepEqual(meter.standing().today, { cloud: { received: 0, sent: 30 } })
  store.isBroken = false
  await clock.advance(10 * minute)
  assert.deepEqual(store.content, { '2026-01-01': { cloud: { received: 0, sent: 30 } } })
})

test('a budget that is used too fast changes the profile, which is logged and told to whoever listens; at midnight it is as before', async () => {
  const { meter, wire, clock, messages } = await meterInHand({ settings: { budget: { perDay: 1_000 } } })
  const profiles: string[] = []
  meter.subscribe(() => profiles.push(meter.profile))
  wire.sent = 499
  await clock.advance(minute)
  assert.deepEqual([meter.profile, meter.standing().because], ['normal', 'configuration'])
  wire.sent = 500
  await clock.advance(minute)
  assert.deepEqual([meter.profile, meter.standing().because], ['metered', 'budget'])
  wire.received = 300
  await clock.advance(minute)
  assert.deepEqual(meter.standing().budget, { perDay: 1_000, used: 800, isOver: false })
  wire.received = 3_000
  await clock.advance(23 * hour)
  assert.deepEqual([meter.profile, meter.standing().budget?.isOver], ['critical', true])
  await clock.advance(hour)
  assert.deepEqual([meter.profile, meter.standing().budget?.isOver], ['normal', false])
  assert.deepEqual(profiles, ['metered', 'critical', 'normal'])
  const less = 'the link sends less, because of its budget'
  assert.deepEqual(messages(), [less, less, 'the link sends more again'])
})

test('the configured profile is the most generous one', async () => {
  const { meter, wire, clock } = await meterInHand({ settings: { profile: 'metered', budget: { perDay: 1_000 } } })
  assert.deepEqual([meter.profile, meter.standing().because], ['metered', 'configuration'])
  wire.sent = 900
  await clock.advance(minute)
  assert.deepEqual([meter.profile, meter.standing().because], ['critical', 'budget'])
})
