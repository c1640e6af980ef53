import assert from 'node:assert/strict'
import { test } from 'node:test'
import { gunzipSync } from 'node:zlib'
import { failures, typeOfFailure } from '../../../../agent/cloud/contract/failures.ts'
import type { StatusAnswer } from '../../../../agent/cloud/contract/status.ts'
import type { Link } from '../../../../agent/cloud/link.ts'
import { Pusher, type PusherParts, type StatusDocument } from '../../../../agent/cloud/status/pusher.ts'
import type { Received, Sent } from '../../../../agent/cloud/transport.ts'
import { createLog } from '../../../../shared/log.ts'
import { tokenWith, World } from '../../../cloud/world.ts'

const minute = 60_000
const aged = (at: string) => ({ observedAt: `2026-01-01T00:${at}:00Z` })

/** A joined region that tells its status, and what it has sent of it. */
class Telling extends World {
  document: StatusDocument = {
    id: 'harbour-1',
    name: null,
    hosts: [{ hostname: 'quay-1', ready: true, specialised: null }],
    databaseStates: { 'harbour/tide': { phase: 'Running', health: 'GREEN' }, 'harbour/ebb': { phase: 'Running', health: 'GREEN' } },
    parts: { hosts: aged('00'), databaseStates: aged('00') },
  }
  readonly sent: Sent[] = []
  readonly answers: StatusAnswer[] = []
  refusals = 0
  pusher!: Pusher
  #link!: Link

  static async start(): Promise<Telling> {
    const telling = new Telling()
    telling.give(tokenWith({ id: 't1' }))
    telling.#link = telling.link()
    await telling.until(telling.#link, 'Ready')
    telling.pusher = telling.takeOver()
    telling.onTheWay = (sent, go) => {
      telling.sent.push(sent)
      return go()
    }
    return telling
  }

  /** The pusher of another replica, which knows nothing of what was told before. */
  takeOver(around: Partial<PusherParts> = {}): Pusher {
    return new Pusher(minute, {
      session: () => this.#link.session(),
      read: () => structuredClone(this.document),
      cloudClock: () => this.#link.cloudClock,
      clock: this.clock,
      random: () => 0.5,
      answered: async (answer) => void this.answers.push(answer),
      refused: () => void this.refusals++,
      log: createLog({ level: 'debug', name: 'test', destination: { write: (line: string) => void this.lines.push(JSON.parse(line)) } }),
      ...around,
    })
  }

  /** The next requests are answered with these; the others by the cloud. */
  answerWith(...scripted: ((go: () => Promise<Received>) => Promise<Received> | Received)[]): void {
    const left = [...scripted]
    this.onTheWay = async (sent, go) => {
      this.sent.push(sent)
      const next = left.shift()
      return next === undefined ? go() : next(go)
    }
  }

  /** What was sent since the last call: method and content. */
  told(): [method: string, body: Record<string, unknown>, ifMatch: string | undefined][] {
    return this.sent.splice(0).map(({ method, headers, body = '' }) => {
      const text = headers['content-encoding'] === 'gzip' ? gunzipSync(body) : body
      return [method, JSON.parse(text.toString()), headers['if-match']]
    })
  }

  change(database: string, health: string): void {
    const states = this.document.databaseStates as Record<string, object>
    this.document = { ...this.document, databaseStates: { ...states, [database]: { phase: 'Running', health } } }
  }

  /** The status that the cloud has. */
  get known(): { sequence: number; region: StatusDocument } {
    return this.registered[0]?.status as never
  }
}

const refusal = (failure: keyof typeof failures, headers: Record<string, string> = {}): Received => ({
  status: failures[failure].status,
  headers: { 'content-type': 'application/problem+json', ...headers },
  body: JSON.stringify({ type: typeOfFailure(failure), title: 'no', status: failures[failure].status, now: Date.UTC(2026, 0, 1) }),
})
const busy = (retryAfter?: string) => (): Received => ({
  status: 503,
  headers: { 'content-type': 'text/plain', ...(retryAfter !== undefined && { 'retry-after': retryAfter }) },
  body: 'later',
})
const acknowledging = (acknowledged: number) => (): Received => ({
  status: 200,
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify({ acknowledged, now: Date.UTC(2026, 0, 1) }),
})

test('the first status is whole, without members that are null, and then changes are told against the last acknowledged one', async () => {
  const region = await Telling.start()
  assert.equal(await region.pusher.push(), minute)
  const [[method, whole] = []] = region.told()
  assert.equal(method, 'PUT')
  assert.deepEqual(whole?.region, {
    id: 'harbour-1',
    hosts: [{ hostname: 'quay-1', ready: true }],
    databaseStates: region.document.databaseStates,
    parts: region.document.parts,
  })

  const before = region.document.databaseStates as object
  region.change('harbour/tide', 'YELLOW')
  region.document.parts = { hosts: aged('01'), databaseStates: aged('02') }
  assert.equal(await region.pusher.push(), minute)
  const [[patched, patch, ifMatch] = []] = region.told()
  assert.deepEqual([patched, ifMatch], ['PATCH', `"${whole?.sequence}"`])
  assert.equal(patch?.sequence, Number(whole?.sequence) + 1)
  assert.deepEqual(
    patch?.region,
    { databaseStates: { 'harbour/tide': { health: 'YELLOW' } }, parts: { databaseStates: aged('02') } },
    'the age of what has changed goes with it, and no other one',
  )
  assert.deepEqual(region.known.region.databaseStates, { ...before, 'harbour/tide': { phase: 'Running', health: 'YELLOW' } })
})

test('what was only observed again is no news: nothing is sent until the heartbeat, which has its number alone', async () => {
  const region = await Telling.start()
  await region.pusher.push()
  const first = Number(region.told()[0]?.[1].sequence)
  await region.clock.advance(20_000)
  region.document.parts = { hosts: aged('01'), databaseStates: aged('01') }
  assert.equal(await region.pusher.push(), 40_000)
  assert.deepEqual(region.told(), [])
  await region.clock.advance(40_000)
  assert.equal(await region.pusher.push(), minute)
  assert.deepEqual(region.told(), [['PATCH', { sequence: first + 1 }, `"${first}"`]])
})

test('a change puts the next heartbeat off', async () => {
  const region = await Telling.start()
  await region.pusher.push()
  await region.clock.advance(50_000)
  region.change('harbour/tide', 'RED')
  assert.equal(await region.pusher.push(), minute)
  await region.clock.advance(20_000)
  region.told()
  assert.equal(await region.pusher.push(), 40_000)
  assert.deepEqual(region.told(), [])
})

test('a field that becomes stale says since when and why; when it is heard of again, it is not stale any more', async () => {
  const region = await Telling.start()
  await region.pusher.push()
  region.told()
  const stale = { since: '2026-01-01T00:03:00Z', reason: 'the watch is broken' }
  region.document.parts = { ...region.document.parts, hosts: { ...aged('03'), stale } }
  await region.pusher.push()
  assert.deepEqual(region.told()[0]?.[1].region, { parts: { hosts: { ...aged('03'), stale } } })
  assert.deepEqual(region.known.region.parts.hosts?.stale, stale)
  // The minute that it is stale since is reckoned back from now: it may come out as the one before.
  region.document.parts = { ...region.document.parts, hosts: { ...aged('02'), stale: { ...stale, since: '2026-01-01T00:02:00Z' } } }
  await region.pusher.push()
  assert.deepEqual(region.told(), [])
  region.document.parts = { ...region.document.parts, hosts: aged('09') }
  await region.pusher.push()
  assert.deepEqual(region.told()[0]?.[1].region, { parts: { hosts: { ...aged('09'), stale: null } } })
  assert.deepEqual(region.known.region.parts.hosts, aged('09'))
})

test('fields and their ages come and go', async () => {
  const region = await Telling.start()
  await region.pusher.push()
  const before = region.document
  region.document = { ...before, sealing: { certificate: 'PEM' }, parts: { ...before.parts, sealing: aged('05') } }
  await region.pusher.push()
  assert.deepEqual(region.told().at(-1)?.[1].region, { sealing: { certificate: 'PEM' }, parts: { sealing: aged('05') } })
  region.document = before
  await region.pusher.push()
  assert.deepEqual(region.told().at(-1)?.[1].region, { sealing: null, parts: { sealing: null } })
  assert.equal(region.known.region.sealing, undefined)
})

test('a cloud that has another status gets the whole one at once; one that refuses that too is left alone for a while', async () => {
  const region = await Telling.start()
  await region.pusher.push()
  region.told()
  if (region.registered[0]?.status) region.registered[0].status = { ...region.registered[0].status, sequence: 1 }
  region.change('harbour/tide', 'YELLOW')
  assert.equal(await region.pusher.push(), 0)
  assert.equal(await region.pusher.push(), minute)
  assert.deepEqual(
    region.told().map(([method]) => method),
    ['PATCH', 'PUT'],
  )
  assert.deepEqual([region.refusals, region.lines.filter(({ level }) => level === 'warn' || level === 40)], [0, []])

  region.answerWith(...Array(3).fill(() => refusal('out-of-step')))
  region.change('harbour/tide', 'GREEN')
  assert.equal(await region.pusher.push(), 0)
  assert.ok(((await region.pusher.push()) ?? 0) > 0)
  assert.equal(region.refusals, 0, 'the credential is not to blame')
})

test('a cloud that asks for the whole status gets it, but not more often than heartbeats if it asks each time', async () => {
  const region = await Telling.start()
  await region.pusher.push()
  region.told()
  region.cloud.besides = { resync: true }
  region.change('harbour/tide', 'YELLOW')
  assert.equal(await region.pusher.push(), 0)
  assert.equal(await region.pusher.push(), minute)
  region.change('harbour/tide', 'RED')
  assert.equal(await region.pusher.push(), minute, 'a change does not help')
  assert.deepEqual(
    region.told().map(([method]) => method),
    ['PATCH', 'PUT'],
  )
  region.cloud.besides = {}
  await region.clock.advance(minute)
  assert.equal(await region.pusher.push(), minute)
  assert.deepEqual(
    region.told().map(([method]) => method),
    ['PUT'],
  )
})

test('a cloud that knows less of the ledger than before gets the whole status once, and that is said with both numbers', async () => {
  const region = await Telling.start()
  const hear = async (known: number) => {
    region.cloud.besides = { ledger: { known } }
    await region.clock.advance(minute)
    return region.pusher.push()
  }
  for (const known of [57, 57, 60]) assert.equal(await hear(known), minute)
  region.told()
  assert.equal(await hear(41), 0, 'it was restored from a backup')
  assert.equal(await region.pusher.push(), minute)
  assert.equal(await hear(41), minute)
  assert.equal(await hear(60), minute, 'it catches up')
  assert.deepEqual(
    region.told().map(([method]) => method),
    ['PATCH', 'PUT', 'PATCH', 'PATCH'],
  )
  const said = region.lines.filter(({ msg }) => /less of the ledger/.test(String(msg))).map(({ known, before }) => [known, before])
  assert.deepEqual(said, [[41, 60]])
})

test('the cloud sets the time between two heartbeats, within bounds', async () => {
  const region = await Telling.start()
  region.cloud.besides = { heartbeat: 300 }
  assert.equal(await region.pusher.push(), 5 * minute)
  for (const heartbeat of [14, 3_601]) {
    const astray = await Telling.start()
    astray.cloud.besides = { heartbeat }
    assert.ok(((await astray.pusher.push()) ?? 0) < minute, 'it tries again')
    assert.ok(!astray.pusher.isHeard)
    assert.match(String(astray.lines.at(-1)?.message), /heartbeat/)
  }
})

test('after a failure it waits, longer each time; changes do not shorten that, and Retry-After lengthens it', async () => {
  const region = await Telling.start()
  await region.pusher.push()
  region.told()
  region.answerWith(busy(), busy(), busy('600'))
  region.change('harbour/tide', 'YELLOW')
  const pauses: number[] = []
  for (let attempt = 0; attempt < 3; attempt++) {
    const pauseMs = (await region.pusher.push()) ?? Number.NaN
    pauses.push(pauseMs)
    for (const health of ['RED', 'GREEN']) {
      region.change('harbour/tide', health)
      assert.equal(await region.pusher.push(), pauseMs)
    }
    await region.clock.advance(pauseMs)
  }
  assert.deepEqual(pauses, [2_000, 4_000, 630_000], 'after it, spread over a heartbeat')
  assert.equal(await region.pusher.push(), minute)
  const told = region.told()
  assert.deepEqual(
    told.map(([method]) => method),
    ['PATCH', 'PUT', 'PUT', 'PUT'],
    'whole after a failure: nobody knows what arrived',
  )
  const said = region.lines.map(({ msg }) => msg).filter((line) => /hear/.test(String(line)))
  assert.deepEqual(said, ['the cloud does not hear the region', 'the cloud hears the region again'], 'each once')
})

test('a refused credential is a matter for the registration', async () => {
  const region = await Telling.start()
  region.answerWith(() => refusal('credential-expired'))
  await region.pusher.push()
  assert.equal(region.refusals, 1)
})

test('a takeover tells the whole status, whatever the clocks say', async () => {
  const region = await Telling.start()
  await region.pusher.push()
  const before = Number(region.told()[0]?.[1].sequence)
  const next = region.takeOver()
  await next.push()
  const [[method, { sequence } = {}] = []] = region.told()
  assert.equal(method, 'PUT')
  assert.ok(Number(sequence) >= before)

  // The next one's machine has no battery: its clock is years behind, and it has not heard the time of the cloud.
  region.clock.jump(-365 * 86_400_000)
  region.aheadMs = 365 * 86_400_000
  region.document = { ...region.document, name: 'Harbour' }
  const late = region.takeOver({ cloudClock: () => undefined })
  assert.equal(await late.push(), minute)
  assert.deepEqual([region.known.region.name, region.told()[0]?.[0]], ['Harbour', 'PUT'])
  // Where a cloud keeps the status with the highest number, the numbers go on from there.
  const newest = region.takeOver({ cloudClock: () => undefined })
  region.answerWith(acknowledging(before))
  assert.equal(await newest.push(), 0)
  assert.equal(await newest.push(), minute)
  assert.equal(region.known.sequence, before + 1)
})

test('a cloud that acknowledges what was not sent is named, and asked again later', async () => {
  for (const wrong of [0, 5, 2 ** 52]) {
    const region = await Telling.start()
    region.answerWith(acknowledging(wrong))
    assert.ok(((await region.pusher.push()) ?? 0) > 0)
    assert.ok(!region.pusher.isHeard)
    assert.match(String(region.lines.at(-1)?.message), new RegExp(`acknowledged status ${wrong}, not \\d+`))
  }
  const region = await Telling.start()
  region.answerWith(...Array(4).fill(acknowledging(2 ** 40)))
  assert.equal(await region.pusher.push(), 0, 'it may know a newer one')
  assert.ok(((await region.pusher.push()) ?? 0) > 0, 'but not each time')
})

test('a large status is compressed', async () => {
  const region = await Telling.start()
  const many = Array.from({ length: 1_000 }, (_, index) => [`harbour/tide-${index}`, { phase: 'Running', health: 'GREEN' }])
  region.document = { ...region.document, databaseStates: Object.fromEntries(many) }
  await region.pusher.push()
  const [put] = region.sent
  assert.equal(put?.headers['content-encoding'], 'gzip')
  assert.ok(Buffer.byteLength(put?.body ?? '') < 10_000, `${put?.body?.length} bytes`)
  assert.equal(Object.keys(region.known.region.databaseStates as object).length, 1_000)
})

test('whether a region lives is judged at the cloud, by the clock there', async () => {
  const region = await Telling.start()
  const id = region.registered[0]?.id ?? ''
  assert.ok(!region.cloud.isAlive(id), 'it has joined, but told nothing yet')
  await region.pusher.push()
  // The clock of the region runs years ahead: what it writes does not count.
  region.clock.jump(10 * 365 * 86_400_000)
  region.aheadMs = -10 * 365 * 86_400_000
  assert.ok(region.cloud.isAlive(id))
  await region.clock.advance(3 * minute)
  assert.ok(region.cloud.isAlive(id))
  await region.clock.advance(1)
  assert.ok(!region.cloud.isAlive(id))
})
