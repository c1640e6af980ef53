import type { Socket } from 'node:net'

/** Bytes in both directions, as this side sees them. */
export type Traffic = { received: number; sent: number }

export const noTraffic: Traffic = { received: 0, sent: 0 }

/**
 * Counts the bytes of connections in their sockets: what TCP carries, with TLS and its handshakes. The headers of TCP and IP are not counted,
 * nor what is sent twice: the system does not tell.
 */
export class SocketBytes {
  readonly #open = new Set<Socket>()
  #ended: Traffic = noTraffic

  /** Counts this connection from its first byte to its last. */
  count(socket: Socket): void {
    if (this.#open.has(socket)) return
    this.#open.add(socket)
    // When `close` is emitted, the handle that knows the bytes below TLS is gone.
    const destroy = socket._destroy
    socket._destroy = (error, callback) => {
      this.#open.delete(socket)
      this.#ended = sumOf([this.#ended, bytesOf(socket)])
      socket._destroy = destroy
      destroy.call(socket, error, callback)
    }
  }

  /** Of all connections so far. */
  get total(): Traffic {
    return sumOf([this.#ended, ...[...this.#open].map(bytesOf)])
  }
}

/** @returns zero for none */
export function sumOf(all: readonly Traffic[]): Traffic {
  return all.reduce((sum, { received, sent }) => ({ received: sum.received + received, sent: sum.sent + sent }), noTraffic)
}

type Counting = { bytesRead: number; bytesWritten: number }

/** A TLS socket that made its own connection counts what was encrypted; the handle below counts what was sent. */
function bytesOf(socket: Socket): Traffic {
  const below = (socket as Socket & { _handle?: { _parent?: Partial<Counting> } | null })._handle?._parent
  const { bytesRead, bytesWritten } = below?.bytesRead === undefined ? socket : (below as Counting)
  return { received: bytesRead, sent: bytesWritten }
}
