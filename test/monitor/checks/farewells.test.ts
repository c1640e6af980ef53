import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Packet } from 'mqtt-packet'
import { mqtt } from '../../../monitor/checks/mqtt.ts'
import { postgresql } from '../../../monitor/checks/postgresql.ts'
import { systemClock } from '../../../shared/clock.ts'
import { startWireServer, type WireServer } from '../sparkplug/wire-server.ts'
import { assertResult, endByTime, run } from './run.ts'
import { listen } from './servers.ts'

/** The commands that came, once the connection has ended. */
async function commands({ packets, clients }: WireServer): Promise<string[]> {
  const limit = AbortSignal.timeout(10_000)
  while (clients.size > 0) await systemClock.sleep(5, limit)
  return packets.map(({ packet }) => packet.cmd)
}

for (const protocolVersion of [4, 5] as const) {
  const on = `mqtt check, protocol level ${protocolVersion},`
  const refuses = (packet: Packet) => packet.cmd === 'subscribe'

  test(`${on} takes its leave with DISCONNECT`, async (t) => {
    const server = await startWireServer(t)
    assertResult(await run(mqtt, { url: server.url, protocolVersion }), 'up')
    assert.deepEqual(await commands(server), ['connect', 'disconnect'])
  })

  test(`${on} takes its leave with DISCONNECT after a message that came back`, async (t) => {
    const server = await startWireServer(t, (packet, client) => {
      if (packet.cmd === 'publish') client.send({ ...packet, qos: 0 })
      return false
    })
    assertResult(await run(mqtt, { url: server.url, protocolVersion, topic: 'skerry/check' }), 'up')
    assert.deepEqual(await commands(server), ['connect', 'subscribe', 'publish', 'disconnect'])
  })

  test(`${on} takes its leave with DISCONNECT when it fails`, async (t) => {
    const server = await startWireServer(t, (packet, client) => {
      if (!refuses(packet)) return false
      client.send({ cmd: 'suback', messageId: packet.messageId as number, granted: [0x80] })
      return true
    })
    assertResult(await run(mqtt, { url: server.url, protocolVersion, topic: 'skerry/check' }), 'down', 'unauthorized')
    assert.deepEqual(await commands(server), ['connect', 'subscribe', 'disconnect'])
  })

  test(`${on} takes its leave with DISCONNECT when its time is up, though a message is under way`, async (t) => {
    const check = new AbortController()
    const server = await startWireServer(t, ({ cmd }) => {
      if (cmd === 'publish') endByTime(check)
      return cmd === 'publish'
    })
    const given = { url: server.url, protocolVersion, topic: 'skerry/check' } as const
    assertResult(await run(mqtt, given, { signal: check.signal }), 'down', 'timeout')
    assert.deepEqual(await commands(server), ['connect', 'subscribe', 'publish', 'disconnect'])
  })

  test(`${on} sends no DISCONNECT to a broker that has not accepted it`, async (t) => {
    const check = new AbortController()
    const server = await startWireServer(t, ({ cmd }) => {
      if (cmd === 'connect') endByTime(check)
      return cmd === 'connect'
    })
    assertResult(await run(mqtt, { url: server.url, protocolVersion }, { signal: check.signal }), 'down', 'timeout')
    assert.deepEqual(await commands(server), ['connect'])
  })
}

const message = (type: string, body: string) => {
  const bytes = Buffer.from(`${type}\0\0\0\0${body}`, 'latin1')
  bytes.writeUInt32BE(bytes.length - 1, 1)
  return bytes
}

test('postgresql check says Terminate, when it fails too', async (t) => {
  const heard: Buffer[] = []
  const closed = Promise.withResolvers<void>()
  const port = await listen(t, (socket) => {
    socket.once('close', () => closed.resolve())
    socket.on('data', (chunk: Buffer) => {
      if (heard.push(chunk) === 1) socket.write(Buffer.concat([message('R', '\0\0\0\0'), message('Z', 'I')]))
      const error = ['SERROR', 'VERROR', 'C42501', 'Mpermission denied', ''].map((field) => `${field}\0`).join('')
      if (chunk[0] === 'Q'.charCodeAt(0)) socket.write(Buffer.concat([message('E', error), message('Z', 'I')]))
    })
  })
  assert.equal((await run(postgresql, { host: '127.0.0.1', port, username: 'monitor', tls: false })).state, 'down')
  await closed.promise
  assert.deepEqual(heard.at(-1), message('X', ''))
})
