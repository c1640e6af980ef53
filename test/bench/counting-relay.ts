import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import type { TestContext } from 'node:test'

/** What went over a connection so far, in both directions: bytes of TCP's payload, and packets of MQTT. */
export type Traffic = { bytes: number; packets: number; pings: number }

/** Relays TCP connections to a port of this machine, and counts what passes. It ends with the test. */
export async function startCountingRelay(t: TestContext, port: number) {
  const connections: Traffic[] = []
  const sockets = new Set<Socket>()
  const server = createServer((near) => {
    const total: Traffic = { bytes: 0, packets: 0, pings: 0 }
    connections.push(total)
    const far = connect(port, '127.0.0.1')
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from)
      const count = packetCounter(total)
      from.setNoDelay(true)
      from.on('data', (chunk) => {
        count(chunk)
        to.write(chunk)
      })
      from.on('error', () => {})
      from.on('close', () => {
        sockets.delete(from)
        to.destroy()
      })
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return {
    port: (server.address() as AddressInfo).port,
    /** How many there were. */
    connections: (): number => connections.length,
    /** Of all connections. */
    bytes: (): number => connections.reduce((sum, { bytes }) => sum + bytes, 0),
    /** The connection over which most has gone: that of the edge node, where checks of the broker have connections too. */
    busiest: (): Traffic => ({ ...connections.toSorted((a, b) => b.bytes - a.bytes)[0] }) as Traffic,
  }
}

/** Counts the packets of one direction by their fixed headers: a type, and the length of the rest in base 128 [MQTT-2.2.3]. */
function packetCounter(total: Traffic): (chunk: Buffer) => void {
  let rest = 0
  let header: number[] = []
  return (chunk) => {
    total.bytes += chunk.length
    for (let at = 0; at < chunk.length; ) {
      if (rest > 0) {
        const skipped = Math.min(rest, chunk.length - at)
        rest -= skipped
        at += skipped
        continue
      }
      header.push(chunk[at++] as number)
      if (header.length === 1 || (header.at(-1) as number) >= 0x80) continue
      rest = header.slice(1).reduce((sum, byte, index) => sum + (byte & 0x7f) * 128 ** index, 0)
      total.packets++
      if ((header[0] as number) >> 4 === 12) total.pings++
      header = []
    }
  }
}
