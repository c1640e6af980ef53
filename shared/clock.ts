/** Time as an argument. Nothing else in Skerry reads the time of day or waits, so that a test can control both. */
export type Clock = {
  /** The time of day: Unix time in milliseconds. It may jump; never measure a duration with it. */
  now(): number
  /** Milliseconds since some fixed moment. It never goes back; only differences mean something. */
  monotonic(): number
  /** Resolves after `ms` milliseconds; rejects with the signal's reason as soon as it aborts, at once if it already has. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
}

/** setTimeout keeps its delay in a signed 32-bit integer: a longer one would fire at once. */
const longestTimerMs = 2 ** 31 - 1

/** The time of this machine. `monotonic` counts on while the process is paused. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  sleep: async (ms, signal) => {
    let left = ms
    while (left > longestTimerMs) {
      await wait(longestTimerMs, signal)
      left -= longestTimerMs
    }
    await wait(left, signal)
  },
}

function wait(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason)
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', onAbort)
      resolve()
    }, ms)
    const onAbort = () => {
      clearTimeout(timer)
      reject(signal?.reason)
    }
    signal?.addEventListener('abort', onAbort, { once: true })
  })
}

/**
 * How long to wait before the next attempt, in milliseconds: somewhere in [0, min(capMs, baseMs × 2^attempt)).
 *
 * Full jitter: clients that failed together retry spread over the window, not all at the same moment.
 *
 * @param attempt failed attempts so far, from 0
 * @param random a number in [0, 1), given so that a test can fix it
 */
export function backoff({ baseMs, capMs }: { baseMs: number; capMs: number }, attempt: number, random: number): number {
  return Math.floor(random * Math.min(capMs, baseMs * 2 ** Math.max(0, attempt)))
}
