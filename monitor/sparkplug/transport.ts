import type { Duplex } from 'node:stream'
import { until } from './waits.ts'

/** TCP, TLS or a WebSocket on which nothing was sent yet. */
export type Transport = {
  stream: Duplex
  /** Rejects with the reason when it is lost before it is handed over. */
  readonly lost: Promise<never>
  /** Gives it to whoever uses it from now on: nobody reads it in between, so that belongs into the same turn. */
  handOver(): Duplex
  destroy(): void
}

/**
 * Waits until a stream is established, which `ready` resolves with. Without success it is destroyed.
 * @throws why it is not: the code of the error, or its message; an abort throws the signal's reason
 */
export async function openTransport(stream: Duplex, ready: Promise<unknown>, signal: AbortSignal): Promise<Transport> {
  const lost = Promise.withResolvers<never>()
  lost.promise.catch(() => {})
  const onEnd = () => lost.reject(new Error('the connection was closed'))
  const onData = () => {
    lost.reject(new Error('the server sent something before CONNECT: is it an MQTT server?'))
    stream.destroy()
  }
  // This listener stays: an error of a stream that was given up must not end the process.
  stream.on('error', (error: NodeJS.ErrnoException) => lost.reject(new Error(error.code ?? error.message, { cause: error })))
  stream.on('close', onEnd)
  try {
    await until(Promise.race([ready, lost.promise]), signal)
  } catch (error) {
    stream.destroy()
    throw error
  }
  // Only who reads notices that the other side closes.
  stream.on('end', onEnd).on('data', onData)
  return {
    stream,
    lost: lost.promise,
    handOver: () => stream.off('close', onEnd).off('end', onEnd).off('data', onData),
    destroy: () => void stream.destroy(),
  }
}
