import type { X509Certificate } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import type { Clock } from './clock.ts'
import { addressOf } from './connections.ts'

type Connection = { socket: TLSSocket; responses: Set<ServerResponse>; ending: AbortController }

/** How long a request may go on after the trust in its client's certificate has changed, in milliseconds. */
const leaveMs = 30_000

/**
 * The connections of clients with a certificate. OpenSSL verifies a certificate in the handshake alone. When the CAs or the revocation lists
 * change, or a list expires, these connections end, and each client meets the new ones in its next handshake: idle connections at once, the
 * others with their present response, at the latest after half a minute.
 *
 * A handshake goes by the CAs and lists of its beginning. One that ends after a change is of no use either.
 */
export class Trust {
  readonly #open = new Map<Socket, Connection>()
  /** By address, the connections since the last change: TLS has a socket of its own over the one that was accepted. */
  #recent = new Map<string, Socket>()

  /** Before the handshake. */
  accepted(socket: Socket): void {
    const [address, recent] = [addressOf(socket), this.#recent]
    recent.set(address, socket)
    socket.once('close', () => {
      if (recent.get(address) === socket) recent.delete(address)
    })
  }

  /** After the handshake. */
  opened(socket: TLSSocket): void {
    if (socket.getPeerX509Certificate() === undefined) return
    if (!this.#recent.has(addressOf(socket))) return void socket.destroy()
    this.#open.set(socket, { socket, responses: new Set(), ending: new AbortController() })
    socket.once('close', () => this.#open.delete(socket))
  }

  requested(socket: Socket, outgoing: ServerResponse): void {
    const connection = this.#open.get(socket)
    if (connection === undefined) return
    connection.responses.add(outgoing)
    outgoing.once('close', () => {
      connection.responses.delete(outgoing)
      if (connection.ending.signal.aborted && connection.responses.size === 0) socket.destroy()
    })
  }

  /** The client's certificate, if the handshake verified it, and the CAs and lists have not changed since. */
  certificateOf(socket: Socket): X509Certificate | undefined {
    if (!(socket instanceof TLSSocket) || !socket.authorized) return undefined
    return this.#open.get(socket)?.ending.signal.aborted === false ? socket.getPeerX509Certificate() : undefined
  }

  /** Aborts when `signal` does, or when the connection must end. */
  until(socket: Socket, signal: AbortSignal): AbortSignal {
    const connection = this.#open.get(socket)
    return connection === undefined ? signal : AbortSignal.any([signal, connection.ending.signal])
  }

  /** Ends the connections of now. Resolves when they have ended, or the signal aborts. */
  async changed(clock: Clock, signal: AbortSignal): Promise<void> {
    this.#recent = new Map()
    const ended = [...this.#open.values()].filter(({ ending }) => !ending.signal.aborted)
    for (const { socket, responses, ending } of ended) {
      ending.abort(new Error('the trust in the client certificate has changed'))
      for (const response of responses) if (!response.headersSent) response.shouldKeepAlive = false
      if (responses.size === 0) socket.destroy()
    }
    if (ended.every(({ socket }) => socket.destroyed)) return
    await clock.sleep(leaveMs, signal).catch(() => {})
    if (!signal.aborted) for (const { socket } of ended) socket.destroy()
  }
}
