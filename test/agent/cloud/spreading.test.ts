import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { CloudClock } from '../../../agent/cloud/cloud-clock.ts'
import { pauseAfter } from '../../../agent/cloud/pause.ts'
import { createSpeaker } from '../../../agent/cloud/speaker.ts'
import { createLog } from '../../../shared/log.ts'
import { directTransport } from '../../cloud/direct-transport.ts'
import { HonestCloud } from '../../cloud/honest-cloud.ts'
import { type Content, memoryStore } from '../../cloud/memory-store.ts'
import { origin } from '../../cloud/world.ts'
import { EventClock } from '../../fleet/event-clock.ts'

const window = { baseMs: 2_000, capMs: 300_000 }

/** A site with a token, and its cloud. */
class Site {
  readonly events = new EventClock()
  readonly cloud = new HonestCloud(origin, () => this.events.now())
  /** Whether the cloud renews credentials, or is at fault there. */
  renews = true
  readonly content: Content = { version: 1, wanted: { joined: true }, join: { sha256: this.cloud.registry.addToken('a token').sha256 } }
  readonly #requests: [seconds: number, what: string][] = []
  #startedAt = 0

  /** Starts the agent. */
  async start(t: TestContext, random = 0.5): Promise<{ stop: () => Promise<void> }> {
    const clock = this.events
    const direct = directTransport(origin, (request) => this.cloud.app.fetch(request))
    this.#startedAt = clock.monotonic()
    const speaker = createSpeaker(
      {
        heartbeatMs: 60_000,
        gatherMs: 5_000,
        region: async () => ({ cloud: origin, region: { id: 'harbour-1', cluster: 'c-1' }, version: '0.2.0', tags: {} }),
      },
      {
        store: () => memoryStore(this.content),
        transport: {
          ...direct,
          send: (sent, signal) => {
            this.#requests.push([(clock.monotonic() - this.#startedAt) / 1_000, `${sent.method} ${sent.path.split('/').at(-1)}`])
            if (!this.renews && sent.path.endsWith('/credential')) return Promise.resolve({ status: 500, headers: {}, body: '' })
            return clock.counted(direct.send(sent, signal))
          },
        },
        cloudClock: new CloudClock(clock),
        random: () => random,
        status: { read: () => ({ id: 'harbour-1', parts: {} }), subscribe: () => [] },
        onWanted: () => [],
        lease: { isLeader: () => true, onChange: () => () => {} },
        clock,
        log: createLog({ level: 'silent', name: 'test' }),
      },
    )
    await speaker.start(new AbortController().signal)
    t.after(() => speaker.stop(0))
    return { stop: () => speaker.stop(0) }
  }

  /** Lets time pass. @returns the requests of that time, with the seconds since the start */
  async pass(ms: number): Promise<[seconds: number, what: string][]> {
    await this.events.advance(ms)
    return this.#requests.splice(0)
  }
}

const joining = [
  [0, 'POST regions'],
  [0, 'PUT status'],
]

test('a region that joins speaks at once; one that has joined before speaks within a third of a heartbeat of its start', async (t) => {
  const site = new Site()
  const agent = await site.start(t)
  assert.deepEqual(await site.pass(0), joining)
  await agent.stop()
  await site.start(t)
  assert.deepEqual(await site.pass(9_990), [])
  assert.deepEqual(await site.pass(10), [[10, 'PUT status']])
})

test('the first heartbeat of a region comes anywhere in an interval, and the next one about an interval later', async (t) => {
  const heartbeats = async (random: number) => {
    const site = new Site()
    await site.start(t, random)
    return (await site.pass(160_000)).slice(joining.length).map(([seconds]) => seconds)
  }
  assert.deepEqual(await heartbeats(0), [30, 82.5, 135])
  assert.deepEqual(await heartbeats(0.5), [60, 120])
  assert.deepEqual(await heartbeats(0.999), [89.94, 157.43])
})

test('a region that could not renew its credential in time, although it was heard, tells its status again once it could', async (t) => {
  const site = new Site()
  await site.start(t)
  await site.pass(0)
  site.renews = false
  const heard = (await site.pass(59 * 60_000)).filter(([, what]) => what === 'PATCH status')
  assert.ok(heard.length > 50, `${heard.length} heartbeats`)
  await site.pass(5 * 60_000)
  site.renews = true
  const after = (await site.pass(20 * 60_000)).map(([, what]) => what)
  assert.deepEqual(after.slice(0, 3), ['POST credential', 'PUT status', 'PATCH status'])
})

test('Retry-After is obeyed, and ten thousand regions that were told the same moment do not come in the same moment', () => {
  const pauses = (retryAfterMs: number | undefined, attempts = 1) =>
    [0, 0.5, 0.99].map((random) => pauseAfter({ retryAfterMs }, window, attempts, random))
  assert.deepEqual(pauses(undefined), [0, 2_000, 3_960])
  assert.deepEqual(pauses(1_000), [1_000, 3_000, 4_960], 'the usual window')
  assert.deepEqual(pauses(30_000), [30_000, 45_000, 59_700], 'as long as was asked for')
  assert.deepEqual(pauses(3_540_000), [3_540_000, 3_570_000, 3_599_400], 'or a heartbeat')
  assert.deepEqual(pauses(999_999_999_000), [3_540_000, 3_570_000, 3_599_400], 'an hour at the most, and spread all the same')
  assert.deepEqual(pauses(3_540_000, 10), [3_540_000, 3_570_000, 3_599_400], 'however long the usual window is by now')
  assert.deepEqual(pauses(1_000, 10), [1_000, 151_000, 298_000], 'the usual window is longer by now')
  assert.deepEqual(pauses(undefined, 10_000), [0, 150_000, 297_000])
})
