import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { createApi } from '../../../agent/api/app.ts'
import { createEvents, type EventSource, type ResourceChange, usualEvents } from '../../../agent/api/events/index.ts'
import { limitsConfig } from '../../../agent/api/limits.ts'
import { type Clock, systemClock } from '../../../shared/clock.ts'
import { byFetch } from '../../../shared/fetch.ts'
import { createTlsServer } from '../../../shared/server.ts'
import { until } from '../../cluster/index.ts'
import { createAuthority, mountSecret } from '../../shared/certificates.ts'
import { createFakeClock } from '../../shared/fake-clock.ts'
import { openStream } from './event-stream.ts'
import { createKeptLog } from './harbour.ts'

const limit = { timeout: 60_000 }
const authority = await createAuthority()
const pair = await authority.server()

/** A collection that changes when it is told to. */
function createSource(kind: string) {
  const listeners = new Set<(change: ResourceChange) => void>()
  const source: EventSource = {
    kind,
    subscribe(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
  const tell = (type: ResourceChange['type'], id: string, text = '', project = 'harbour') => {
    const show = () => {
      if (text === 'broken') throw new Error('cannot be shown')
      return text.startsWith('string') ? JSON.stringify({ text }) : Buffer.from(JSON.stringify({ text }))
    }
    for (const listener of listeners) listener({ type, project, id, ...(type !== 'removed' && { show }) })
  }
  return { source, tell }
}

/** The API with events over TLS. */
async function start(t: TestContext, { config = {}, clock = systemClock }: { config?: Partial<typeof usualEvents>; clock?: Clock } = {}) {
  const { log, lines } = createKeptLog()
  const operations = createSource('operation')
  const databases = createSource('database')
  const seen: string[] = []
  const events = createEvents(
    { ...usualEvents, ...config },
    { sources: [operations.source, databases.source], observe: (what) => void seen.push(what), clock, log },
  )
  await events.start(AbortSignal.timeout(5_000))
  t.after(() => events.stop(0))
  const app = createApi(limitsConfig.parse({}), {
    routes: [events.route],
    authentication: { identify: async (c) => ({ name: c.req.header('x-identity') ?? 'pilot', scopes: new Set(['region:read']) }) },
    audit: { record: () => {} },
    observe: () => {},
    version: '0',
    clock,
    log,
  })
  const files = await mountSecret(t, { 'tls.crt': pair.cert, 'tls.key': pair.key })
  const server = createTlsServer(
    { host: '127.0.0.1', port: 0, tls: { certFile: files.file('tls.crt'), keyFile: files.file('tls.key') } },
    { answer: byFetch(app.fetch, log), log },
  )
  await server.start(AbortSignal.timeout(5_000))
  t.after(() => server.stop(0))
  const open = (query = '', headers: Record<string, string> = {}) =>
    openStream(t, { port: server.port(), ca: authority.cert, path: `/v1/events${query}`, headers })
  return { app, events, operations, databases, open, lines, seen, server }
}

test('what changes is told at once, with what a read would show', limit, async (t) => {
  // Its clock stands still: what waits for a time to pass is never told.
  const { operations, databases, open } = await start(t, { clock: createFakeClock() })
  const stream = await open()
  assert.equal(stream.status, 200)
  assert.equal(stream.headers['content-type'], 'text/event-stream')
  assert.ok(stream.headers['x-request-id'])
  for (let i = 0; i < 20; i++) {
    databases.tell('changed', 'tidal-gauge', `step ${i}`)
    const event = await stream.next()
    assert.equal(event.event, 'database')
    assert.deepEqual(JSON.parse(event.data), { type: 'changed', project: 'harbour', id: 'tidal-gauge', object: { text: `step ${i}` } })
  }
  operations.tell('added', 'op-1', 'string, not a Buffer')
  assert.deepEqual(JSON.parse((await stream.next()).data).object, { text: 'string, not a Buffer' })
  databases.tell('removed', 'tidal-gauge')
  assert.deepEqual(JSON.parse((await stream.next()).data), { type: 'removed', project: 'harbour', id: 'tidal-gauge' })
})

test('a client that comes back gets what it missed, once and in order', limit, async (t) => {
  const { operations, open } = await start(t)
  const first = await open()
  operations.tell('added', 'op-1')
  const { id } = await first.next()
  first.close()
  operations.tell('changed', 'op-1', 'a')
  operations.tell('changed', 'op-1', 'b')
  const again = await open('', { 'last-event-id': id })
  const got = [await again.next(), await again.next()]
  assert.deepEqual(
    got.map(({ data }) => JSON.parse(data).object.text),
    ['a', 'b'],
  )
  operations.tell('changed', 'op-1', 'c')
  assert.equal(JSON.parse((await again.next()).data).object.text, 'c')
  const byQuery = await open(`?lastEventId=${got[0]?.id}`)
  assert.equal(JSON.parse((await byQuery.next()).data).object.text, 'b')
})

test('a client can come back before it got any event: the stream begins with an id', limit, async (t) => {
  const { operations, open } = await start(t)
  const first = await open()
  operations.tell('added', 'other', '', 'elsewhere')
  await first.next()
  const quiet = await open('?project=harbour')
  await until('it has an id', async () => quiet.lastEventId() !== '')
  operations.tell('added', 'op-2', '', 'elsewhere')
  await first.next()
  // Nothing of that came through the filter, but the id of the beginning did.
  const id = quiet.lastEventId()
  assert.match(id, /^[A-Za-z0-9]{8}-1$/)
  quiet.close()
  operations.tell('added', 'op-3')
  const again = await open('?project=harbour', { 'last-event-id': id })
  assert.equal(JSON.parse((await again.next()).data).id, 'op-3')
})

const strangers = ['k3f9a0bc-17', 'garbage', '-', `${'9'.repeat(20)}`, 'AAAAAAAA-99999999999999999']
for (const id of strangers) {
  test(`a client that comes back with ${id}, which is nothing of this process, must list again`, limit, async (t) => {
    const { operations, open } = await start(t)
    const stream = await open('', { 'last-event-id': id })
    const event = await stream.next()
    assert.equal(event.event, 'relist')
    operations.tell('added', 'op-1')
    assert.equal((await stream.next()).event, 'operation')
  })
}

test('what is no longer kept cannot be missed in silence', limit, async (t) => {
  const { operations, open, app } = await start(t, { config: { maxRetained: 3 } })
  const stream = await open()
  operations.tell('added', 'op-1')
  const { id } = await stream.next()
  for (let i = 0; i < 3; i++) operations.tell('changed', 'op-1', `${i}`)
  const inTime = await open('', { 'last-event-id': id })
  assert.equal(JSON.parse((await inTime.next()).data).object.text, '0')
  operations.tell('changed', 'op-1', '3')
  const tooLate = await open('', { 'last-event-id': id })
  assert.equal((await tooLate.next()).event, 'relist')
  assert.equal((await app.request('/v1/events', { method: 'HEAD' })).status, 200)
})

test('a filter lets through what was asked for', limit, async (t) => {
  const { operations, databases, open } = await start(t)
  const one = await open('?project=harbour&kinds=database')
  databases.tell('added', 'hidden', '', 'elsewhere')
  operations.tell('added', 'hidden')
  databases.tell('added', 'shown')
  assert.equal(JSON.parse((await one.next()).data).id, 'shown')
})

test('filters that mean nothing are refused', limit, async (t) => {
  const { app, events } = await start(t)
  for (const query of ['kinds=', 'kinds=operation,ships', 'project=', 'since=3', 'kinds=operation&kinds=database']) {
    const response = await app.request(`/v1/events?${query}`)
    assert.equal(response.status, 422, query)
    assert.equal(response.headers.get('content-type'), 'application/problem+json')
  }
  assert.equal(events.subscribers, 0)
})

test('a client that does not keep up costs a bounded queue, and is told to list again when it reads on', limit, async (t) => {
  const { operations, open, seen } = await start(t, { config: { queueBytes: 64 * 1024 } })
  const slow = await open()
  const quick = await open()
  slow.pause()
  const text = 'x'.repeat(10_000)
  let sent = 0
  // More than the sockets' own buffers hold, on both sides.
  while (!seen.includes('relist') && sent < 3_000) {
    operations.tell('changed', `op-${sent++}`, text)
    await quick.next()
    if (sent === 1_500) slow.resume()
  }
  operations.tell('changed', 'last', 'the end')
  const kinds: string[] = []
  for (;;) {
    const event = await slow.next()
    kinds.push(event.event)
    if (event.event === 'relist') break
  }
  assert.ok(kinds.length < 1_500, `${kinds.length} events came before the gap`)
  operations.tell('changed', 'after', 'the gap')
  for (;;) if (JSON.parse((await slow.next()).data).id === 'after') break
})

test('a client that takes nothing for a minute is let go, and so is one that stays for an hour', limit, async (t) => {
  const clock = createFakeClock()
  const { operations, events, open } = await start(t, { clock, config: { queueBytes: 1024 } })
  const stuck = await open()
  const stays = await open('?kinds=database')
  stuck.pause()
  // First the sockets' own buffers fill, some MiB on either side; what is meant here is a client that takes nothing after that.
  for (let i = 0; i < 100; i++) {
    operations.tell('changed', `op-${i}`, 'x'.repeat(500_000))
    await new Promise(setImmediate)
  }
  await clock.advance(80_000)
  assert.equal(events.subscribers, 1)
  await clock.advance(3_600_000)
  await stays.ended
  assert.equal(events.subscribers, 0)
})

test('a heartbeat comes every 15 seconds and bears the id', limit, async (t) => {
  const clock = createFakeClock()
  const { operations, open } = await start(t, { clock })
  const stream = await open('?kinds=database')
  operations.tell('added', 'op-1')
  await clock.advance(15_000)
  while (!stream.lastEventId().endsWith('-1')) await new Promise(setImmediate)
  assert.equal(stream.comments.length, 1)
})

test('more streams than are allowed are turned away, and one that was closed makes room', limit, async (t) => {
  const { open, events } = await start(t, { config: { maxSubscribers: 2 } })
  const [one] = [await open(), await open()]
  const third = await open()
  assert.equal(third.status, 503)
  assert.ok(third.headers['retry-after'])
  one.close()
  while (events.subscribers > 1) await new Promise(setImmediate)
  assert.equal((await open()).status, 200)
})

test('one identity has a share of the streams, and another one still gets its own', limit, async (t) => {
  const { open } = await start(t, { config: { maxSubscribers: 3, maxSubscribersEach: 2 } })
  for (let i = 0; i < 2; i++) assert.equal((await open()).status, 200)
  const third = await open()
  assert.equal(third.status, 429)
  assert.ok(third.headers['retry-after'])
  assert.equal((await open('', { 'x-identity': 'ferry' })).status, 200)
})

test('streams end when the server stops, without holding it up', limit, async (t) => {
  const { open, server, events } = await start(t)
  const stream = await open()
  await Promise.all([server.stop(systemClock.monotonic() + 10_000), stream.ended])
  assert.equal(events.subscribers, 0)
})

test('an object that cannot be shown makes its watchers list again, and stops nothing', limit, async (t) => {
  const { operations, open, lines } = await start(t)
  const stream = await open()
  operations.tell('changed', 'op-1', 'broken')
  assert.equal((await stream.next()).event, 'relist')
  operations.tell('changed', 'op-1', 'whole')
  assert.equal((await stream.next()).event, 'operation')
  assert.equal(lines.filter(({ level }) => level === 'error').length, 1)
})
