import type { Duplex } from 'node:stream'
import type { TestContext } from 'node:test'
import type { AedesPublishPacket, Client } from 'aedes'
import { startEmbeddedBroker } from '../../peers/embedded-broker.ts'
import { type DecodedPayload, decode } from './schema.ts'

/** One message as it came to the broker, or as the broker sent it for somebody who vanished. */
export type Heard = {
  topic: string
  verb: string
  device: string | undefined
  qos: number
  retain: boolean
  client: string | undefined
  raw: Buffer
  payload: DecodedPayload
}

/** What a CONNECT said. */
export type HeardConnect = {
  clientId: string
  clean: boolean
  version: number
  keepalive: number
  will: { topic: string; payload: Buffer; qos: number; retain: boolean } | undefined
}

/** An MQTT broker in this process, which writes down everything it hears. */
export type TestBroker = {
  url: string
  messages: Heard[]
  connects: HeardConnect[]
  subscriptions: { topic: string; qos: number; at: number }[]
  /** Resolves with the first message, heard already or yet to come, that is as asked for, from place `from` of `messages` on. */
  heard(is: (message: Heard) => boolean, from?: number): Promise<Heard>
  /** Resolves when the condition holds, looked at after each message and now and then. */
  until(is: () => boolean, what?: string): Promise<void>
  publish(topic: string, payload: Buffer | string, options?: { qos?: 0 | 1; retain?: boolean }): Promise<void>
  clients(): Client[]
  /** Serves one more connection, over whatever stream it comes. */
  handle(stream: Duplex): void
  /** Hears of every packet that a client publishes. */
  onPacket(listener: (packet: AedesPublishPacket) => void): void
  /** Cuts every connection without a word. */
  cut(): void
  close(): Promise<void>
}

/** Starts a broker on a free loopback port; it is closed with the test. */
export async function startBroker(t: TestContext): Promise<TestBroker> {
  const { aedes, url, cut, close } = await startEmbeddedBroker()
  const messages: Heard[] = []
  const connects: HeardConnect[] = []
  const subscriptions: TestBroker['subscriptions'] = []
  const watchers = new Set<() => void>()
  const look = () => {
    for (const watcher of watchers) watcher()
  }
  aedes.on('publish', (packet: AedesPublishPacket, client: Client | null) => {
    if (/^spBv1\.0\/[^/]+\/[ND](BIRTH|DATA|DEATH)\//.test(packet.topic)) messages.push(heardOf(packet, client))
    look()
  })
  aedes.on('client', look).on('clientDisconnect', look)
  aedes.preConnect = (_client, packet, done) => {
    const { clientId, clean = false, protocolVersion = 0, keepalive = 0, will } = packet
    connects.push({
      clientId,
      clean,
      version: protocolVersion,
      keepalive,
      will: will && { topic: will.topic, payload: Buffer.from(will.payload as Buffer), qos: will.qos ?? 0, retain: will.retain ?? false },
    })
    done(null, true)
  }
  aedes.on('subscribe', (topics) => {
    for (const { topic, qos } of topics) subscriptions.push({ topic, qos, at: messages.length })
    look()
  })
  const until = (is: () => boolean, what = 'what was waited for'): Promise<void> =>
    new Promise((resolve, reject) => {
      const watcher = () => {
        if (!is()) return
        clearTimeout(timer)
        clearInterval(polling)
        watchers.delete(watcher)
        resolve()
      }
      const timer = setTimeout(() => {
        watchers.delete(watcher)
        clearInterval(polling)
        reject(
          new Error(
            `${what} did not happen; heard ${messages
              .map(({ topic }) => topic)
              .slice(-20)
              .join(' ')}`,
          ),
        )
      }, 30_000)
      // The broker does not see all that is waited for, such as the answer to a ping arriving.
      const polling = setInterval(watcher, 10)
      watchers.add(watcher)
      watcher()
    })
  const broker: TestBroker = {
    url,
    messages,
    connects,
    subscriptions,
    until,
    async heard(is, from = 0) {
      await until(() => messages.slice(from).some(is), is.toString())
      return messages.slice(from).find(is) as Heard
    },
    publish: (topic, payload, { qos = 0, retain = false } = {}) =>
      new Promise((resolve, reject) =>
        aedes.publish({ cmd: 'publish', dup: false, topic, payload, qos, retain }, (error) => (error ? reject(error) : resolve())),
      ),
    clients: () => Object.values((aedes as unknown as { clients: Record<string, Client> }).clients),
    handle: (stream) => void aedes.handle(stream),
    onPacket(listener) {
      aedes.on('publish', (packet, client) => client && listener(packet))
    },
    cut,
    close,
  }
  t.after(() => broker.close())
  return broker
}

function heardOf({ topic, payload, qos, retain }: AedesPublishPacket, client: Client | null): Heard {
  const [, , verb = '', , device] = topic.split('/')
  const raw = Buffer.from(payload as Buffer)
  return { topic, verb, device, qos, retain, client: client?.id, raw, payload: decode(raw) }
}
