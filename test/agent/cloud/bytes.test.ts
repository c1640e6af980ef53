import assert from 'node:assert/strict'
import { type AddressInfo, connect, createServer } from 'node:net'
import { type TestContext, test } from 'node:test'
import type { Transport } from '../../../agent/cloud/transport.ts'
import { createUndiciTransport } from '../../../agent/cloud/undici-transport.ts'
import { systemClock } from '../../../shared/clock.ts'
import { SocketBytes } from '../../../shared/link/index.ts'
import { startCountingRelay } from '../../bench/counting-relay.ts'
import { type ServedCloud, serveCloud } from '../../cloud/serve.ts'
import { until } from '../../cluster/index.ts'

async function start(t: TestContext): Promise<ServedCloud & { port: number }> {
  const served = await serveCloud()
  t.after(() => served.close())
  await served.cloud.publish({ anchors: [] })
  return { ...served, port: Number(new URL(served.origin).port) }
}

/** The relay has passed on what was sent, its last words too: they are under way when the transport has closed. */
const allPassed = (bytes: SocketBytes, relay: { bytes: () => number }) =>
  until('each byte that was counted has passed', async () => bytes.total.received + bytes.total.sent === relay.bytes(), 10_000)

async function ask(transport: Transport, times: number): Promise<void> {
  for (let time = 0; time < times; time++) {
    const { status } = await transport.send({ method: 'GET', path: '/v1/nothing', headers: {} }, AbortSignal.timeout(5_000))
    assert.equal(status, 404)
  }
}

test('what the transport counts is what passes on the wire, with handshakes, over several connections, and for the trust document too', async (t) => {
  const { ca, port } = await start(t)
  const relay = await startCountingRelay(t, port)
  const bytes = new SocketBytes()
  const url = `https://127.0.0.1:${relay.port}`
  const transport = createUndiciTransport({ url, ca, timeoutMs: 5_000, bytes, clock: systemClock })
  await ask(transport, 3)
  transport.trust([])
  await ask(transport, 1)
  await transport.fetchTrust(AbortSignal.timeout(5_000))
  await transport.close()
  assert.ok(relay.connections() >= 3)
  await allPassed(bytes, relay)
})

test('behind a proxy its connection is counted, with CONNECT and what it carries', async (t) => {
  const { ca, port } = await start(t)
  const proxy = createServer((near) => {
    near.once('data', (head) => {
      assert.match(String(head), /^CONNECT cloud\.example\.org:\d+ HTTP\/1\.1\r\n/)
      const far = connect(port, '127.0.0.1', () => near.write('HTTP/1.1 200 OK\r\n\r\n'))
      near.pipe(far).pipe(near)
      far.on('error', () => near.destroy())
    })
    near.on('error', () => {})
  })
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
  t.after(() => proxy.close())
  const relay = await startCountingRelay(t, (proxy.address() as AddressInfo).port)
  const before = process.env.https_proxy
  process.env.https_proxy = `http://127.0.0.1:${relay.port}`
  t.after(() => {
    if (before === undefined) delete process.env.https_proxy
    else process.env.https_proxy = before
  })
  const bytes = new SocketBytes()
  // Whether the name is in the certificate makes no difference to the bytes before the refusal, so the trust document is what is asked for.
  const transport = createUndiciTransport({ url: `https://cloud.example.org:${port}`, ca, timeoutMs: 5_000, bytes, clock: systemClock })
  await transport.fetchTrust(AbortSignal.timeout(5_000))
  await transport.close()
  const { received, sent } = bytes.total
  assert.ok(received > 1_000 && sent > 300)
  await allPassed(bytes, relay)
})
