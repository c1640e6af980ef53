import assert from 'node:assert/strict'
import { test } from 'node:test'
import { mqtt } from '../../../monitor/checks/mqtt.ts'
import { createCertificate } from '../../peers/certificates.ts'
import { startMosquitto } from '../../peers/mosquitto.ts'
import { assertResult, measured, run, secret } from './run.ts'

for (const protocolVersion of [4, 5] as const)
  test(`mqtt check of a real mosquitto, protocol level ${protocolVersion}`, async (t) => {
    const peer = await startMosquitto(t, { users: [{ name: 'monitor', password: 'anchor', topics: ['skerry/check'] }] })
    const given = { url: `mqtt://127.0.0.1:${peer.port}`, protocolVersion, username: 'monitor', passwordFile: secret('anchor') }

    await t.test('is up when a session is accepted', async () => {
      assertResult(await run(mqtt, given), 'up')
    })
    await t.test('measures the round trip of a message', async () => {
      const result = await run(mqtt, { ...given, topic: 'skerry/check' })
      assertResult(result, 'up', undefined, /round trip/)
      assert.ok((measured(result, 'skerry_mqtt_round_trip_seconds') as number) > 0)
    })
    await t.test('is down with a wrong password, and does not tell it', async () => {
      const result = await run(mqtt, { ...given, passwordFile: secret('driftwood') })
      assertResult(result, 'down', 'unauthorized', /user name and password/)
      assert.doesNotMatch(result.detail, /driftwood/)
    })
    await t.test('is down when the user may not use the topic', async () => {
      const result = await run(mqtt, { ...given, topic: 'crane/7' }, { timeoutMs: protocolVersion === 5 ? 10_000 : 1000 })
      // With MQTT 3.1.1 mosquitto grants the subscription and drops the message without a word.
      assertResult(result, 'down', protocolVersion === 5 ? 'unauthorized' : 'timeout')
    })
    await t.test('is down when the broker hangs', async () => {
      await peer.hang()
      assertResult(await run(mqtt, given, { timeoutMs: 300 }), 'down', 'timeout', /hangs/)
      peer.wake()
    })
    await t.test('is down when the broker is stopped', async () => {
      await peer.stop()
      assertResult(await run(mqtt, given), 'down', 'connection_refused')
    })
  })

test('mqtt check of a real mosquitto over TLS', async (t) => {
  const tls = await createCertificate()
  const peer = await startMosquitto(t, { tls })
  const url = `mqtts://localhost:${peer.port}`

  await t.test('is up when the authority is known', async () => {
    assertResult(await run(mqtt, { url, caFile: secret(tls.ca) }), 'up')
  })
  await t.test('is down when it is not', async () => {
    assertResult(await run(mqtt, { url }), 'down', 'tls')
  })
  await t.test('is down in the clear', async () => {
    assertResult(await run(mqtt, { url: `mqtt://localhost:${peer.port}` }), 'down', 'connection_lost')
  })
})
