import { backoff, type Clock } from '../client/clock.ts'
import type { Log } from '../client/log.ts'

/** Work by key: a key added while it is being worked on is worked on once more, never twice at the same time. */
export type Queue = {
  add(key: string): void
  /** Adds the key after a pause. A key that waits already keeps the earlier moment. */
  addAfter(key: string, ms: number): void
  /** Takes no more work, cuts waits short and resolves once nothing is in hand. */
  stop(): Promise<void>
}

export type QueueOptions = {
  name: string
  clock: Clock
  log: Log
  /** Keys in hand at the same time. */
  concurrency?: number
}

const pauses = { baseMs: 20, capMs: 2_000 }

/** A queue as controllers have it. Work that throws is tried again after a pause that grows. */
export function createQueue(work: (key: string, signal: AbortSignal) => Promise<void>, options: QueueOptions): Queue {
  const { name, clock, log, concurrency = 32 } = options
  const waiting = new Set<string>()
  const inHand = new Map<string, Promise<void>>()
  const timers = new Map<string, number>()
  const failures = new Map<string, number>()
  const ending = new AbortController()

  function start(): void {
    for (const key of waiting) {
      if (inHand.size >= concurrency) return
      if (inHand.has(key)) continue
      waiting.delete(key)
      inHand.set(key, attempt(key))
    }
  }

  async function attempt(key: string): Promise<void> {
    try {
      await work(key, ending.signal)
      failures.delete(key)
    } catch (error) {
      if (!ending.signal.aborted) {
        const count = failures.get(key) ?? 0
        failures.set(key, count + 1)
        log.debug({ queue: name, key, err: error }, 'work failed, trying again')
        addAfter(key, backoff(pauses, count))
      }
    }
    inHand.delete(key)
    if (!ending.signal.aborted) start()
  }

  function add(key: string): void {
    if (ending.signal.aborted) return
    waiting.add(key)
    start()
  }

  function addAfter(key: string, ms: number): void {
    if (ms <= 0) {
      queueMicrotask(() => add(key))
      return
    }
    const at = clock.monotonic() + ms
    const known = timers.get(key)
    if (ending.signal.aborted || (known !== undefined && known <= at)) return
    timers.set(key, at)
    clock.sleep(ms, ending.signal).then(
      () => {
        if (timers.get(key) === at) timers.delete(key)
        add(key)
      },
      () => {}, // stopped
    )
  }

  return {
    add,
    addAfter,
    async stop() {
      ending.abort()
      waiting.clear()
      await Promise.all(inHand.values())
    },
  }
}
