/** What `createSlots` returns. */
export type Slots<T> = ReturnType<typeof createSlots<T>>

/** `slow`: it timed out when it last ran. */
export type Lane = 'quick' | 'slow'

/**
 * Places for work that runs at the same time. Slow items get at most half of them, so that the quick ones keep their schedule however
 * many targets hang. Each lane is first in, first out; quick items take precedence over slow ones.
 */
export function createSlots<T>(parallelism: number) {
  const most = { quick: parallelism, slow: Math.max(1, Math.floor(parallelism / 2)) }
  const running = { quick: 0, slow: 0 }
  const waiting = { quick: new Set<T>(), slow: new Set<T>() }
  const hasRoom = (lane: Lane): boolean => running.quick + running.slow < parallelism && running[lane] < most[lane]

  return {
    /** Takes a slot if there is one; otherwise the item waits, and a later `free` returns it. */
    take(item: T, lane: Lane): boolean {
      if (hasRoom(lane)) {
        running[lane]++
        return true
      }
      waiting[lane].add(item)
      return false
    },
    /** Gives a slot back. @returns the item that got it, if one waited */
    free(lane: Lane): { item: T; lane: Lane } | undefined {
      running[lane]--
      for (const next of ['quick', 'slow'] as const) {
        const [item] = waiting[next]
        if (item === undefined || !hasRoom(next)) continue
        waiting[next].delete(item)
        running[next]++
        return { item, lane: next }
      }
      return undefined
    },
    isWaiting: (item: T) => waiting.quick.has(item) || waiting.slow.has(item),
    /** Ends the wait of an item. */
    forget(item: T): void {
      waiting.quick.delete(item)
      waiting.slow.delete(item)
    },
    /** The quick item that has waited longest. */
    first: (): T | undefined => waiting.quick.values().next().value,
    get running(): number {
      return running.quick + running.slow
    },
    get waiting(): number {
      return waiting.quick.size + waiting.slow.size
    },
  }
}
