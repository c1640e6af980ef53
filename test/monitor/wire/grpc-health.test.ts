import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2'
import { type AddressInfo, connect } from 'node:net'
import { type TestContext, test } from 'node:test'
import { askHealth } from '../../../monitor/wire/grpc-health.ts'
import { listen } from '../checks/servers.ts'

type Asked = { headers: IncomingHttpHeaders; body: Buffer }

/** A gRPC server for one test, which does this with each call. */
async function serveCalls(t: TestContext, answer: (stream: ServerHttp2Stream) => void): Promise<{ port: number; asked: Asked[] }> {
  const asked: Asked[] = []
  const server = createServer()
  server.on('stream', async (stream, headers) => {
    stream.on('error', () => {})
    asked.push({ headers, body: Buffer.concat(await stream.toArray()) })
    answer(stream)
  })
  server.on('session', (session) => t.after(() => session.destroy()))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => void server.close())
  return { port: (server.address() as AddressInfo).port, asked }
}

async function askAt(
  t: TestContext,
  port: number,
  { service = '', metadata = {} as Record<string, string[]>, signal = AbortSignal.timeout(30_000) } = {},
) {
  const socket = connect(port, '127.0.0.1')
  t.after(() => socket.destroy())
  await once(socket, 'connect')
  return await askHealth(socket, { authority: `quay.example:${port}`, secure: false, service, metadata, signal })
}

const grpcHeaders = { ':status': 200, 'content-type': 'application/grpc' }

/** An answer with a body and trailers. */
function whole(hex: string, trailers: Record<string, string> = { 'grpc-status': '0' }) {
  return (stream: ServerHttp2Stream) => {
    stream.respond(grpcHeaders, { waitForTrailers: true })
    stream.on('wantTrailers', () => stream.sendTrailers(trailers))
    stream.end(Buffer.from(hex.replaceAll(' ', ''), 'hex'))
  }
}

/** An answer of headers alone. */
function short(headers: Record<string, string | number>) {
  return (stream: ServerHttp2Stream) => stream.respond(headers, { endStream: true })
}

const answers = [
  { name: 'SERVING', answer: whole('00 00000002 0801'), code: 0, serving: 'SERVING' },
  { name: 'NOT_SERVING', answer: whole('00 00000002 0802'), code: 0, serving: 'NOT_SERVING' },
  { name: 'an empty message, which is UNKNOWN', answer: whole('00 00000000'), code: 0, serving: 'UNKNOWN' },
  {
    name: 'fields of a later version',
    answer: whole('00 0000000e 1203616263 1901020304 05060708 0801'.replace('0e', '10')),
    code: 0,
    serving: 'SERVING',
  },
  { name: 'a status that no version has', answer: whole('00 00000002 0863'), code: 13 },
  { name: 'a field that is cut', answer: whole('00 00000002 1209'), code: 13 },
  { name: 'a number without an end', answer: whole(`00 0000000c 08 ${'ff'.repeat(11)}`), code: 13 },
  { name: 'no message', answer: whole(''), code: 13 },
  { name: 'two messages', answer: whole('00 00000002 0801 00 00000002 0801'), code: 13 },
  { name: 'a compressed message', answer: whole('01 00000002 0801'), code: 13 },
  { name: 'another code', answer: whole('', { 'grpc-status': '12', 'grpc-message': 'no%20such' }), code: 12, detail: 'no such' },
  { name: 'a code in its headers', answer: short({ ...grpcHeaders, 'grpc-status': '5' }), code: 5 },
  { name: 'a code that is no number', answer: whole('', { 'grpc-status': 'x' }), code: 13 },
  { name: 'no code', answer: short(grpcHeaders), code: 13 },
  { name: 'a page', answer: short({ ':status': 200, 'content-type': 'text/html' }), code: 2 },
  { name: 'status 404', answer: short({ ':status': 404 }), code: 12 },
  { name: 'status 503', answer: short({ ':status': 503, 'content-type': 'application/grpc' }), code: 14 },
  { name: 'status 401', answer: short({ ':status': 401 }), code: 16 },
  { name: 'status 418', answer: short({ ':status': 418 }), code: 2 },
  { name: 'a refused stream', answer: (stream: ServerHttp2Stream) => stream.close(7), code: 14 },
  { name: 'a cancelled stream', answer: (stream: ServerHttp2Stream) => stream.close(8), code: 1 },
  { name: 'a lost connection', answer: (stream: ServerHttp2Stream) => stream.session?.destroy(), code: 14 },
  { name: 'more than anybody needs', answer: whole('00'.repeat(100_000)), code: 8 },
]
for (const { name, answer, code, serving, detail } of answers)
  test(`a health check answered with ${name} ends with code ${code}`, async (t) => {
    const { port } = await serveCalls(t, answer)
    const health = await askAt(t, port)
    assert.equal(health.code, code, health.detail)
    assert.equal(health.serving, serving)
    if (detail !== undefined) assert.equal(health.detail, detail)
  })

test('a health check is a call of grpc.health.v1 with the name of the service and the metadata', async (t) => {
  const { port, asked } = await serveCalls(t, whole('00 00000002 0801'))
  const service = 's'.repeat(200)
  await askAt(t, port, { service, metadata: { 'x-from': ['one', 'two'], 'trace-bin': ['\x00\x01'] } })
  await askAt(t, port)
  const [{ headers, body } = assert.fail(), second = assert.fail()] = asked
  assert.equal(headers[':path'], '/grpc.health.v1.Health/Check')
  assert.equal(headers[':authority'], `quay.example:${port}`)
  assert.equal(headers['content-type'], 'application/grpc')
  assert.equal(headers.te, 'trailers')
  assert.equal(headers['x-from'], 'one, two')
  assert.equal(headers['trace-bin'], 'AAE')
  assert.equal(body.toString('latin1'), `\x00\x00\x00\x00\xcb\x0a\xc8\x01${service}`)
  assert.equal(second.body.toString('hex'), '0000000000')
})

test('a health check ends with its signal, and with a server that does not speak HTTP/2', async (t) => {
  const { port } = await serveCalls(t, () => {})
  await assert.rejects(askAt(t, port, { signal: AbortSignal.timeout(50) }), { name: 'TimeoutError' })
  const web = await listen(t, (socket) => socket.once('data', () => socket.end('HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n')))
  assert.equal((await askAt(t, web)).code, 14)
})
