import { backoff, type Clock } from '../client/clock.ts'
import type { Log } from '../client/log.ts'

/** A controller's work queue. A key that is added while it is in progress runs once more afterwards, never twice at once. */
export type Queue = {
  add(key: string): void
  /** Adds the key after a pause. If it already waits, the earlier time applies. */
  addAfter(key: string, ms: number): void
  /** What is about to happen to a key, for a message. */
  stateOf(key: string): string
  /** Takes no more keys, ends all waits, and resolves once no work is in progress. */
  stop(): Promise<void>
}

export type QueueOptions = {
  name: string
  clock: Clock
  log: Log
  /** Keys in progress at the same time. */
  concurrency?: number
}

const pauses = { baseMs: 20, capMs: 2_000 }

/** Creates a queue. Work that throws is retried after a growing pause. */
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
    stateOf(key) {
      const dueInMs = (timers.get(key) ?? Number.NaN) - clock.monotonic()
      const states = [inHand.has(key) && 'in hand', waiting.has(key) && 'waiting', dueInMs > 0 && `due in ${Math.round(dueInMs)} ms`]
      return `${states.filter(Boolean).join(', ') || 'at rest'}, failed ${failures.get(key) ?? 0} times`
    },
    async stop() {
      ending.abort()
      waiting.clear()
      await Promise.all(inHand.values())
    },
  }
}
