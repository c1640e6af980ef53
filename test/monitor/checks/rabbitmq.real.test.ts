import assert from 'node:assert/strict'
import { test } from 'node:test'
import { rabbitmq } from '../../../monitor/checks/rabbitmq.ts'
import { startRabbitmq } from '../../peers/rabbitmq.ts'
import { assertResult, measured, run, runUntil, secret } from './run.ts'

test('rabbitmq check of a real RabbitMQ', async (t) => {
  const peer = await startRabbitmq(t)
  const amqp = { host: '127.0.0.1', port: peer.port }
  const management = { url: peer.url, username: 'guest', passwordFile: secret('guest') }

  await t.test('is up by AMQP alone', async () => {
    const result = await run(rabbitmq, amqp)
    assertResult(result, 'up')
    assert.ok((measured(result, 'skerry_rabbitmq_handshake_seconds') as number) > 0)
  })
  await t.test('is up by both, and measures nodes and queues', async () => {
    const result = await runUntil('up', () => run(rabbitmq, { ...amqp, ...management }))
    assertResult(result, 'up', undefined, /^Version 3\.10/)
    assert.equal(measured(result, 'skerry_rabbitmq_nodes', { state: 'running' }), 1)
    assert.equal(measured(result, 'skerry_rabbitmq_queues'), 0)
  })
  await t.test('is down with a wrong password, and does not tell it', async () => {
    const wrong = { username: 'guest', passwordFile: secret('driftwood') }
    for (const given of [
      { ...amqp, ...wrong },
      { ...management, ...wrong },
    ]) {
      const result = await run(rabbitmq, given)
      assertResult(result, 'down', 'unauthorized', /guest/)
      assert.doesNotMatch(result.detail, /driftwood/)
    }
  })
  await t.test('is down when the virtual host is not there', async () => {
    assertResult(await run(rabbitmq, { ...amqp, vhost: 'atlantis' }), 'down', 'missing', /atlantis/)
  })
  await t.test('is degraded under an alarm', async () => {
    await peer.ctl('set_vm_memory_high_watermark', '0.0001')
    const result = await runUntil('degraded', () => run(rabbitmq, management))
    assertResult(result, 'degraded', 'limit', /Memory alarm on .*publishers are blocked/)
    assert.equal(measured(result, 'skerry_rabbitmq_alarms', { alarm: 'memory' }), 1)
  })
  await t.test('is down when it hangs', async () => {
    await peer.hang()
    assertResult(await run(rabbitmq, amqp, { timeoutMs: 300 }), 'down', 'timeout', /hangs/)
    assertResult(await run(rabbitmq, management, { timeoutMs: 300 }), 'down', 'timeout')
    peer.wake()
  })
  await t.test('is down when it is stopped', async () => {
    await peer.stop()
    assertResult(await run(rabbitmq, amqp), 'down', 'connection_refused')
  })
})
