import { backoff, type Clock } from './clock.ts'
import type { Part } from './lifecycle.ts'
import type { Log } from './log.ts'

/**
 * A work queue by key: the same key is never handled twice at once, and however often it is added while it waits or is
 * handled, it is handled once more afterwards. What there is to do is read from the state, never from the queue.
 */
export type Queue = Part & {
  /** Has the key handled, not before `delayMs` milliseconds have passed. An earlier time wins. */
  add(key: string, delayMs?: number): void
  /** Keys that wait for a free hand; those that wait for a time do not count. */
  readonly depth: number
}

export type QueueConfig = {
  name: string
  /** Keys handled at once. */
  parallelism: number
  /** Pause after a key's first failure, and the longest one. */
  retry: { baseMs: number; capMs: number }
}

/**
 * @param handle looks at one key and does what there is to do; a number it returns is when to look again, in milliseconds.
 *   What it throws is logged, and the key comes again with full jitter, later each time.
 */
export function createQueue(
  { name, parallelism, retry }: QueueConfig,
  handle: (key: string, signal: AbortSignal) => Promise<number | undefined>,
  { clock, log }: { clock: Clock; log: Log },
): Queue {
  const ready = new Set<string>() // in the order in which they came
  const handled = new Map<string, Promise<void>>()
  const again = new Set<string>() // added while they were handled
  const timers = new Map<string, { due: number; cancel: AbortController }>()
  const failures = new Map<string, number>()
  const ending = new AbortController()
  let started = false

  function add(key: string, delayMs = 0): void {
    if (ending.signal.aborted) return
    if (delayMs > 0) addLater(key, delayMs)
    else addNow(key)
  }

  function addNow(key: string): void {
    timers.get(key)?.cancel.abort()
    timers.delete(key)
    if (handled.has(key)) again.add(key)
    else ready.add(key)
    work()
  }

  function addLater(key: string, delayMs: number): void {
    const due = clock.monotonic() + delayMs
    const present = timers.get(key)
    if (present && present.due <= due) return
    present?.cancel.abort()
    const cancel = new AbortController()
    timers.set(key, { due, cancel })
    clock.sleep(delayMs, cancel.signal).then(
      () => add(key),
      () => {},
    )
  }

  function work(): void {
    if (!started) return
    for (const key of ready) {
      if (handled.size >= parallelism) return
      ready.delete(key)
      handled.set(key, handleOne(key))
    }
  }

  async function handleOne(key: string): Promise<void> {
    let delay: number | undefined
    try {
      delay = await handle(key, ending.signal)
      failures.delete(key)
    } catch (error) {
      if (!ending.signal.aborted) log.warn({ queue: name, key, err: error }, 'handling failed, trying again')
      const attempt = failures.get(key) ?? 0
      failures.set(key, attempt + 1)
      delay = Math.max(1, backoff(retry, attempt, Math.random()))
    }
    handled.delete(key)
    if (again.delete(key)) add(key)
    else if (delay !== undefined) add(key, delay)
    work()
  }

  return {
    name,
    add,
    get depth() {
      return ready.size
    },
    async start() {
      started = true
      work()
    },
    async stop() {
      ending.abort()
      ready.clear()
      for (const { cancel } of timers.values()) cancel.abort()
      await Promise.all(handled.values())
    },
  }
}
