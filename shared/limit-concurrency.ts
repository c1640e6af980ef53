/** Runs work while fewer than the limit are running; the rest waits, in order of arrival. */
export type Limiter = <T>(work: () => Promise<T>) => Promise<T>

/** A limiter that runs at most `limit` pieces of work at the same time. */
export function limitConcurrency(limit: number): Limiter {
  let free = limit
  const waiting: (() => void)[] = []
  return async (work) => {
    if (free > 0) free--
    else await new Promise<void>((resolve) => waiting.push(resolve))
    try {
      return await work()
    } finally {
      const next = waiting.shift()
      if (next) next()
      else free++
    }
  }
}
