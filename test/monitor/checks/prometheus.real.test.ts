import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { CheckResult } from '../../../monitor/checks/kind.ts'
import { prometheus } from '../../../monitor/checks/prometheus.ts'
import { freePort } from '../../cluster/index.ts'
import { startPrometheus } from '../../peers/prometheus.ts'
import { assertResult, measured, run, runUntil, secret } from './run.ts'

test('prometheus check of a real Prometheus', async (t) => {
  const peer = await startPrometheus(t)
  const given = { url: peer.url }

  await t.test('is up, and counts its targets', async () => {
    const attempt = async () => {
      const result = await run(prometheus, given)
      return measured(result, 'skerry_prometheus_targets', { health: 'up' }) === 1 ? result : { ...result, state: 'down' as const }
    }
    assertResult(await runUntil('up', attempt), 'up', undefined, /1 target up, 0 down/)
  })
  await t.test('is down when it is another server', async () => {
    assertResult(await run(prometheus, { url: `${peer.url}/elsewhere` }), 'down', 'unexpected_answer', /404/)
  })
  await t.test('is down when it hangs', async () => {
    await peer.hang()
    assertResult(await run(prometheus, given, { timeoutMs: 300 }), 'down', 'timeout', /hangs/)
    peer.wake()
  })
  await t.test('is down when it is stopped', async () => {
    await peer.stop()
    assertResult(await run(prometheus, given), 'down', 'connection_refused')
  })
})

test('prometheus check is degraded when a real Prometheus cannot scrape a target', async (t) => {
  const nobody = await freePort()
  const peer = await startPrometheus(t, { scrape: [nobody] })
  const health = (result: CheckResult, health: string) => measured(result, 'skerry_prometheus_targets', { health })
  // A scrape of its own pages may be late on a busy machine, too.
  const result = await runUntil('degraded', async () => {
    const result = await run(prometheus, { url: peer.url })
    return health(result, 'up') === 1 && health(result, 'down') === 1 ? result : { ...result, state: 'down' as const }
  })
  assertResult(result, 'degraded', 'partly_unavailable', new RegExp(`1 target down: harbour/127.0.0.1:${nobody}`))
  assert.equal(measured(result, 'skerry_prometheus_targets', { health: 'down' }), 1)
})

test('prometheus check is down when a real Prometheus refuses the credentials', async (t) => {
  // bcrypt of "anchor"
  const peer = await startPrometheus(t, { users: { reader: '$2b$04$3vbbZqLmpKSCTYR0uHTAOehYKvsN60IyVYDyBMGLwe6jdmHBV/ZZS' } })
  assertResult(await run(prometheus, { url: peer.url }), 'down', 'unauthorized', /Give the check username and passwordFile/)
  assertResult(
    await run(prometheus, { url: peer.url, username: 'reader', passwordFile: secret('driftwood') }),
    'down',
    'unauthorized',
    /user reader/,
  )
})
