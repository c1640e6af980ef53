import { setTimeout as wait } from 'node:timers/promises'

/** The time as the stand-ins see it. A test can pass its own clock to control how fast time runs. */
export type Clock = {
  /** Unix time in milliseconds. */
  now(): number
  /** Milliseconds since a fixed moment. It never goes back; only differences are meaningful. */
  monotonic(): number
  /** Resolves after `ms` milliseconds; rejects as soon as the signal aborts. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
}

/** The time of this machine. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  sleep: (ms, signal) => wait(ms, undefined, signal && { signal }),
}

/**
 * The pause before the next attempt, in milliseconds: a random number below min(capMs, baseMs × 2^attempt).
 *
 * @param attempt failed attempts so far, from 0
 */
export function backoff({ baseMs, capMs }: { baseMs: number; capMs: number }, attempt: number): number {
  return Math.floor(Math.random() * Math.min(capMs, baseMs * 2 ** attempt))
}
