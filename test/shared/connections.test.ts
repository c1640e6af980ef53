import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { createInterface } from 'node:readline'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { createLog } from '../../shared/log.ts'
import { createPlainServer, type Exchange } from '../../shared/server.ts'
import { createFakeClock } from './fake-clock.ts'

const limit = { timeout: 60_000 }
const hello = 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'

const large = Buffer.alloc(64 * 1024 * 1024)

async function open(t: TestContext, port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => {})
  t.after(() => socket.destroy())
  await once(socket, 'connect')
  return socket
}

/**
 * A server whose requests to `/known` come from known callers and those to `/shared` through a proxy. Those to `/slow` never end, and the
 * answers to `/large` are larger than what the system keeps for a client that does not read.
 */
async function start(t: TestContext, maxConnections: number) {
  const lines: { msg: string }[] = []
  const log = createLog({ level: 'debug', name: 'test', destination: { write: (line) => void lines.push(JSON.parse(line)) } })
  const clock = createFakeClock()
  const answer = ({ incoming, outgoing, recognized, shared }: Exchange) => {
    if (incoming.url?.includes('shared')) shared()
    if (incoming.url?.includes('known')) recognized()
    if (incoming.url?.includes('slow')) outgoing.writeHead(200).write('so far')
    else if (incoming.url?.includes('large')) outgoing.end(large)
    else outgoing.end('done')
  }
  const part = createPlainServer({ host: '127.0.0.1', port: 0, maxConnections }, { answer, log, clock })
  await part.start(new AbortController().signal)
  t.after(async () => {
    const stopped = part.stop(0)
    await clock.advance(1_000)
    await stopped
  })
  const ask = async (path: string, socket?: Socket): Promise<Socket> => {
    socket ??= await open(t, part.port())
    socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`)
    await once(socket, 'data')
    await clock.advance(1)
    return socket
  }
  return { part, clock, lines, ask }
}

/** Reads so many bytes and no more, about. */
async function read(socket: Socket, bytes: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  let left = bytes
  const onData = ({ length }: Buffer) => {
    left -= length
    if (left <= 0) resolve(void socket.pause().off('data', onData))
  }
  socket.on('data', onData).resume()
  await promise
}

/** With or without an error: a server that closes a connection with unread bytes resets it. */
const closed = async (socket: Socket) => {
  if (!socket.closed) await new Promise((resolve) => socket.once('close', resolve))
}

test('at the limit the idle strangers go first, oldest first, then the busy ones, then known callers that are idle', limit, async (t) => {
  const { ask, part, lines } = await start(t, 4)
  const known = await ask('/known')
  const slowKnown = await ask('/known/slow')
  const slow = await ask('/slow')
  const idle = await ask('/')
  const order: string[] = []
  for (const [name, socket] of Object.entries({ known, slowKnown, slow, idle })) socket.once('close', () => order.push(name))
  const newer = [await ask('/known/slow'), await ask('/known/slow'), await ask('/known/slow')]
  await Promise.all([idle, slow, known].map(closed))
  assert.deepEqual(order, ['idle', 'slow', 'known'])
  assert.equal(slowKnown.closed, false)
  // Nothing can be spared any more: the new one is refused.
  const refused = await open(t, part.port())
  refused.write(hello)
  await closed(refused)
  assert.equal(
    newer.every((socket) => !socket.closed),
    true,
  )
  const { spared, refused: count, open: still } = part.statistics()
  assert.deepEqual({ spared, count, still }, { spared: 3, count: 1, still: 4 })
  assert.deepEqual(
    lines.map(({ msg }) => msg).filter((msg) => msg.includes('limit')),
    ['connections closed to make room, the limit is reached', 'connections refused, the limit is reached'],
  )
})

test('a connection is never closed for a new one only while a request of a known caller is under way on it', limit, async (t) => {
  const { ask, part } = await start(t, 3)
  const before = await ask('/known')
  await ask('/slow', before)
  const now = await ask('/known/slow')
  const idle = await ask('/known')
  // The first to go is idle. The next one has a request of somebody who may be a stranger, though its last one was not.
  const newer = await ask('/known/slow')
  await closed(idle)
  assert.equal(before.closed, false)
  const newest = await ask('/known/slow')
  await closed(before)
  assert.deepEqual(
    [now, newer, newest].map((socket) => socket.closed),
    [false, false, false],
  )
  assert.equal(part.statistics().refused, 0)
})

test(
  'a connection that several clients share is kept like that of a known caller, but gives way like that of a stranger',
  limit,
  async (t) => {
    const { ask, clock } = await start(t, 3)
    const shared = await ask('/shared')
    for (let seconds = 0; seconds < 100; seconds += 2) await clock.advance(2_000)
    assert.equal(shared.closed, false)
    const slow = await ask('/shared/slow')
    await ask('/known/slow')
    await ask('/known/slow')
    await closed(shared)
    await ask('/known/slow')
    await closed(slow)
  },
)

test('a connection that has just been opened has time for its request, whatever strangers do with theirs', limit, async (t) => {
  const { ask, part } = await start(t, 4)
  const busy = [await ask('/slow'), await ask('/slow'), await ask('/slow')]
  const fresh = await open(t, part.port())
  const newer = [await open(t, part.port()), await open(t, part.port()), await open(t, part.port())]
  await Promise.all(busy.map(closed))
  await ask('/known', fresh)
  assert.equal(
    newer.every((socket) => !socket.closed),
    true,
  )
})

test('a response of which nothing arrives for a minute is cut off, one that goes on slowly is not', limit, async (t) => {
  const { ask, clock, part } = await start(t, 10)
  const [stalled, pipelined, slow] = [await ask('/known/large'), await ask('/large'), await ask('/large')]
  for (const socket of [stalled, pipelined, slow]) socket.pause()
  // The system goes on taking bytes for a while, into buffers that grow: the minute begins after that.
  for (let seconds = 0; seconds < 150 && part.statistics().stalled < 2; seconds += 10) {
    assert.ok(seconds >= 60 || part.statistics().stalled === 0)
    await clock.advance(10_000)
    pipelined.write(hello)
    await read(slow, 4 * 1024 * 1024)
  }
  assert.equal(part.statistics().stalled, 2)
  await Promise.all([stalled, pipelined].map((socket) => closed(socket.resume())))
  assert.equal(slow.closed, false)
})

test('an idle stranger is let go after 20 seconds, a known caller after two minutes, a busy one never', limit, async (t) => {
  const { ask, clock } = await start(t, 10)
  const [stranger, known, busy] = [await ask('/'), await ask('/known'), await ask('/slow')]
  for (let seconds = 0; seconds < 24; seconds += 2) await clock.advance(2_000)
  await closed(stranger)
  assert.equal(known.closed, false)
  for (let seconds = 0; seconds < 100; seconds += 2) await clock.advance(2_000)
  await closed(known)
  assert.equal(busy.closed, false)
})

test('a process with few file descriptors says so, and goes on answering', limit, async (t) => {
  const program = fileURLToPath(new URL('few-descriptors.ts', import.meta.url))
  const child = spawn('sh', ['-c', `ulimit -n 64; exec "$0" "$1"`, process.execPath, program], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.after(() => child.kill('SIGKILL'))
  const lines: { msg: string; port?: number; openFiles?: number }[] = []
  const reader = createInterface({ input: child.stdout })
  reader.on('line', (line) => lines.push(JSON.parse(line)))
  const seen = async (msg: string) => {
    while (!lines.some((line) => line.msg === msg)) await once(reader, 'line')
    return lines.find((line) => line.msg === msg)
  }
  const port = (await seen('listening'))?.port ?? 0
  const sockets = await Promise.all(Array.from({ length: 200 }, () => open(t, port)))
  assert.equal((await seen('connections closed to make room, the limit is reached'))?.openFiles, 64)
  // It still has a descriptor for a file, and an answer for a caller.
  const caller = await open(t, port)
  caller.write(hello)
  const [answer] = await once(caller, 'data')
  assert.match(String(answer), /^HTTP\/1\.1 200 /)
  assert.match(String(answer), /read a file/)
  for (const socket of sockets) socket.destroy()
})
