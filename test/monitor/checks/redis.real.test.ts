import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { test } from 'node:test'
import { redis } from '../../../monitor/checks/redis.ts'
import { until } from '../../cluster/index.ts'
import { startRedis } from '../../peers/redis.ts'
import { assertResult, measured, run, runUntil, secret } from './run.ts'

test('redis check of a real Redis', async (t) => {
  const peer = await startRedis(t, ['--requirepass', 'anchor', '--maxmemory', '100mb'])
  const given = { host: '127.0.0.1', port: peer.port, passwordFile: secret('anchor') }

  await t.test('is up, and measures memory', async () => {
    const result = await run(redis, given)
    assertResult(result, 'up', undefined, /^Version 7.*, master\.$/)
    assert.equal(measured(result, 'skerry_redis_memory_max_bytes'), 100 * 2 ** 20)
    assert.ok((measured(result, 'skerry_redis_memory_used_bytes') as number) > 100_000)
  })
  await t.test('is down with a wrong password, and does not tell it', async () => {
    const result = await run(redis, { ...given, passwordFile: secret('driftwood') })
    assertResult(result, 'down', 'unauthorized', /WRONGPASS/)
    assert.doesNotMatch(result.detail, /driftwood/)
  })
  await t.test('is down without a password where one is needed', async () => {
    assertResult(await run(redis, { host: '127.0.0.1', port: peer.port }), 'down', 'unauthorized', /Give the check a passwordFile/)
  })
  await t.test('is degraded when memory is nearly used up', async () => {
    assertResult(await run(redis, { ...given, maxMemoryUsed: 0.001 }), 'degraded', 'limit', /maxmemory is in use/)
  })
  await t.test('is degraded without the replicas that it should have', async () => {
    assertResult(await run(redis, { ...given, minReplicas: 1 }), 'degraded', 'partly_unavailable', /0 of 1 replicas/)
  })
  await t.test('sees a replica that lost its primary', async (t) => {
    const replica = await startRedis(t, ['--replicaof', `127.0.0.1 ${peer.port}`, '--masterauth', 'wrong'])
    const result = await runUntil('degraded', () => run(redis, { host: '127.0.0.1', port: replica.port }))
    assertResult(result, 'degraded', 'partly_unavailable', /lost its primary/)
    assert.equal(measured(result, 'skerry_redis_info', { role: 'slave' }), 1)
  })
  await t.test('is down when the server has too many clients', async (t) => {
    const crowded = await startRedis(t, ['--maxclients', '1'])
    // The client that asked whether it is ready may be counted a moment longer, and ours refused.
    await until('ours is the one client', async () => {
      const socket = connect(crowded.port, '127.0.0.1').on('error', () => {})
      t.after(() => socket.destroy())
      socket.write('PING\r\n')
      const [answer] = await once(socket, 'data').catch(() => [])
      return String(answer).startsWith('+PONG')
    })
    assertResult(await run(redis, { host: '127.0.0.1', port: crowded.port }), 'down', 'limit', /raise maxclients/)
  })
  await t.test('is down when the server hangs', async () => {
    await peer.hang()
    assertResult(await run(redis, given, { timeoutMs: 300 }), 'down', 'timeout', /hangs/)
    peer.wake()
  })
  await t.test('is down when the server is stopped', async () => {
    await peer.stop()
    assertResult(await run(redis, given), 'down', 'connection_refused')
  })
})
