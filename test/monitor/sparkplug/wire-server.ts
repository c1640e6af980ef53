import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import type { TestContext } from 'node:test'
import { generate, type IConnackPacket, type Packet, parser } from 'mqtt-packet'

/** One client of the server, and a hand on its wire. */
export type WireClient = { socket: Socket; version: number; send(...packets: Packet[]): void }

/** A server without subscriptions or memory: it answers packets. Unlike the broker of this process it speaks MQTT 5 too. */
export type WireServer = {
  /** `mqtt://127.0.0.1:PORT` */
  url: string
  /** Every packet that came, in order, and its client. */
  packets: { client: WireClient; packet: Packet }[]
  /** The clients that are connected now. */
  clients: Set<WireClient>
}

/** What the server does instead of its usual answer: true means that it is done. */
export type Answer = (packet: Packet, client: WireClient) => boolean

/**
 * Starts a server that accepts each session, grants each subscription, and answers pings and QoS 1 messages. Several packets that are
 * sent together go out in one write.
 */
export async function startWireServer(t: TestContext, answer: Answer = () => false): Promise<WireServer> {
  const packets: WireServer['packets'] = []
  const clients = new Set<WireClient>()
  const listener = createServer((socket) => {
    const client: WireClient = {
      socket,
      version: 4,
      send: (...given) => void socket.write(Buffer.concat(given.map((packet) => generate(packet, { protocolVersion: client.version })))),
    }
    clients.add(client)
    const reader = parser({
      get protocolVersion() {
        return client.version
      },
    }).on('packet', (packet: Packet) => {
      if (packet.cmd === 'connect') client.version = packet.protocolVersion ?? 4
      packets.push({ client, packet })
      const usual = answer(packet, client) ? undefined : usualAnswer(packet, client.version)
      if (usual !== undefined) client.send(usual)
      if (packet.cmd === 'disconnect') socket.end()
    })
    socket
      .on('data', (chunk) => void reader.parse(chunk))
      .on('error', () => {})
      .on('close', () => clients.delete(client))
  })
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  t.after(() => {
    for (const { socket } of clients) socket.destroy()
    listener.close()
  })
  return { url: `mqtt://127.0.0.1:${(listener.address() as AddressInfo).port}`, packets, clients }
}

/** A CONNACK that accepts, with properties on MQTT 5. */
export function accepting(version: number, properties?: IConnackPacket['properties']): IConnackPacket {
  const code = version === 5 ? { reasonCode: 0, ...(properties && { properties }) } : { returnCode: 0 }
  return { cmd: 'connack', sessionPresent: false, ...code }
}

function usualAnswer(packet: Packet, version: number): Packet | undefined {
  if (packet.cmd === 'connect') return accepting(version)
  if (packet.cmd === 'pingreq') return { cmd: 'pingresp' }
  if (packet.cmd === 'subscribe')
    return { cmd: 'suback', messageId: packet.messageId as number, granted: packet.subscriptions.map(({ qos }) => qos) }
  if (packet.cmd === 'publish' && packet.qos === 1)
    return { cmd: 'puback', messageId: packet.messageId as number, ...(version === 5 ? { reasonCode: 0 } : {}) }
  return undefined
}
