import type { TestContext } from 'node:test'
import type { IConnackPacket, IDisconnectPacket, IPublishPacket } from 'mqtt-packet'
import type { Heard } from './broker.ts'
import { decode } from './schema.ts'
import { type Answer, accepting, startWireServer } from './wire-server.ts'

/** How a server answers. */
export type Script = {
  /** Of the CONNACK, over MQTT 5. */
  properties?: IConnackPacket['properties']
  refuse?: { code: number; properties?: IConnackPacket['properties'] }
  /** It closes the connection upon a larger PUBLISH. It need not say so in its CONNACK. */
  maxPacketBytes?: number
  /** It sends DISCONNECT 0x95 before that. */
  tells?: boolean
  /** Called with each PUBLISH; true closes the connection. */
  closesAt?: (heard: Heard) => boolean
}

/** A server that follows a script, and writes down what it hears. */
export type ScriptedServer = {
  url: string
  /** What was published, also if the connection was closed because of it. */
  messages: Heard[]
  /** Sizes of these packets, in bytes and with their headers. */
  sizes: number[]
  connects: number
  /** Moments of the PINGREQs, by `performance.now()`. */
  pings: number[]
  /** Packets because of which a connection was closed. */
  tooLarge: number
  until(is: () => boolean, what: string): Promise<void>
  /** Cuts every connection without a word. */
  cut(): void
}

/** Starts it on a free loopback port; it is closed with the test. */
export async function startScriptedServer(t: TestContext, script: Script = {}): Promise<ScriptedServer> {
  const closed = new WeakSet()
  const answer: Answer = (packet, client) => {
    // What comes behind the reason to close is not read.
    if (closed.has(client)) return true
    if (packet.cmd === 'connect') return connected(client)
    if (packet.cmd === 'pingreq') server.pings.push(performance.now())
    if (packet.cmd !== 'publish') return false
    const isTooLarge = publishedBytes(packet) > (script.maxPacketBytes ?? Number.POSITIVE_INFINITY)
    const heard = heardOf(packet)
    server.messages.push(heard)
    server.sizes.push(publishedBytes(packet))
    if (isTooLarge) server.tooLarge++
    if (isTooLarge && script.tells) client.send({ cmd: 'disconnect', reasonCode: 0x95 } as IDisconnectPacket)
    if (!isTooLarge && !script.closesAt?.(heard)) return false
    closed.add(client)
    client.socket.destroySoon()
    return true
  }
  const connected = (client: Parameters<Answer>[1]): boolean => {
    server.connects++
    const { refuse } = script
    if (refuse === undefined) client.send(accepting(client.version, script.properties))
    else {
      const code = client.version === 5 ? { reasonCode: refuse.code, properties: refuse.properties } : { returnCode: refuse.code }
      client.send({ cmd: 'connack', sessionPresent: false, ...code } as IConnackPacket)
      client.socket.end()
    }
    return true
  }
  const { url, clients } = await startWireServer(t, answer)
  const server: ScriptedServer = {
    ...{ url, messages: [], sizes: [], connects: 0, pings: [], tooLarge: 0 },
    async until(is, what) {
      for (const end = performance.now() + 20_000; !is(); await new Promise((resolve) => setTimeout(resolve, 5)))
        if (performance.now() > end)
          throw new Error(`${what} did not happen; heard ${server.messages.slice(-20).map(({ topic }) => topic)}`)
    },
    cut() {
      for (const { socket } of clients) socket.destroy()
    },
  }
  return server
}

function publishedBytes({ length = 0 }: IPublishPacket): number {
  return 1 + (length < 128 ? 1 : length < 16_384 ? 2 : length < 2_097_152 ? 3 : 4) + length
}

function heardOf({ topic, qos, retain, payload }: IPublishPacket): Heard {
  const [, , verb = '', , device] = topic.split('/')
  const raw = Buffer.from(payload as Buffer)
  return { topic, verb, device, qos, retain, client: undefined, raw, payload: decode(raw) }
}
