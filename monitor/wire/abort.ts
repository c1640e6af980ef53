import { asError } from './socket.ts'

/**
 * The outcome of `work`; or the signal's reason as soon as it aborts, after `close` was called to end what is open.
 * For client libraries that know no signals: what `work` becomes later is nobody's business any more.
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
