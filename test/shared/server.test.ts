import assert from 'node:assert/strict'
import { once } from 'node:events'
import { Agent as PlainAgent, request as plainRequest } from 'node:http'
import { Agent, type RequestOptions, request } from 'node:https'
import { connect, type Socket } from 'node:net'
import { type TestContext, test } from 'node:test'
import { connect as connectTls } from 'node:tls'
import { Hono } from 'hono'
import { systemClock } from '../../shared/clock.ts'
import { Problem } from '../../shared/errors.ts'
import { byFetch, type ServerBindings } from '../../shared/fetch.ts'
import { createLog } from '../../shared/log.ts'
import { createPlainServer, createTlsServer, type ListenConfig, type ServerPart } from '../../shared/server.ts'
import { createAuthority, mountSecret } from './certificates.ts'
import { createFakeClock } from './fake-clock.ts'

const limit = { timeout: 60_000 }
const authority = await createAuthority()
const pair = await authority.server()

/** A log whose lines can be awaited. */
function createJournal() {
  // biome-ignore lint/suspicious/noExplicitAny: a log line holds anything
  const lines: any[] = []
  const waiting: { msg: string; resolve: () => void }[] = []
  const write = (line: string) => {
    lines.push(JSON.parse(line))
    for (const { msg, resolve } of waiting) if (lines.at(-1).msg === msg) resolve()
  }
  const seen = (msg: string) =>
    new Promise<void>((resolve) => (lines.some((line) => line.msg === msg) ? resolve() : waiting.push({ msg, resolve })))
  return { lines, seen, log: createLog({ level: 'debug', name: 'test', destination: { write } }) }
}

/** An app that greets, holds on to a request until it is let go, and streams until the server stops. */
function createApp() {
  let release = () => {}
  let arrived = () => {}
  const released = new Promise<void>((resolve) => {
    release = resolve
  })
  const held = new Promise<void>((resolve) => {
    arrived = resolve
  })
  const gone = Promise.withResolvers<void>()
  const app = new Hono<{ Bindings: ServerBindings }>()
    .get('/', (c) => c.json({ client: c.env.peer.certificate?.subject ?? null, address: c.env.peer.address }))
    .get('/slow', async (c) => {
      arrived()
      await released
      return c.text('done')
    })
    .get('/gone', async (c) => {
      c.req.raw.signal.addEventListener('abort', () => gone.resolve())
      arrived()
      await gone.promise
      return c.text('nobody hears')
    })
    .get('/events', (c) => {
      const { stopping } = c.env
      const stream = new ReadableStream({
        start(controller) {
          controller.enqueue('data: hello\n\n')
          stopping.addEventListener('abort', () => {
            controller.enqueue('data: goodbye\n\n')
            controller.close()
          })
        },
      }).pipeThrough(new TextEncoderStream())
      return c.body(stream, 200, { 'content-type': 'text/event-stream' })
    })
    .post('/echo', async (c) => c.text(await c.req.text()))
  // As Hono does without an onError of its own: what is thrown comes out of fetch.
  app.onError((error) => {
    throw error
  })
  app.get('/broken', () => {
    throw new TypeError('hunter2')
  })
  app.get('/problem', () => {
    throw new Problem('busy', 'too much in hand', { retryAfterSeconds: 2 })
  })
  return { app, release, held, gone: gone.promise }
}

async function startPart(t: TestContext, part: ServerPart) {
  await part.start(new AbortController().signal)
  t.after(() => part.stop(systemClock.monotonic()))
}

async function startTls(t: TestContext, { limits = {}, clientCa = false }: { limits?: Partial<ListenConfig>; clientCa?: boolean } = {}) {
  const mount = await mountSecret(t, { 'tls.crt': pair.cert, 'tls.key': pair.key, ...(clientCa && { 'ca.crt': authority.cert }) })
  const journal = createJournal()
  const world = createApp()
  const tls = { certFile: mount.file('tls.crt'), keyFile: mount.file('tls.key'), ...(clientCa && { clientCaFile: mount.file('ca.crt') }) }
  const part = createTlsServer(
    { host: '127.0.0.1', port: 0, tls, ...limits },
    { answer: byFetch(world.app.fetch, journal.log), log: journal.log },
  )
  await startPart(t, part)
  return { ...world, mount, journal, part }
}

async function startPlain(t: TestContext, limits: Partial<ListenConfig> = {}) {
  const journal = createJournal()
  const world = createApp()
  const part = createPlainServer(
    { host: '127.0.0.1', port: 0, ...limits },
    { answer: byFetch(world.app.fetch, journal.log), log: journal.log },
  )
  await startPart(t, part)
  return { ...world, journal, part }
}

type Answer = { status: number; headers: Record<string, string | string[] | undefined>; text: string; fingerprint: string }

function ask(part: ServerPart, path: string, options: RequestOptions & { session?: Buffer } = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ host: '127.0.0.1', port: part.port(), path, ca: authority.cert, agent: false, ...options }, (incoming) => {
      let text = ''
      const fingerprint = (incoming.socket as import('node:tls').TLSSocket).getPeerCertificate().fingerprint256
      incoming.setEncoding('utf8').on('data', (chunk) => {
        text += chunk
      })
      incoming.on('error', reject)
      incoming.on('end', () => resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers, text, fingerprint }))
    })
    outgoing.on('error', reject)
    outgoing.end()
  })
}

/** Sends bytes on a plain connection and returns all that comes back until it is closed. */
async function sendRaw(part: ServerPart, bytes: string | Buffer): Promise<string> {
  const socket = connect(part.port(), '127.0.0.1')
  let text = ''
  socket.setEncoding('latin1').on('data', (chunk) => {
    text += chunk
  })
  socket.write(bytes)
  await closed(socket)
  return text
}

/** Resolves when a connection is closed, whether in peace or by a reset. */
function closed(socket: Socket): Promise<void> {
  socket.on('error', () => {}).resume()
  return new Promise((resolve) => socket.once('close', () => resolve()))
}

const soon = () => systemClock.monotonic() + 10_000

test('a TLS server answers with its certificate, and tells the app who asks', limit, async (t) => {
  const { part } = await startTls(t)
  const answer = await ask(part, '/')
  assert.equal(answer.status, 200)
  assert.deepEqual(JSON.parse(answer.text), { client: null, address: '127.0.0.1' })
  assert.equal(answer.fingerprint, part.certificate().fingerprint)
  assert.ok(part.certificate().expiresAt > Date.now())
})

test('a client certificate of the right authority reaches the app, another one or none does not', limit, async (t) => {
  const { part } = await startTls(t, { clientCa: true })
  const stranger = await createAuthority('stranger')
  const client = async (options: RequestOptions) => JSON.parse((await ask(part, '/', options)).text).client
  assert.equal(await client(await authority.client('control-plane')), 'CN=control-plane')
  assert.equal(await client(await stranger.client('control-plane')), null)
  assert.equal(await client({}), null)
})

test('after the authority of clients is replaced, a session from before does not carry its certificate over', limit, async (t) => {
  const { part, mount, journal } = await startTls(t, { clientCa: true })
  const credentials = await authority.client('control-plane')
  const first = connectTls({ host: '127.0.0.1', port: part.port(), ca: authority.cert, ...credentials })
  const session = once(first, 'session')
  first.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
  const [ticket] = await session
  first.destroy()
  const other = await createAuthority('other')
  await mount.replace({ 'tls.crt': pair.cert, 'tls.key': pair.key, 'ca.crt': other.cert })
  await journal.seen('certificate replaced')
  const answer = await ask(part, '/', { ...credentials, session: ticket })
  assert.equal(JSON.parse(answer.text).client, null)
})

test('a new certificate is used for new connections and no request of the old ones is lost, under load', limit, async (t) => {
  const { part, mount, journal } = await startTls(t)
  const before = part.certificate().fingerprint
  const agent = new Agent({ keepAlive: true, maxSockets: 4 })
  t.after(() => agent.destroy())
  await Promise.all([1, 2, 3, 4].map(() => ask(part, '/', { agent }))) // the connections from before
  let replaced = false
  const seenAfter = new Set<string>()
  const client = async () => {
    let asked = 0
    while (!replaced || asked < 20) {
      const kept = await ask(part, '/', { agent })
      assert.equal(kept.status, 200)
      assert.equal(kept.fingerprint, before, 'a connection from before was dropped')
      const isAfter = replaced
      const fresh = await ask(part, '/')
      assert.equal(fresh.status, 200)
      if (isAfter) seenAfter.add(fresh.fingerprint)
      asked++
    }
    const last = await ask(part, '/')
    seenAfter.add(last.fingerprint)
  }
  const load = Promise.all([client(), client(), client(), client()])
  const next = await authority.server('renewed')
  await mount.replace({ 'tls.crt': next.cert, 'tls.key': next.key })
  await journal.seen('certificate replaced')
  replaced = true
  await load
  assert.notEqual(part.certificate().fingerprint, before)
  assert.deepEqual([...seenAfter], [part.certificate().fingerprint])
})

test('a key that does not belong to the certificate is refused and logged, and the next good pair is taken', limit, async (t) => {
  const { part, mount, journal } = await startTls(t)
  const before = part.certificate().fingerprint
  const next = await authority.server('renewed')
  await mount.replace({ 'tls.crt': next.cert, 'tls.key': pair.key })
  await journal.seen('new certificate is invalid, the old one stays in use')
  assert.equal((await ask(part, '/')).fingerprint, before)
  await mount.replace({ 'tls.crt': next.cert, 'tls.key': next.key })
  await journal.seen('certificate replaced')
  assert.notEqual((await ask(part, '/')).fingerprint, before)
})

for (const [name, content, want] of [
  [
    'a key of another pair',
    { 'tls.crt': pair.cert, 'tls.key': authority.key },
    /tls\.key does not belong to the certificate in .*tls\.crt$/,
  ],
  ['no certificate', { 'tls.crt': 'hello', 'tls.key': pair.key }, /tls\.crt holds no certificate$/],
  ['no key', { 'tls.crt': pair.cert, 'tls.key': 'hello' }, /tls\.key holds no private key without a passphrase$/],
  ['a missing file', { 'tls.crt': pair.cert }, /tls\.key cannot be read \(ENOENT\)$/],
] as const) {
  test(`a TLS server with ${name} does not start and says which file is wrong`, limit, async (t) => {
    const mount = await mountSecret(t, content)
    const tls = { certFile: mount.file('tls.crt'), keyFile: mount.file('tls.key') }
    const part = createTlsServer(
      { host: '127.0.0.1', port: 0, tls },
      { answer: byFetch(createApp().app.fetch, createJournal().log), log: createJournal().log },
    )
    await assert.rejects(part.start(new AbortController().signal), want)
  })
}

test('a port that is taken is named when the start fails, and nothing is left behind', limit, async (t) => {
  const { part, mount } = await startTls(t)
  const tls = { certFile: mount.file('tls.crt'), keyFile: mount.file('tls.key') }
  const second = createTlsServer(
    { host: '127.0.0.1', port: part.port(), tls },
    { answer: byFetch(createApp().app.fetch, createJournal().log), log: createJournal().log },
  )
  await assert.rejects(second.start(new AbortController().signal), /^Error: cannot listen on 127\.0\.0\.1:\d+ \(EADDRINUSE\)$/)
  assert.throws(() => second.port(), /does not listen/)
})

test('a stop finishes the request in hand, tells its client to close, and takes no new connection', limit, async (t) => {
  const { part, release, held } = await startTls(t)
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  t.after(() => agent.destroy())
  const slow = ask(part, '/slow', { agent })
  await held
  const port = part.port()
  const stopped = part.stop(soon())
  await assert.rejects(once(connect(port, '127.0.0.1'), 'connect'), { code: 'ECONNREFUSED' })
  release()
  const answer = await slow
  assert.equal(answer.text, 'done')
  assert.equal(answer.headers.connection, 'close')
  await stopped
})

test('a stop closes a connection that is kept for later at once', limit, async (t) => {
  const clock = createFakeClock() // it stands still, so a stop that waits for anything does not end
  const part = createPlainServer(
    { host: '127.0.0.1', port: 0 },
    { answer: byFetch(createApp().app.fetch, createJournal().log), log: createJournal().log, clock },
  )
  await part.start(new AbortController().signal)
  const agent = new PlainAgent({ keepAlive: true })
  t.after(() => agent.destroy())
  const outgoing = plainRequest({ host: '127.0.0.1', port: part.port(), path: '/', agent }).end()
  const [incoming] = await once(outgoing, 'response')
  incoming.resume()
  await once(incoming, 'end')
  await part.stop(clock.monotonic() + 5_000)
})

test('a stop does not wait for a connection that never asked anything, nor for half a handshake', limit, async (t) => {
  const { part } = await startTls(t)
  const silent = connect(part.port(), '127.0.0.1')
  const shaken = connectTls({ host: '127.0.0.1', port: part.port(), ca: authority.cert })
  await Promise.all([once(silent, 'connect'), once(shaken, 'secureConnect')])
  await Promise.all([part.stop(soon()), closed(silent), closed(shaken)])
})

test('an event stream says goodbye when the server stops, and the stop ends', limit, async (t) => {
  const { part } = await startTls(t)
  const outgoing = request({
    host: '127.0.0.1',
    port: part.port(),
    path: '/events',
    ca: authority.cert,
    agent: new Agent({ keepAlive: true }),
  }).end()
  const [incoming] = await once(outgoing, 'response')
  incoming.setEncoding('utf8')
  let [text] = await once(incoming, 'data')
  incoming.on('data', (chunk: string) => {
    text += chunk
  })
  const ended = once(incoming, 'end')
  await part.stop(soon())
  await ended
  assert.equal(text, 'data: hello\n\ndata: goodbye\n\n')
})

test('what is not finished at the deadline is cut off, and logged', limit, async () => {
  const journal = createJournal()
  const clock = createFakeClock()
  const { app, held } = createApp()
  const part = createPlainServer({ host: '127.0.0.1', port: 0 }, { answer: byFetch(app.fetch, journal.log), log: journal.log, clock })
  await part.start(new AbortController().signal)
  const cut = assert.rejects(once(plainRequest({ host: '127.0.0.1', port: part.port(), path: '/slow' }).end(), 'response'), {
    code: 'ECONNRESET',
  })
  await held
  let stopped = false
  const stopping = part.stop(clock.monotonic() + 5_000).then(() => {
    stopped = true
  })
  await clock.advance(4_999)
  assert.equal(stopped, false)
  await clock.advance(1)
  await Promise.all([stopping, cut])
  assert.ok(journal.lines.some((line) => line.msg === 'requests cut off at the deadline' && line.requests === 1))
})

test('a client that hangs up aborts the signal of its request', limit, async (t) => {
  const { part, held, gone } = await startTls(t)
  const outgoing = request({ host: '127.0.0.1', port: part.port(), path: '/gone', ca: authority.cert, agent: false }).end()
  outgoing.on('error', () => {})
  await held
  outgoing.destroy()
  await gone
  assert.equal((await ask(part, '/')).status, 200)
})

const garbage: { name: string; bytes: string | Buffer; status: number; type: string }[] = [
  { name: 'no HTTP at all', bytes: 'hello world\r\n\r\n', status: 400, type: 'invalid-request' },
  { name: 'binary', bytes: Buffer.from([0x16, 0x03, 0x01, 0x00, 0xff, 0x00, 0x00]), status: 400, type: 'invalid-request' },
  { name: 'a header without a colon', bytes: 'GET / HTTP/1.1\r\nHost x\r\n\r\n', status: 400, type: 'invalid-request' },
  {
    name: 'two lengths',
    bytes: 'POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab',
    status: 400,
    type: 'invalid-request',
  },
  {
    name: 'a length and chunks',
    bytes: 'POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    status: 400,
    type: 'invalid-request',
  },
  {
    name: 'a chunk of no size',
    bytes: 'POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n',
    status: 400,
    type: 'invalid-request',
  },
  { name: 'no Host', bytes: 'GET / HTTP/1.1\r\nConnection: close\r\n\r\n', status: 400, type: 'invalid-request' },
  {
    name: 'a Host that is none',
    bytes: 'GET / HTTP/1.1\r\nHost: a b/c\r\nConnection: close\r\n\r\n',
    status: 400,
    type: 'invalid-request',
  },
  { name: 'huge headers', bytes: `GET / HTTP/1.1\r\nHost: x\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`, status: 431, type: 'headers-too-large' },
]
for (const { name, bytes, status, type } of garbage) {
  test(`a request with ${name} is answered with the problem ${type}, and the server lives on`, limit, async (t) => {
    const { part } = await startPlain(t)
    const answer = await sendRaw(part, bytes)
    assert.match(answer, new RegExp(`^HTTP/1\\.1 ${status} `))
    const [head = '', body = ''] = answer.split('\r\n\r\n')
    assert.match(head, /^content-type: application\/problem\+json$/im)
    assert.equal(Number(/^content-length: (\d+)$/im.exec(head)?.[1] ?? body.length), body.length)
    const document = JSON.parse(body)
    assert.equal(document.type, `https://skerry.dev/problems/${type}`)
    assert.equal(document.status, status)
    assert.match(await sendRaw(part, 'GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'), /^HTTP\/1\.1 200 /)
  })
}

test('bytes that are no TLS do not disturb a TLS server', limit, async (t) => {
  const { part } = await startTls(t)
  await sendRaw(part, 'GET / HTTP/1.1\r\nHost: x\r\n\r\n')
  await sendRaw(part, Buffer.alloc(2000, 0x16))
  assert.equal((await ask(part, '/')).status, 200)
})

for (const [name, bytes] of [
  ['its headers', 'GET / HTTP/1.1\r\nHost: x\r\n'],
  ['its body', 'POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc'],
] as const) {
  test(`a client that never finishes ${name} is answered with 408 and let go`, limit, async (t) => {
    const { part } = await startPlain(t, { headersTimeoutMs: 150, requestTimeoutMs: 300 })
    const answer = await sendRaw(part, bytes)
    assert.match(answer, /^HTTP\/1\.1 408 Request Timeout\r\n/)
    assert.match(answer, /problems\/request-timeout/)
  })
}

test('an error of the app is logged and goes out as internal, without its text', limit, async (t) => {
  const { part, journal } = await startTls(t)
  const answer = await ask(part, '/broken')
  assert.equal(answer.status, 500)
  assert.equal(JSON.parse(answer.text).type, 'https://skerry.dev/problems/internal')
  assert.ok(!answer.text.includes('hunter2'))
  assert.equal(journal.lines.find((line) => line.msg === 'request failed')?.err.message, 'hunter2')
})

test('a problem thrown by the app is its answer', limit, async (t) => {
  const { part } = await startTls(t)
  const answer = await ask(part, '/problem')
  assert.equal(answer.status, 503)
  assert.equal(answer.headers['retry-after'], '2')
})
