import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CloudClock } from '../../../agent/cloud/cloud-clock.ts'
import { heartbeatFloorOf, paceOf } from '../../../agent/cloud/pace.ts'
import { createSpeaker } from '../../../agent/cloud/speaker.ts'
import type { StatusDocument } from '../../../agent/cloud/status/pusher.ts'
import type { LinkProfile } from '../../../shared/link/index.ts'
import { directTransport } from '../../cloud/direct-transport.ts'
import { HonestCloud } from '../../cloud/honest-cloud.ts'
import { type Content, memoryStore } from '../../cloud/memory-store.ts'
import { origin } from '../../cloud/world.ts'
import { EventClock } from '../../fleet/event-clock.ts'
import { createKeptLog } from '../api/harbour.ts'
import { leaseInHand } from '../controllers/region.ts'

const paces: { profile: LinkProfile; asked: number; heartbeatMs: number; gatherMs: number; floor: number | null }[] = [
  { profile: 'normal', asked: 60_000, heartbeatMs: 60_000, gatherMs: 5_000, floor: null },
  { profile: 'metered', asked: 60_000, heartbeatMs: 300_000, gatherMs: 60_000, floor: 300 },
  { profile: 'critical', asked: 60_000, heartbeatMs: 900_000, gatherMs: 300_000, floor: 900 },
  { profile: 'metered', asked: 3_600_000, heartbeatMs: 3_600_000, gatherMs: 60_000, floor: 300 },
]
for (const { profile, asked, heartbeatMs, gatherMs, floor } of paces) {
  test(`with ${profile}, a heartbeat that is wanted every ${asked / 1000} s comes every ${heartbeatMs / 1000} s`, () => {
    const pace = paceOf({ profile, subscribe: () => () => {} })
    assert.deepEqual([pace.heartbeatMs(asked), pace.gatherMs(5_000), heartbeatFloorOf(profile)], [heartbeatMs, gatherMs, floor])
  })
}

/** A speaker of a joined region whose profile, status and cloud a test sets. */
async function speaking({ called = async () => {} }: { called?: () => Promise<void> } = {}) {
  const clock = new EventClock()
  const cloud = new HonestCloud(origin, () => clock.now())
  const content: Content = { version: 1, wanted: { joined: true }, join: { sha256: cloud.registry.addToken('a token').sha256 } }
  const meter = { profile: 'normal' as LinkProfile, changed: () => {} }
  const status = { document: { id: 'harbour-1', capacity: 1, ledger: { sequence: 1 }, parts: {} } as StatusDocument, changed: () => {} }
  const sent: string[] = []
  const direct = directTransport(origin, (request) => cloud.app.fetch(request))
  const { log, lines } = createKeptLog()
  const speaker = createSpeaker(
    {
      heartbeatMs: 60_000,
      gatherMs: 5_000,
      region: async () => ({ cloud: origin, region: { id: 'harbour-1', cluster: 'c-1' }, version: '0.2.0', tags: {} }),
    },
    {
      store: () => memoryStore(content),
      transport: {
        ...direct,
        async send(given, signal) {
          // The cloud verifies proofs on other threads: no time passes until it has answered.
          const answer = await clock.counted(direct.send(given, signal))
          if (given.path.endsWith('/status')) sent.push(given.method)
          return answer
        },
      },
      cloudClock: new CloudClock(clock),
      random: () => 0.5,
      status: {
        read: () => structuredClone(status.document),
        subscribe(changed) {
          status.changed = changed
          return []
        },
      },
      pace: paceOf({
        get profile() {
          return meter.profile
        },
        subscribe(changed) {
          meter.changed = changed
          return () => {}
        },
      }),
      called,
      onWanted: () => [],
      lease: leaseInHand(),
      clock,
      log,
    },
  )
  await speaker.start(new AbortController().signal)
  /** How many statuses were told within that time. */
  const toldWithin = async (ms: number) => {
    const before = sent.length
    await clock.advance(ms)
    return sent.length - before
  }
  assert.equal(await toldWithin(0), 1, 'it has joined, and told its status')
  const change = (fields: object) => {
    status.document = { ...status.document, ...fields }
    status.changed()
  }
  return { cloud, meter, change, toldWithin, lines, stop: () => speaker.stop(0) }
}

test('a budget slows heartbeats and ordinary changes, and what must not wait goes as ever', async (t) => {
  const { meter, change, toldWithin, stop } = await speaking()
  t.after(stop)
  assert.equal(await toldWithin(60_000), 1)
  meter.profile = 'metered'
  change({ capacity: 2, link: 'metered' })
  meter.changed()
  assert.equal(await toldWithin(0), 1, 'the change of the profile is told at once')
  assert.equal(await toldWithin(240_000), 0)
  change({ capacity: 3 })
  assert.equal(await toldWithin(6_000), 0)
  change({ ledger: { sequence: 2 } })
  assert.equal(await toldWithin(6_000), 1)
  assert.equal(await toldWithin(290_000), 0)
  assert.equal(await toldWithin(10_000), 1)
})

test('an answer that asks for the tunnel starts it, and a cluster that cannot is no fault of the cloud', async (t) => {
  let calls = 0
  const { cloud, toldWithin, lines, stop } = await speaking({
    async called() {
      calls++
      if (calls === 1) throw new Error('away')
    },
  })
  t.after(stop)
  assert.equal(calls, 0)
  cloud.besides = { call: true }
  assert.equal(await toldWithin(120_000), 2)
  assert.equal(calls, 2)
  assert.equal(lines.filter(({ msg }) => msg === 'the cloud asks for the tunnel, which cannot be started').length, 1)
})
