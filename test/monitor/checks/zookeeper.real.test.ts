import assert from 'node:assert/strict'
import { test } from 'node:test'
import { zookeeper } from '../../../monitor/checks/zookeeper.ts'
import { startZookeeper } from '../../peers/zookeeper.ts'
import { assertResult, measured, run, runUntil } from './run.ts'

test('zookeeper check of a real ZooKeeper', async (t) => {
  const peer = await startZookeeper(t)
  const byWords = { host: '127.0.0.1', port: peer.port }
  const byAdminServer = { url: peer.adminUrl }

  for (const [name, given] of Object.entries({ 'four-letter words': byWords, AdminServer: byAdminServer }))
    await t.test(`is up by its ${name}`, async () => {
      const result = await runUntil('up', () => run(zookeeper, given))
      assertResult(result, 'up', undefined, /^Version 3\.8\.0, standalone/)
      assert.equal(measured(result, 'skerry_zookeeper_info', { role: 'standalone' }), 1)
      assert.equal(measured(result, 'skerry_zookeeper_outstanding_requests'), 0)
      assert.ok((measured(result, 'skerry_zookeeper_znodes') as number) > 0)
    })
  await t.test('is down when it hangs', async () => {
    await peer.hang()
    assertResult(await run(zookeeper, byWords, { timeoutMs: 300 }), 'down', 'timeout', /hangs/)
    assertResult(await run(zookeeper, byAdminServer, { timeoutMs: 300 }), 'down', 'timeout')
    peer.wake()
  })
  await t.test('is down when it is stopped', async () => {
    await peer.stop()
    assertResult(await run(zookeeper, byWords), 'down', 'connection_refused')
  })
})

test('zookeeper check of a real ZooKeeper that allows srvr alone is up by that', async (t) => {
  const peer = await startZookeeper(t, { words: 'srvr' })
  const result = await runUntil('up', () => run(zookeeper, { host: '127.0.0.1', port: peer.port }))
  assertResult(result, 'up', undefined, /^Version 3\.8\.0, standalone/)
  assert.ok((measured(result, 'skerry_zookeeper_connections') as number) >= 1)
})

test('zookeeper check of a real ZooKeeper without its quorum is down', async (t) => {
  const peer = await startZookeeper(t, { lonely: true })
  assertResult(await run(zookeeper, { host: '127.0.0.1', port: peer.port }), 'down', 'unavailable', /no quorum/)
})
