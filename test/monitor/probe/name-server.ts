import { createSocket, type Socket as UdpSocket } from 'node:dgram'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import type { TestContext } from 'node:test'
import { createServer as createTlsServer } from 'node:tls'

/** What a name server of a test sends for a query; undefined for nothing. */
export type AnswerTo = (query: Buffer, over: 'udp' | 'tcp') => Buffer | undefined

/** A name server on loopback for one test, over UDP and TCP at the same port. Returns the port. */
export async function startNameServer(t: TestContext, answerTo: AnswerTo): Promise<number> {
  for (;;) {
    const port = await opened(
      t,
      createServer((socket) => answerOver(socket, answerTo)),
    )
    const udp = createSocket('udp4')
    udp.on('message', (query, { port: from, address }) => {
      const answer = answerTo(query, 'udp')
      if (answer !== undefined) udp.send(answer, from, address)
    })
    t.after(() => udp.close())
    // That a port is free for TCP says nothing of UDP, where somebody else may have it.
    if (await isBound(udp, port)) return port
  }
}

function isBound(udp: UdpSocket, port: number): Promise<boolean> {
  return new Promise((resolve) => udp.once('error', () => resolve(false)).bind(port, '127.0.0.1', () => resolve(true)))
}

/** The same over TLS alone. */
export async function startSecureNameServer(
  t: TestContext,
  answerTo: AnswerTo,
  { cert, key }: { cert: string; key: string },
): Promise<number> {
  return await opened(
    t,
    createTlsServer({ cert, key }, (socket) => answerOver(socket, answerTo)),
  )
}

function answerOver(socket: Socket, answerTo: AnswerTo): void {
  socket.on('error', () => {}) // the probe may hang up
  socket.once('data', (bytes) => {
    const answer = answerTo(bytes.subarray(2), 'tcp')
    if (answer !== undefined) socket.end(Buffer.concat([Buffer.from([answer.length >> 8, answer.length & 255]), answer]))
  })
}

async function opened(t: TestContext, server: ReturnType<typeof createServer>): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => void server.close())
  return (server.address() as AddressInfo).port
}
