import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'
import type { TestContext } from 'node:test'
import { generate, type IConnectPacket, type Packet, parser } from 'mqtt-packet'
import { freePort } from '../../cluster/index.ts'

/** A packet that went through, and the TCP connection on which it did, counted from 0. */
export type Relayed = { from: 'client' | 'server'; connection: number; packet: Packet }

/** What stands between a client and its server. It hears every packet, and does with the connections as it is told. */
export type Relay = {
  /** `mqtt://127.0.0.1:PORT` */
  url: string
  /** In the order in which they came. What was held is here once it is released. */
  packets: Relayed[]
  /** The CONNECT packets among them. */
  connects(): IConnectPacket[]
  /** How many TCP connections were accepted. */
  accepted(): number
  /** Refuses TCP connections from now on, and cuts those there are. */
  refuse(): Promise<void>
  /** Accepts them again, at the same port. */
  accept(): Promise<void>
  /** Keeps what the server sends, from now on. */
  hold(): void
  /** Hands all that was kept to the client, in one write, and keeps nothing more. */
  release(): void
  /** Ends every connection: with FIN, as a server does that closes one, or with RST. */
  cut(how?: 'fin' | 'reset'): void
  /** Sends the client of each connection a packet of the relay's own. */
  inject(packet: Packet): void
  /** Resolves when the condition holds, looked at after each packet and connection. */
  until(is: () => boolean, what?: string): Promise<void>
}

/**
 * What goes on instead of a packet: the packet itself, another one, or none (undefined). Without this function the bytes go on as they
 * came.
 */
export type Rewrite = (relayed: Relayed) => Packet | undefined

/** Starts a relay to an MQTT server in the clear, 3.1.1 or 5, on a free loopback port; it is closed with the test. */
export async function startRelay(t: TestContext, serverUrl: string, { rewrite }: { rewrite?: Rewrite } = {}): Promise<Relay> {
  const { hostname, port } = new URL(serverUrl)
  const packets: Relayed[] = []
  const lines = new Set<Line>()
  const watchers = new Set<() => void>()
  const look = () => {
    for (const watcher of watchers) watcher()
  }
  let accepted = 0
  let isHolding = false

  function serve(client: Socket): void {
    const server = connect(Number(port), hostname)
    const line: Line = { client, server, version: 4, held: [] }
    const connection = accepted++
    lines.add(line)
    const hear = (relayed: Relayed) => {
      packets.push(relayed)
      if (relayed.packet.cmd === 'connect') line.version = relayed.packet.protocolVersion ?? 4
      look()
    }
    const toServer = passing(
      () => line.version,
      rewrite,
      (packet) => ({ from: 'client', connection, packet }),
      hear,
    )
    const toClient = passing(
      () => line.version,
      rewrite,
      (packet) => ({ from: 'server', connection, packet }),
      hear,
    )
    client.on('data', (chunk) => server.write(toServer(chunk)))
    server.on('data', (chunk) => {
      if (isHolding) line.held.push(chunk)
      else client.write(toClient(chunk))
    })
    line.release = () => {
      const bytes = toClient(Buffer.concat(line.held.splice(0)))
      if (bytes.length > 0) client.write(bytes)
    }
    client.on('end', () => server.end())
    server.on('end', () => client.end())
    client.on('error', () => server.destroy()).on('close', () => server.destroy())
    server.on('error', () => client.destroy()).on('close', () => client.end())
    client.on('close', () => lines.delete(line) && look())
    look()
  }

  // Not one that the kernel gives to whoever asks: while connections are refused, somebody else would get it.
  const ownPort = await freePort()
  let listener = await listen(serve, ownPort)
  const relay: Relay = {
    url: `mqtt://127.0.0.1:${ownPort}`,
    packets,
    connects: () => packets.flatMap(({ packet }) => (packet.cmd === 'connect' ? [packet] : [])),
    accepted: () => accepted,
    async refuse() {
      const closed = new Promise((resolve) => listener.close(resolve))
      relay.cut('reset')
      await closed
    },
    async accept() {
      listener = await listen(serve, ownPort)
    },
    hold() {
      isHolding = true
    },
    release() {
      isHolding = false
      for (const line of lines) line.release?.()
    },
    cut(how = 'fin') {
      for (const { client, server } of lines) {
        server.destroy()
        if (how === 'fin') client.end()
        else client.resetAndDestroy()
      }
    },
    inject(packet) {
      for (const { client, version } of lines) client.write(generate(packet, { protocolVersion: version }))
    },
    until: (is, what = 'what was waited for') => waitUntil(watchers, is, what),
  }
  t.after(async () => {
    if (listener.listening) await relay.refuse()
  })
  return relay
}

type Line = { client: Socket; server: Socket; version: number; held: Buffer[]; release?: () => void }

async function listen(serve: (socket: Socket) => void, port: number): Promise<Server> {
  const listener = createServer({ allowHalfOpen: true }, serve)
  listener.listen(port, '127.0.0.1')
  await once(listener, 'listening')
  return listener
}

/** Reads the packets of one direction out of its bytes. Returns the bytes that go on. */
function passing(
  version: () => number,
  rewrite: Rewrite | undefined,
  relayed: (packet: Packet) => Relayed,
  hear: (relayed: Relayed) => void,
): (chunk: Buffer) => Buffer {
  let reader: ReturnType<typeof parser> | undefined
  let instead: Buffer[] = []
  return (chunk) => {
    // Made with the first bytes: those of a server come after the CONNECT that says the version.
    reader ??= parser({
      get protocolVersion() {
        return version()
      },
    }).on('packet', (packet: Packet) => {
      const heard = relayed(packet)
      hear(heard)
      const next = rewrite?.(heard)
      if (next !== undefined) instead.push(generate(next, { protocolVersion: version() }))
    })
    reader.parse(chunk)
    if (rewrite === undefined) return chunk
    const bytes = Buffer.concat(instead)
    instead = []
    return bytes
  }
}

function waitUntil(watchers: Set<() => void>, is: () => boolean, what: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = (act: () => void) => {
      clearTimeout(timer)
      clearInterval(polling)
      watchers.delete(watcher)
      act()
    }
    const watcher = () => {
      if (is()) end(resolve)
    }
    const timer = setTimeout(() => end(() => reject(new Error(`${what} did not happen`))), 30_000)
    // Not all that is waited for makes a packet.
    const polling = setInterval(watcher, 10)
    watchers.add(watcher)
    watcher()
  })
}
