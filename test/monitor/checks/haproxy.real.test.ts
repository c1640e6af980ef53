import assert from 'node:assert/strict'
import { test } from 'node:test'
import { haproxy } from '../../../monitor/checks/haproxy.ts'
import { freePort } from '../../cluster/index.ts'
import { startHaproxy } from '../../peers/haproxy.ts'
import { startNginx } from '../../peers/nginx.ts'
import { assertResult, measured, run, runUntil, secret } from './run.ts'

test('haproxy check of a real HAProxy', async (t) => {
  const [first, second] = [await startNginx(t), await startNginx(t)]
  const peer = await startHaproxy(t, { backends: { shop: [first.port, second.port], quay: [first.port] } })
  const bySocket = { socketPath: peer.socketPath }
  const byPage = { url: peer.pageUrl, username: 'reader', passwordFile: secret(peer.password) }

  for (const [name, given] of Object.entries({ 'runtime API': bySocket, page: byPage }))
    await t.test(`is up by its ${name}`, async () => {
      const result = await run(haproxy, given)
      assertResult(result, 'up', undefined, /none down/)
      assert.equal(measured(result, 'skerry_haproxy_backend_servers', { backend: 'shop', state: 'up' }), 2)
      assert.equal(measured(result, 'skerry_haproxy_backend_up', { backend: 'quay' }), 1)
    })
  await t.test('is down with a wrong password for the page', async () => {
    const result = await run(haproxy, { ...byPage, passwordFile: secret('driftwood') })
    assertResult(result, 'down', 'unauthorized', /401 to user reader/)
    assert.doesNotMatch(result.detail, /driftwood/)
  })
  await t.test('is down when the page is another one', async () => {
    assertResult(await run(haproxy, { url: `http://127.0.0.1:${first.port}/` }), 'down', 'protocol', /not HAProxy.s statistics/)
  })
  await t.test('is down when a backend that is named is not there', async () => {
    assertResult(await run(haproxy, { ...bySocket, backends: ['shop', 'ferry'] }), 'down', 'missing', /ferry/)
  })
  await t.test('is degraded when a server is down', async () => {
    await second.stop()
    const result = await runUntil('degraded', () => run(haproxy, bySocket))
    assertResult(result, 'degraded', 'partly_unavailable', /shop\/s1/)
    assert.equal(measured(result, 'skerry_haproxy_backend_servers', { backend: 'shop', state: 'down' }), 1)
  })
  await t.test('is down when a backend has no server left', async () => {
    await first.stop()
    const result = await runUntil('down', () => run(haproxy, { ...bySocket, backends: ['shop'] }))
    assertResult(result, 'down', 'unavailable', /No server left in shop\./)
    assert.equal(measured(result, 'skerry_haproxy_backend_up', { backend: 'shop' }), 0)
  })
  await t.test('is down when HAProxy hangs', async () => {
    await peer.hang()
    assertResult(await run(haproxy, bySocket, { timeoutMs: 300 }), 'down', 'timeout')
    assertResult(await run(haproxy, byPage, { timeoutMs: 300 }), 'down', 'timeout')
    peer.wake()
  })
  await t.test('is down when HAProxy is stopped', async () => {
    await peer.stop()
    assertResult(await run(haproxy, bySocket), 'down', 'connection_refused')
    assertResult(await run(haproxy, { host: '127.0.0.1', port: await freePort() }), 'down', 'connection_refused')
  })
})
