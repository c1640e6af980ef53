import assert from 'node:assert/strict'
import { test } from 'node:test'
import { kubelet } from '../../../monitor/checks/kubelet.ts'
import { startKubelet } from '../../peers/kubelet.ts'
import { assertResult, measured, run, secret } from './run.ts'

test('kubelet check of a real kubelet', async (t) => {
  const peer = await startKubelet(t)
  const given = { url: peer.url }

  await t.test('is up, and counts its parts', async () => {
    const result = await run(kubelet, given)
    assertResult(result, 'up', undefined, /healthy/)
    assert.equal(measured(result, 'skerry_kubelet_parts', { state: 'ok' }), 1, 'this port tells of ping alone')
    assert.equal(measured(result, 'skerry_kubelet_parts', { state: 'failed' }), 0)
  })
  await t.test('is down when it refuses the token, and does not tell it', async () => {
    const result = await run(kubelet, { url: peer.secureUrl, caFile: secret(peer.ca), tokenFile: secret('driftwood') })
    assertResult(result, 'down', 'unauthorized', /401 to the token of tokenFile/)
    assert.doesNotMatch(result.detail, /driftwood/)
  })
  await t.test('is down when its authority is not known', async () => {
    assertResult(await run(kubelet, { url: peer.secureUrl }), 'down', 'tls')
  })
  await t.test('is down when it hangs', async () => {
    await peer.hang()
    assertResult(await run(kubelet, given, { timeoutMs: 300 }), 'down', 'timeout', /hangs/)
    peer.wake()
  })
  await t.test('is down when it is stopped', async () => {
    await peer.stop()
    assertResult(await run(kubelet, given), 'down', 'connection_refused')
  })
})
