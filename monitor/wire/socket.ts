import { connect as netConnect, type Socket, type TcpSocketConnectOpts } from 'node:net'
import { GrowingBuffer } from './growing-buffer.ts'
import { CheckFailure } from './reasons.ts'

/** Where to connect to: a host and a port, or the path of a Unix socket. */
export type Endpoint = { host: string; port: number } | { path: string }

/** The most bytes that one check reads from a peer, unless its kind says otherwise. */
export const defaultMaxBytes = 1024 * 1024

/**
 * Opens a new connection. An abort closes it at any time, even after it was opened, with the signal's reason as the error. The caller
 * destroys it.
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

/** An abort's reason as an Error. */
export function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(String(reason))
}

/**
 * Reads until `enough` returns true for all bytes so far, or, without `enough`, until the peer closes. Bytes beyond `maxBytes` are lost.
 * @throws CheckFailure `too_large`; `connection_lost` if the peer closes before there is enough; the socket's own error
 */
export function readSocket(
  socket: Socket,
  { enough, maxBytes = defaultMaxBytes }: { enough?: (read: Buffer) => boolean; maxBytes?: number } = {},
): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const read = new GrowingBuffer()
    const end = (finish: () => void) => {
      socket.off('data', onData).off('end', onEnd).off('error', onError).off('close', onEnd)
      socket.pause()
      finish()
    }
    const onData = (chunk: Buffer) => {
      const room = maxBytes - read.size
      read.append(chunk.subarray(0, room))
      try {
        // Asked before the size is judged: how the peer's bytes fall into chunks must make no difference.
        if (enough?.(read.bytes)) return end(() => resolve(read.bytes))
      } catch (error) {
        return end(() => reject(error))
      }
      if (chunk.length > room)
        end(() => reject(new CheckFailure('too_large', `The peer sent more than ${maxBytes} bytes. Is this the right service?`)))
    }
    const onEnd = () =>
      end(() => {
        if (enough === undefined) resolve(read.bytes)
        else
          reject(
            socket.errored ??
              new CheckFailure(
                'connection_lost',
                `The peer closed the connection after ${read.size} bytes, before the answer was complete. See its log.`,
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
