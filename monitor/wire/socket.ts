import { connect as netConnect, type Socket, type TcpSocketConnectOpts } from 'node:net'
import { createGrowingBuffer } from './growing-buffer.ts'
import { CheckFailure } from './reasons.ts'

/** Where to connect: a host and a port, or the path of a Unix socket. */
export type Endpoint = { host: string; port: number } | { path: string }

/** Most that is read from a peer in one check unless a kind says otherwise. */
export const defaultMaxBytes = 1024 * 1024

/**
 * Opens a connection of its own. An abort closes it at any time, also after this has resolved, with the signal's reason as its error.
 * Whoever opens it destroys it.
 * @throws the connection's error, or the signal's reason
 */
export function openSocket(endpoint: Endpoint, signal: AbortSignal, options: Partial<TcpSocketConnectOpts> = {}): Promise<Socket> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason)
    const socket = netConnect({ ...endpoint, ...options } as TcpSocketConnectOpts)
    const onAbort = () => {
      socket.destroy(asError(signal.reason))
      reject(signal.reason)
    }
    signal.addEventListener('abort', onAbort, { once: true })
    socket.once('connect', () => resolve(socket))
    socket.on('error', reject) // stays: an error after the connect must not end the process
    socket.once('close', () => signal.removeEventListener('abort', onAbort))
  })
}

/** An abort's reason as the Error that a socket can be destroyed with. */
export function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(String(reason))
}

/**
 * What the peer sends until `enough` says so, at most `maxBytes`; or until it closes, if `enough` is left out.
 * `enough` gets everything read so far, up to `maxBytes`; what came beyond is lost.
 * @throws CheckFailure `too_large`; `connection_lost` if it closes before there is enough; and the socket's own error
 */
export function readSocket(
  socket: Socket,
  { enough, maxBytes = defaultMaxBytes }: { enough?: (read: Buffer) => boolean; maxBytes?: number } = {},
): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const read = createGrowingBuffer()
    const end = (finish: () => void) => {
      socket.off('data', onData).off('end', onEnd).off('error', onError).off('close', onEnd)
      socket.pause()
      finish()
    }
    const onData = (chunk: Buffer) => {
      const room = maxBytes - read.size
      read.append(chunk.subarray(0, room))
      try {
        // Asked before the size counts: how the peer's bytes fall into chunks must make no difference.
        if (enough?.(read.view())) return end(() => resolve(read.view()))
      } catch (error) {
        return end(() => reject(error))
      }
      if (chunk.length > room)
        end(() => reject(new CheckFailure('too_large', `It sent more than ${maxBytes} bytes. Is this the right service?`)))
    }
    const onEnd = () =>
      end(() => {
        if (enough === undefined) resolve(read.view())
        else
          reject(
            socket.errored ??
              new CheckFailure(
                'connection_lost',
                `It closed the connection after ${read.size} bytes, before the answer was complete. See its log.`,
              ),
          )
      })
    const onError = (error: Error) => end(() => reject(error))
    if (socket.errored || socket.destroyed)
      return reject(socket.errored ?? new CheckFailure('connection_lost', 'The connection is closed.'))
    socket.on('data', onData).on('end', onEnd).on('error', onError).on('close', onEnd)
    socket.resume()
  })
}
