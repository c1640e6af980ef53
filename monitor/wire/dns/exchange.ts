import { createSocket } from 'node:dgram'
import type { Socket } from 'node:net'
import { CheckFailure } from '../reasons.ts'
import { openSocket, readSocket } from '../socket.ts'
import { answerOf, type DnsAnswer } from './message.ts'

/** Without EDNS, a datagram has at most 512 bytes (RFC 1035, section 4.2.1). More is cut off, as in miekg/dns. */
const maxDatagram = 512

/** Where to send a query, and what to do on the way. */
export type DnsExchange = {
  /** The name server's IP address. */
  address: string
  port: number
  /** The IP address to send from; by default the system's choice. */
  localAddress?: string | undefined
  /** Starts TLS on the connection; over TCP only. */
  secure?: ((tcp: Socket) => Promise<Socket>) | undefined
  /** Called when the connection is ready for the query. */
  onConnected?: () => void
  signal: AbortSignal
}

/**
 * Sends a query over UDP and decodes the answer. The connected socket receives datagrams from this address and port only; those with another
 * id, and the query itself when it comes back, are ignored.
 * @throws CheckFailure `protocol`; the socket's error; the signal's reason
 */
export function askUdp(query: Buffer, { address, port, localAddress, onConnected, signal }: DnsExchange): Promise<DnsAnswer> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason)
    const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4')
    const finish = (settle: () => void) => {
      signal.removeEventListener('abort', onAbort)
      socket.removeAllListeners().on('error', () => {})
      socket.close()
      settle()
    }
    const onAbort = () => finish(() => reject(signal.reason))
    signal.addEventListener('abort', onAbort, { once: true })
    socket.on('error', (error) => finish(() => reject(error)))
    socket.on('message', (message) => {
      if (!isAnswerTo(query, message)) return
      finish(() => {
        try {
          resolve(answerOf(message.subarray(0, maxDatagram)))
        } catch (error) {
          reject(error)
        }
      })
    })
    const connect = () =>
      socket.connect(port, address, () => {
        onConnected?.()
        socket.send(query)
      })
    if (localAddress === undefined) connect()
    else socket.bind({ address: localAddress }, connect)
  })
}

/**
 * Sends a query over TCP or TLS and decodes the answer. Each message has its length before it (RFC 1035, section 4.2.2).
 * @throws CheckFailure `protocol`, `connection_lost` or `tls`; the socket's error; the signal's reason
 */
export async function askTcp(query: Buffer, exchange: DnsExchange): Promise<DnsAnswer> {
  const { address, port, localAddress, secure, onConnected, signal } = exchange
  const tcp = await openSocket({ host: address, port }, signal, localAddress === undefined ? {} : { localAddress })
  try {
    const socket = secure === undefined ? tcp : await secure(tcp)
    onConnected?.()
    const length = Buffer.alloc(2)
    length.writeUInt16BE(query.length)
    socket.write(Buffer.concat([length, query]))
    const read = await readSocket(socket, {
      maxBytes: 65_537,
      enough: (bytes) => bytes.length >= 2 && bytes.length >= 2 + bytes.readUInt16BE(0),
    })
    const message = read.subarray(2, 2 + read.readUInt16BE(0))
    if (!isAnswerTo(query, message)) throw new CheckFailure('protocol', 'The answer does not belong to the query.')
    return answerOf(message)
  } finally {
    tcp.on('error', () => {}).destroy()
  }
}

function isAnswerTo(query: Buffer, message: Buffer): boolean {
  return message.length >= 12 && message.readUInt16BE(0) === query.readUInt16BE(0) && ((message[2] ?? 0) & 0x80) !== 0
}
