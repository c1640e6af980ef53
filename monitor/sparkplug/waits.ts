import type { Clock } from '../../shared/clock.ts'
import { tlsMeaning } from '../../shared/tls-errors.ts'

/** Waits for a promise, at most `ms` and until the signal aborts. It leaves no timer and no listener behind. */
export async function within<T>(promise: Promise<T>, ms: number, what: string, clock: Clock, signal?: AbortSignal): Promise<T> {
  const done = new AbortController()
  const either = signal === undefined ? done.signal : AbortSignal.any([done.signal, signal])
  const late = clock.sleep(ms, either).then((): never => {
    throw new Error(`${what} within ${ms} ms`)
  })
  late.catch(() => {})
  promise.catch(() => {})
  try {
    return await Promise.race([promise, late])
  } finally {
    done.abort()
  }
}

/** Waits for a promise until the signal aborts. */
export async function until<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted()
  const aborted = Promise.withResolvers<never>()
  const onAbort = () => aborted.reject(signal.reason)
  signal.addEventListener('abort', onAbort, { once: true })
  aborted.promise.catch(() => {})
  try {
    return await Promise.race([promise, aborted.promise])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}

/** The message of a thrown value; of a fault of TLS, what it means. */
export function messageOf(error: unknown): string {
  return tlsMeaning(error) ?? (error instanceof Error ? error.message : String(error))
}
