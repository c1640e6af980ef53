import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CloudClock } from '../../../agent/cloud/cloud-clock.ts'
import { createSpeaker } from '../../../agent/cloud/speaker.ts'
import { createLog } from '../../../shared/log.ts'
import { directTransport } from '../../cloud/direct-transport.ts'
import { HonestCloud } from '../../cloud/honest-cloud.ts'
import { type Content, memoryStore } from '../../cloud/memory-store.ts'
import { origin } from '../../cloud/world.ts'
import { EventClock } from '../../fleet/event-clock.ts'

const minute = 60_000

/** A region whose API server goes away: two replicas, and which of them leads. */
class Region {
  readonly clock = new EventClock()
  readonly cloud = new HonestCloud(origin, () => this.clock.now())
  readonly content: Content = { version: 1, wanted: { joined: true }, join: { sha256: this.cloud.registry.addToken('a token').sha256 } }
  hosts: object = { observedAt: '2026-01-01T00:00:00Z' }
  readonly requests: string[] = []

  replica(name: string) {
    let leads = false
    const listeners = new Set<(leads: boolean) => void>()
    const direct = directTransport(origin, (request) => this.cloud.app.fetch(request))
    const speaker = createSpeaker(
      {
        heartbeatMs: minute,
        gatherMs: 5_000,
        region: async () => ({ cloud: origin, region: { id: 'harbour-1', cluster: 'c-1' }, version: '0.2.0', tags: {} }),
      },
      {
        store: () => memoryStore(this.content),
        transport: {
          ...direct,
          send: async (sent, signal) => {
            const answer = await this.clock.counted(direct.send(sent, signal))
            this.requests.push(`${name} ${sent.method} ${answer.status}`)
            return answer
          },
        },
        cloudClock: new CloudClock(this.clock),
        random: () => 0.5,
        status: { read: () => ({ id: 'harbour-1', hosts: [], parts: { hosts: this.hosts as never } }), subscribe: () => [] },
        onWanted: () => [],
        lease: {
          isLeader: () => leads,
          onChange: (listener) => {
            listeners.add(listener)
            return () => listeners.delete(listener)
          },
        },
        clock: this.clock,
        log: createLog({ level: 'silent', name: 'test' }),
      },
    )
    const lead = (now: boolean) => {
      leads = now
      for (const listener of listeners) listener(now)
    }
    return { speaker, lead }
  }

  get told() {
    return Object.values(this.cloud.registry.records.regions)[0]?.status as
      | { region: { parts: Record<string, { stale?: object }> } }
      | undefined
  }
}

test('a region whose API server is away says so and stays alive at its cloud, until another replica has told something else', async (t) => {
  const region = new Region()
  const [first, second] = [region.replica('first'), region.replica('second')]
  for (const { speaker } of [first, second]) {
    await speaker.start(new AbortController().signal)
    t.after(() => speaker.stop(0))
  }
  first.lead(true)
  await region.clock.advance(2 * minute)
  const [id = ''] = Object.keys(region.cloud.registry.records.regions)

  const stale = { since: '2026-01-01T00:02:00Z', reason: 'the API server does not answer' }
  region.hosts = { observedAt: '2026-01-01T00:02:00Z', stale }
  region.requests.length = 0
  first.lead(false)
  await region.clock.advance(10 * minute)
  assert.ok(region.cloud.isAlive(id))
  assert.deepEqual(region.told?.region.parts.hosts?.stale, stale)
  assert.deepEqual(new Set(region.requests), new Set(['first PATCH 200']), 'changes only: they hurt nobody who leads')

  region.requests.length = 0
  second.lead(true)
  await region.clock.advance(10 * minute)
  assert.equal(region.requests.filter((request) => request === 'first PATCH 412').length, 1, 'then it knows')
  assert.deepEqual(
    region.requests.filter((request) => request.startsWith('first ') && request !== 'first PATCH 412' && request !== 'first PATCH 200'),
    [],
  )
  assert.ok(region.requests.filter((request) => request === 'second PATCH 200').length >= 8)

  // The first one leads again: the whole status, and heartbeats after it.
  second.lead(false)
  region.requests.length = 0
  first.lead(true)
  await region.clock.advance(5 * minute)
  assert.ok(region.requests.includes('first PUT 200'), region.requests.join())
  assert.ok(region.requests.filter((request) => request === 'first PATCH 200').length >= 3, region.requests.join())
})

test('a replica that leads again begins with the whole status, also if the cloud would take a change of its last one', async (t) => {
  const region = new Region()
  const { speaker, lead } = region.replica('it')
  await speaker.start(new AbortController().signal)
  t.after(() => speaker.stop(0))
  lead(true)
  await region.clock.advance(2 * minute)
  lead(false)
  await region.clock.advance(2 * minute)
  region.requests.length = 0
  lead(true)
  await region.clock.advance(2 * minute)
  assert.equal(region.requests[0], 'it PUT 200', region.requests.join())
  assert.ok(region.requests.includes('it PATCH 200'), 'and goes on')
})
