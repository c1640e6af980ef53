import { asError } from './socket.ts'

/**
 * Settles as `work` does, or rejects with the signal's reason as soon as the signal aborts, and then calls `close`. It is for client
 * libraries without signals. What becomes of `work` after the abort is ignored.
 */
export function orAbort<T>(work: Promise<T>, signal: AbortSignal, close: () => void): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = () => {
      reject(asError(signal.reason))
      close()
    }
    if (signal.aborted) onAbort()
    else signal.addEventListener('abort', onAbort, { once: true })
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}
