import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { Agent, request } from 'node:https'
import { type AddressInfo, connect as connectPlain, createServer, type Socket } from 'node:net'
import { type TestContext, test } from 'node:test'
import { connect, type TLSSocket } from 'node:tls'
import { type Clock, systemClock } from '../../shared/clock.ts'
import { parseRevocationLists } from '../../shared/revocation.ts'
import { createTlsServer, type Exchange } from '../../shared/server.ts'
import { createKeptLog } from '../agent/api/harbour.ts'
import { createAuthority, mountSecret, type Pair, pemOf } from './certificates.ts'
import { createFakeClock } from './fake-clock.ts'

const limit = { timeout: 60_000 }
const authority = await createAuthority('CA of the harbour')
const other = await createAuthority('CA of the dock')
const [own, ferry, pilot, dock] = await Promise.all([
  authority.server(),
  authority.client('ferry'),
  authority.client('pilot'),
  other.client('dock'),
])
const both = `${authority.cert}\n${other.cert}`

/** Answers with the name in the client's certificate; on `/held` once it must end; `/stream` begins at once, and goes on until then;
 * `/deaf` never ends. */
function answer({ incoming, outgoing, peer, stopping }: Exchange): void {
  const name = peer.certificate?.subject ?? 'nobody'
  if (incoming.url === '/deaf') return void outgoing.writeProcessing()
  if (incoming.url === '/') return void outgoing.end(name)
  if (incoming.url === '/stream') outgoing.write('begins')
  stopping.addEventListener('abort', () => outgoing.end(name))
}

type Files = { ca?: string; crl?: string | Buffer; clock?: Clock }

async function start(t: TestContext, { ca = both, crl, clock = systemClock }: Files) {
  const content = { 'tls.crt': own.cert, 'tls.key': own.key }
  const files = await mountSecret(t, { ...content, 'ca.crt': ca, ...(crl !== undefined && { 'ca.crl': crl }) })
  const { log, lines, seen } = createKeptLog()
  const tls = { certFile: files.file('tls.crt'), keyFile: files.file('tls.key'), clientCaFile: files.file('ca.crt') }
  const clientCrlFile = crl === undefined ? undefined : files.file('ca.crl')
  const server = createTlsServer({ host: '127.0.0.1', port: 0, tls: { ...tls, clientCrlFile } }, { answer, log, clock })
  await server.start(AbortSignal.timeout(10_000))
  t.after(() => server.stop(0))
  const replace = ({ ca: next = ca, crl: list = crl }: Files) =>
    files.replace({ ...content, 'ca.crt': next, ...(list !== undefined && { 'ca.crl': list }) })
  const base = { host: '127.0.0.1', port: server.port(), ca: authority.cert }
  const ask = async (pair: Pair, path = '/', agent: Agent | false = false): Promise<IncomingMessage> => {
    const [response] = await once(request({ ...base, ...pair, path, agent }).end(), 'response')
    return response as IncomingMessage
  }
  const who = async (pair: Pair, agent?: Agent) => bodyOf(await ask(pair, '/', agent))
  return { server, base, ask, who, replace, lines, seen }
}

async function bodyOf(response: IncomingMessage): Promise<string> {
  return Buffer.concat(await response.toArray()).toString()
}

test('a certificate on a list is none; lists of several CAs stand in one file, in PEM or DER', limit, async (t) => {
  const lists = [authority.revocationList([pilot.cert]), other.revocationList([])]
  for (const crl of [lists.map(pemOf).join(''), Buffer.concat(lists)]) {
    const { who } = await start(t, { crl })
    assert.deepEqual([await who(ferry), await who(pilot), await who(dock)], ['CN=ferry', 'nobody', 'CN=dock'])
  }
})

test('a CA without a list, or with one that has expired, has no valid certificates, and the log says so', limit, async (t) => {
  const { who, lines, server } = await start(t, { crl: authority.revocationList([], Date.UTC(2026, 0, 2)) })
  assert.deepEqual([await who(ferry), await who(dock)], ['nobody', 'nobody'])
  const told = lines.filter(({ level }) => level === 'error' || level === 50).map(({ msg, authorities }) => [msg, authorities])
  assert.deepEqual(told, [
    ['revocation list has expired, client certificates of its CA are refused: replace the file', undefined],
    ['CA without a revocation list, its client certificates are refused', ['CN=CA of the dock']],
  ])
  assert.equal(server.certificate().crl?.expiresAt, Date.UTC(2026, 0, 2))
})

test('a list that cannot be read stops the start; later, the last valid one stays in use', limit, async (t) => {
  for (const crl of ['', 'no list', authority.cert, authority.revocationList([]).subarray(0, 60)])
    await assert.rejects(start(t, { crl }), /ca\.crl (holds|is cut off)/)
  const lists = authority.revocationList([pilot.cert])
  const { who, replace, seen, server } = await start(t, { ca: authority.cert, crl: lists })
  assert.equal(server.certificate().isStale, false)
  await replace({ crl: 'no list' })
  await seen('new certificate is invalid, the old one stays in use')
  assert.deepEqual([await who(ferry), await who(pilot)], ['CN=ferry', 'nobody'])
  assert.equal(server.certificate().isStale, true)
})

const changes = [
  {
    name: 'its certificate is revoked',
    files: { ca: authority.cert, crl: pemOf(authority.revocationList([])) },
    next: { crl: pemOf(authority.revocationList([ferry.cert])) },
  },
  { name: 'its CA is withdrawn', files: { ca: both }, next: { ca: other.cert } },
]
for (const { name, files, next } of changes) {
  test(`connections of a client end when ${name}: idle ones, streams, and requests that wait`, limit, async (t) => {
    const { ask, who, replace, base } = await start(t, files)
    const idle = new Agent({ keepAlive: true })
    t.after(() => idle.destroy())
    assert.equal(await who(ferry, idle), 'CN=ferry')
    const [kept] = Object.values(idle.freeSockets).flatMap((sockets) => sockets ?? []) as TLSSocket[]
    assert.ok(kept)
    const session = await sessionOf(base, ferry)
    const closed = once(kept, 'close')
    const stream = await ask(ferry, '/stream')
    const waiting = request({ ...base, ...ferry, path: '/held', agent: false }).end()
    const answered = once(waiting, 'response') // which comes when the stream ends, or before
    await once(waiting, 'finish')
    await replace(next)
    assert.match(await bodyOf(stream), /^begins/)
    const [held] = (await answered) as [IncomingMessage]
    assert.equal(held.headers.connection, 'close')
    await bodyOf(held)
    await closed
    assert.equal(await who(ferry), 'nobody')
    assert.equal(await resumed(base, ferry, session), 'nobody', 'no session from before is resumed')
  })
}

test('connections of a client end when the list of its CA expires, and no session from before is resumed', limit, async (t) => {
  // OpenSSL goes by the clock of the machine: both lists last as much longer as the machine is slower.
  const began = performance.now()
  const unhurried = await start(t, { crl: [authority, other].map((each) => pemOf(each.revocationList([]))).join('') })
  assert.deepEqual([await unhurried.who(ferry), await unhurried.who(dock)], ['CN=ferry', 'CN=dock'])
  const unit = Math.ceil((performance.now() - began) / 200) * 1_000
  const expiresAt = Math.ceil(Date.now() / 1000) * 1000 + 3 * unit
  const lists = [authority.revocationList([], expiresAt), other.revocationList([], expiresAt - unit)]
  const { base, who, ask } = await start(t, { crl: lists.map(pemOf).join('') })
  const idle = new Agent({ keepAlive: true })
  t.after(() => idle.destroy())
  assert.equal(await who(ferry, idle), 'CN=ferry')
  const session = await sessionOf(base, ferry)
  const stream = await ask(ferry, '/stream')
  assert.match(await bodyOf(stream), /^begins/) // ends with the first of the lists
  assert.equal(await who(ferry), 'CN=ferry')
  assert.equal(await who(dock), 'nobody')
  await bodyOf(await ask(ferry, '/stream')) // ends with its own
  assert.ok(Date.now() >= expiresAt && Date.now() < expiresAt + 10_000)
  assert.equal(await who(ferry, idle), 'nobody')
  assert.equal(await resumed(base, ferry, session), 'nobody', 'no session from before is resumed')
})

const handshakes = [
  { name: 'its certificate is revoked', next: { crl: pemOf(authority.revocationList([ferry.cert])) } },
  { name: 'its CA is withdrawn', next: { ca: other.cert, crl: pemOf(other.revocationList([])) } },
]
for (const { name, next } of handshakes) {
  test(`a handshake that is open when ${name} does not end in a connection of the client`, limit, async (t) => {
    const { base, replace, seen, who } = await start(t, { ca: authority.cert, crl: pemOf(authority.revocationList([])) })
    const relay = await holdingRelay(t, base.port)
    const socket = connect({ ...base, ...ferry, port: relay.port })
    let text = ''
    socket
      .on('error', () => {})
      .on('data', (chunk) => {
        text += chunk
      })
    const closed = once(socket, 'close')
    socket.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
    await relay.held
    await replace(next)
    await seen('certificate replaced')
    relay.release()
    await closed
    assert.equal(text, '')
    assert.equal(await who(ferry), 'nobody')
  })
}

test('a request that does not end is cut off after half a minute', limit, async (t) => {
  const clock = createFakeClock()
  const { replace, base, ask, lines } = await start(t, { ca: authority.cert, crl: authority.revocationList([]), clock })
  const deaf = request({ ...base, ...ferry, path: '/deaf', agent: false }).end()
  const ended = once(deaf, 'error')
  await once(deaf, 'information') // before that, the connection is idle, and the clock would end it
  await ask(pilot)
  await replace({ crl: authority.revocationList([ferry.cert]) })
  // The files are read in real time, at whatever time of the clock.
  const step = 100
  while (!lines.some(({ msg }) => msg === 'certificate replaced')) await clock.advance(step)
  await clock.advance(30_000 - 2 * step)
  assert.equal(deaf.destroyed, false)
  await clock.advance(2 * step)
  assert.equal(((await ended)[0] as NodeJS.ErrnoException).code, 'ECONNRESET')
})

test('connections without a client certificate stay', limit, async (t) => {
  const { replace, base, seen } = await start(t, { ca: authority.cert, crl: authority.revocationList([]) })
  const agent = new Agent({ keepAlive: true })
  t.after(() => agent.destroy())
  const ask = async () => {
    const asked = request({ ...base, agent }).end()
    const [response] = (await once(asked, 'response')) as [IncomingMessage]
    return [await bodyOf(response), asked.reusedSocket]
  }
  assert.deepEqual(await ask(), ['nobody', false])
  await replace({ crl: authority.revocationList([ferry.cert]) })
  await seen('certificate replaced')
  assert.deepEqual(await ask(), ['nobody', true])
})

const notLists = [
  { name: 'nothing', bytes: Buffer.alloc(0), says: /holds no certificate revocation list/ },
  { name: 'a length beyond its end', bytes: Buffer.from('3084ffffffff', 'hex'), says: /is cut off/ },
  { name: 'an indefinite length', bytes: Buffer.from('30800000', 'hex'), says: /other than DER/ },
  { name: 'a certificate', bytes: Buffer.from(own.cert.replaceAll(/-----.*-----|\s/g, ''), 'base64'), says: /something other/ },
]
for (const { name, bytes, says } of notLists)
  test(`${name} is no list`, () => assert.throws(() => parseRevocationLists(bytes, ''), { message: says }))

/** Passes on what comes, except what the client sends after its first message, until it is released. */
async function holdingRelay(t: TestContext, port: number) {
  const chunks: Buffer[] = []
  const held = Promise.withResolvers<void>()
  let upstream: Socket | undefined
  let isReleased = false
  const relay = createServer((client) => {
    const server = connectPlain(port, '127.0.0.1')
    client.once('data', (hello) => {
      server.write(hello)
      upstream = server
      client.on('data', (chunk) => {
        if (isReleased) return void server.write(chunk)
        chunks.push(chunk)
        held.resolve()
      })
    })
    server.on('data', (chunk) => client.write(chunk))
    server.on('close', () => client.destroy()).on('error', () => {})
    client.on('close', () => server.destroy()).on('error', () => {})
  })
  relay.listen(0, '127.0.0.1')
  await once(relay, 'listening')
  t.after(() => relay.close())
  return {
    port: (relay.address() as AddressInfo).port,
    held: held.promise,
    release() {
      isReleased = true
      for (const chunk of chunks) upstream?.write(chunk)
    },
  }
}

/** A TLS session that could be resumed. */
async function sessionOf(base: { host: string; port: number; ca: string }, pair: Pair): Promise<Buffer> {
  const socket = connect({ ...base, ...pair })
  const [session] = (await once(socket, 'session')) as [Buffer]
  socket.destroy()
  return session
}

async function resumed(base: { host: string; port: number; ca: string }, pair: Pair, session: Buffer): Promise<string> {
  const socket = connect({ ...base, ...pair, session })
  await once(socket, 'secureConnect')
  socket.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
  const text = Buffer.concat(await socket.toArray()).toString()
  return text.split('\r\n\r\n')[1]?.trim().split('\r\n').at(-1) ?? ''
}
