import { type Clock, systemClock } from './clock.ts'
import type { Log } from './log.ts'

/** Something that runs for as long as the process does. Creating it starts nothing. */
export type Part = {
  name: string
  /**
   * Resolves when the part is ready. `signal` aborts when the process is to stop: a start in progress gives up then.
   * A start that rejects has cleaned up after itself: `stop` is not called.
   */
  start(signal: AbortSignal): Promise<void>
  /** Finishes the work in progress and resolves. Work that is unfinished at `deadline` (of `clock.monotonic()`) is cut off. */
  stop(deadline: number): Promise<void>
}

/**
 * A part and the reason why it is not ready; undefined if it is. A `warning` is told and does not count: the process does what is asked of
 * it, and another one in its place would be no better off.
 */
export type Readiness = { name: string; trouble: () => string | undefined; isWarning?: true }

/** What `/readyz` says of some parts: it is ready when all of them are, except for those that only warn. */
export function readinessOf(all: readonly Readiness[]) {
  const parts = all.map(({ name, trouble, isWarning }) => {
    const reason = trouble()
    return { name, ready: reason === undefined, ...(reason !== undefined && { reason, ...(isWarning && { warning: true }) }) }
  })
  return { ready: parts.every(({ ready, warning }) => ready || warning === true), parts }
}

/** Parts that do not need each other, as one: started and stopped side by side. */
export function together(name: string, parts: readonly Part[]): Part {
  return {
    name,
    async start(signal) {
      const started = await Promise.allSettled(parts.map((part) => part.start(signal)))
      const failure = started.find((each) => each.status === 'rejected')
      if (!failure) return
      await Promise.all(parts.filter((_, index) => started[index]?.status === 'fulfilled').map((part) => part.stop(0)))
      throw failure.reason
    },
    async stop(deadline) {
      await Promise.all(parts.map((part) => part.stop(deadline)))
    },
  }
}

/** Parts that nothing waits for, as one. Each becomes ready when it can: what needs it does without it until then, and says so. */
export function inBackground(name: string, parts: readonly Part[]): Part {
  const ending = new AbortController()
  return {
    name,
    async start() {
      // Each rejects only when it is stopped.
      for (const part of parts) void part.start(ending.signal).catch(() => {})
    },
    async stop(deadline) {
      ending.abort(new Error('stopping'))
      await Promise.all(parts.map((part) => part.stop(deadline)))
    },
  }
}

/** All parts together stop within `graceMs`. */
export type RunOptions = { stopping: AbortSignal; graceMs: number; log: Log; clock?: Clock }

/**
 * Starts the parts from left to right, waits until `stopping` aborts, stops them from right to left, and resolves.
 * If a stop fails, the error is logged and the next part is stopped.
 * @throws the error of a part's start, after the parts that had started were stopped
 */
export async function runParts(parts: readonly Part[], { stopping, graceMs, log, clock = systemClock }: RunOptions): Promise<void> {
  const started: Part[] = []
  const told = whenAborted(stopping)
  let failure: { error: unknown } | undefined
  for (const part of parts) {
    if (stopping.aborted) break
    const startedAt = clock.monotonic()
    const starting = (async () => part.start(stopping))().then(
      () => ({ ready: true as const }),
      (error: unknown) => ({ ready: false as const, error }),
    )
    // A start that ignores its signal gets the first half of the grace, so that it cannot block the stop.
    const outcome = await Promise.race([starting, told.then(() => within(starting, graceMs / 2, clock))])
    if (outcome?.ready) {
      started.push(part)
      log.debug({ part: part.name, ms: Math.round(clock.monotonic() - startedAt) }, 'part started')
    } else if (outcome === undefined) log.error({ part: part.name }, 'part ignored the stop while it started')
    else if (stopping.aborted) log.info({ part: part.name }, 'part gave up starting')
    else {
      failure = outcome
      break
    }
  }
  if (failure === undefined) {
    if (started.length === parts.length) log.info({ parts: parts.map((part) => part.name) }, 'started')
    await told
  }
  await stopParts(started, { graceMs, log, clock })
  if (failure !== undefined) throw failure.error
}

/**
 * The first part to stop may use half of the grace. The other half is kept in equal slices for the parts after it: a client that never
 * closes its connection to the API must not use up the time in which the Lease is released.
 */
async function stopParts(started: readonly Part[], { graceMs, log, clock }: { graceMs: number; log: Log; clock: Clock }): Promise<void> {
  const end = clock.monotonic() + graceMs
  const slice = graceMs / 2 / Math.max(1, started.length)
  for (const [after, part] of [...started.entries()].reverse()) {
    const began = clock.monotonic()
    const limit = end - after * slice
    try {
      // The part's deadline is a little before the limit, so that a part that cuts off on time is not logged as late.
      const stopped = part.stop(limit - slice / 5).then(() => true)
      const inTime = await within(stopped, limit - began, clock)
      if (inTime) log.debug({ part: part.name, ms: Math.round(clock.monotonic() - began) }, 'part stopped')
      else log.error({ part: part.name, ms: Math.round(clock.monotonic() - began) }, 'part did not stop in time')
    } catch (error) {
      log.error({ part: part.name, err: error }, 'part failed to stop')
    }
  }
  log.info('stopped')
}

/** The value, or undefined when it takes longer; a later rejection is ignored. */
async function within<T>(promise: Promise<T>, ms: number, clock: Clock): Promise<T | undefined> {
  const done = new AbortController()
  promise.catch(() => {})
  try {
    return await Promise.race([promise, clock.sleep(Math.max(0, ms), done.signal).then(() => undefined)])
  } finally {
    done.abort()
  }
}

function whenAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
