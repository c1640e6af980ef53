import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { Packet } from 'mqtt-packet'
import { createItinerary } from '../../../monitor/sparkplug/itinerary.ts'
import type { SessionEnd } from '../../../monitor/sparkplug/session-context.ts'
import { systemClock } from '../../../shared/clock.ts'
import { createFakeClock } from '../../shared/fake-clock.ts'
import { nodeInHand } from './node-in-hand.ts'
import { startWireServer } from './wire-server.ts'

const { signal } = new AbortController()
const until = async (is: () => boolean) => {
  const limit = AbortSignal.timeout(10_000)
  while (!is()) await systemClock.sleep(5, limit)
}

/** An itinerary whose pauses are the whole of their windows, unless chance is another, and what it does with the ends of sessions. */
function planned(servers: number, chance = 1) {
  const clock = createFakeClock()
  const config = { reconnect: { baseMs: 10_000, capMs: 120_000 }, hostPauseMs: 5_000 }
  const itinerary = createItinerary(servers, config, { clock, random: () => chance })
  /** The pause, and the server after it. */
  const ended = async (end: Partial<SessionEnd> & Pick<SessionEnd, 'reason'>) => {
    await clock.advance(end.onlineMs ?? 0)
    const { pauseMs, otherClient } = itinerary.next({ detail: '', onlineMs: 0, isProven: false, endedBy: undefined, ...end })
    await clock.advance(pauseMs)
    return [pauseMs, itinerary.index(), ...(otherClient ? [otherClient] : [])]
  }
  return ended
}

test('while the primary host is away, each server is asked again within seconds, however often that was in vain', async () => {
  const ended = planned(2)
  for (let round = 0; round < 20; round++) {
    assert.deepEqual(await ended({ reason: 'host-offline' }), [5_000, 1])
    assert.deepEqual(await ended({ reason: 'host-silent' }), [5_000, 0])
  }
})

test('a server that does not answer is tried less and less, and does not delay the search on the others', async () => {
  const ended = planned(2)
  const tries: number[] = []
  let at = 0
  let index = 0
  while (at < 600_000) {
    if (index === 0) tries.push(at)
    const [pauseMs, next] = await ended({ reason: index === 0 ? 'refused' : 'host-offline' })
    assert.ok(Number(pauseMs) <= 10_000, `${pauseMs} ms at ${at}`)
    at += Number(pauseMs)
    index = Number(next)
  }
  const gaps = tries.slice(1).map((time, place) => time - (tries[place] as number))
  assert.deepEqual(gaps.slice(0, 6), [15_000, 20_000, 40_000, 80_000, 120_000, 120_000])
})

test('the first pause is anywhere in its window, later ones are in its second half', async () => {
  const ended = planned(1, 0)
  const pauses: unknown[] = []
  for (let round = 0; round < 6; round++) pauses.push((await ended({ reason: 'refused' }))[0])
  assert.deepEqual(pauses, [0, 10_000, 20_000, 40_000, 60_000, 60_000])
})

test('the window grows with sessions that end soon after their births, and one that lasts ends that', async () => {
  const ended = planned(1)
  const short = { reason: 'lost', isProven: true, onlineMs: 2_000 } as const
  const pauses: unknown[] = []
  for (let round = 0; round < 6; round++) pauses.push((await ended(short))[0])
  assert.deepEqual(pauses, [10_000, 20_000, 40_000, 80_000, 120_000, 120_000])
  assert.deepEqual(await ended({ ...short, onlineMs: 120_000 }), [10_000, 0])
  // A link that is lost now and then, which says nothing of the server.
  for (let round = 0; round < 6; round++) assert.deepEqual(await ended({ ...short, onlineMs: 15_000 }), [10_000, 0])
})

test('a server that closes three sessions soon after their births makes another client likely, and one that fails otherwise does not', async () => {
  const ended = planned(1)
  const closed = { reason: 'lost', isProven: true, onlineMs: 15_000, endedBy: 'closed' } as const
  assert.deepEqual(await ended(closed), [10_000, 0])
  assert.deepEqual(await ended(closed), [10_000, 0])
  assert.deepEqual(await ended(closed), [10_000, 0, 'perhaps'])
  assert.deepEqual(await ended(closed), [20_000, 0, 'perhaps'])
  assert.deepEqual(await ended({ ...closed, endedBy: undefined }), [40_000, 0])
  assert.deepEqual(await ended({ ...closed, endedBy: 'other-client' }), [80_000, 0, 'certain'])
})

test('nodes that lose a server come to the next one spread over the window', async () => {
  const ended = planned(3)
  assert.deepEqual(await ended({ reason: 'lost', isProven: true, onlineMs: 600_000 }), [10_000, 1])
  assert.deepEqual(await ended({ reason: 'next-server', onlineMs: 1_000 }), [10_000, 2])
})

/** A server where the primary host is online or not, and which lets a second client of one id take over the session of the first. */
async function startServer(t: TestContext, host: { isOnline: boolean }) {
  const ids = new Map<unknown, string>()
  const server = await startWireServer(t, (packet, client) => {
    if (packet.cmd === 'connect') {
      for (const other of server.clients) {
        if (other === client || ids.get(other) !== packet.clientId) continue
        if (other.version === 5) other.send({ cmd: 'disconnect', reasonCode: 0x8e })
        other.socket.end()
        ids.delete(other)
      }
      ids.set(client, packet.clientId)
    }
    if (packet.cmd !== 'subscribe') return false
    const payload = JSON.stringify({ online: host.isOnline, timestamp: Date.now() })
    const suback: Packet = { cmd: 'suback', messageId: packet.messageId as number, granted: packet.subscriptions.map(() => 1) }
    client.send(suback, { cmd: 'publish', topic: 'spBv1.0/STATE/scada', payload, qos: 0, dup: false, retain: true })
    return true
  })
  return server
}

for (const protocolVersion of [4, 5] as const) {
  const on = `on MQTT ${protocolVersion === 5 ? '5' : '3.1.1'}`

  test(`${on}, a host that was away from both servers for long leads to births as soon as it is back`, async (t) => {
    const host = { isOnline: false }
    const servers = [await startServer(t, host), await startServer(t, host)]
    const connects = () => servers.map(({ packets }) => packets.filter(({ packet }) => packet.cmd === 'connect').length)
    const { node } = nodeInHand(
      t,
      servers.map(({ url }) => url),
      {
        protocolVersion,
        primaryHost: { id: 'scada', giveUpMs: 5_000 },
        hostPauseMs: 10,
        reconnect: { baseMs: 600_000, capMs: 600_000 },
      },
    )
    await node.start(signal)
    await until(() => connects().every((count) => count >= 5))
    host.isOnline = true
    await until(() => node.observe().isOnline)
  })

  test(`${on}, two monitors of one name take each other's session over at longer and longer intervals, and each says why`, async (t) => {
    const server = await startServer(t, { isOnline: true })
    const times: number[] = []
    const both = [0.98, 0.99].map((part) =>
      nodeInHand(t, [server.url], { protocolVersion, proofMs: 1, reconnect: { baseMs: 20, capMs: 150 } }, { random: () => part }),
    )
    for (const { node } of both) await node.start(signal)
    const said = protocolVersion === 5 ? /^another client uses this client id/ : /perhaps another client uses this client id/
    const linesOf = (lines: Record<string, unknown>[]) => lines.filter(({ msg }) => said.test(String(msg)))
    let seen = 0
    await until(() => {
      const count = server.packets.filter(({ packet }) => packet.cmd === 'connect').length
      for (; seen < count; seen++) times.push(performance.now())
      // Three CONNECTs within one window of the first pause would go on for ever: the windows grow beyond it.
      const isSlower = count >= 8 && (times.at(-1) as number) - (times.at(-3) as number) > 100
      return isSlower && both.every(({ lines }) => linesOf(lines).length > 0)
    })
    for (const { lines } of both) assert.equal(linesOf(lines)[0]?.clientId, 'skerry-shore-skerry')
  })
}
