import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { Aedes } from 'aedes'

/** An MQTT broker in this process, in the clear, for whoever has none. It speaks 3.1.1, and keeps what is retained in memory. */
export type EmbeddedBroker = {
  /** `mqtt://127.0.0.1:PORT` */
  url: string
  aedes: Aedes
  /** Cuts every connection without a word. */
  cut(): void
  close(): Promise<void>
}

/** Starts a broker on a port of loopback, any free one when left out. */
export async function startEmbeddedBroker({ port = 0 } = {}): Promise<EmbeddedBroker> {
  const aedes = await Aedes.createBroker({ concurrency: 1000 })
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket)).on('error', () => {})
    aedes.handle(socket)
  })
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  const cut = () => {
    for (const socket of sockets) socket.destroy()
  }
  return {
    url: `mqtt://127.0.0.1:${(server.address() as AddressInfo).port}`,
    aedes,
    cut,
    async close() {
      cut()
      await new Promise<void>((resolve) => aedes.close(() => server.close(() => resolve())))
    },
  }
}
