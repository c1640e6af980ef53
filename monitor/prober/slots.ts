/** Places for work that runs at the same time. */
export type Slots<T> = {
  /** Takes a slot if there is one; else the item waits for its turn, and is returned by a later `free`. */
  take(item: T, lane: Lane): boolean
  /** Gives the slot back. @returns what may run now: it has a slot already */
  free(lane: Lane): { item: T; lane: Lane } | undefined
  /** Gives up its place among those that wait. */
  forget(item: T): void
  /** What has waited longest for a slot that it may have; without those that hung the last time. */
  first(): T | undefined
  readonly running: number
  readonly waiting: number
}

/** `slow`: it used up its whole time when it last ran. */
export type Lane = 'quick' | 'slow'

/**
 * As many slots as asked for. Those that hung the last time get half of them at most, so that the others keep their schedule however many
 * targets hang. Within a lane it is first come, first served; the quick one goes first.
 */
export function createSlots<T>(parallelism: number): Slots<T> {
  const most = { quick: parallelism, slow: Math.max(1, Math.floor(parallelism / 2)) }
  const running = { quick: 0, slow: 0 }
  const waiting = { quick: new Set<T>(), slow: new Set<T>() }
  const hasRoom = (lane: Lane): boolean => running.quick + running.slow < parallelism && running[lane] < most[lane]

  return {
    take(item, lane) {
      if (hasRoom(lane)) {
        running[lane]++
        return true
      }
      waiting[lane].add(item)
      return false
    },
    free(lane) {
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
    forget(item) {
      waiting.quick.delete(item)
      waiting.slow.delete(item)
    },
    first: () => waiting.quick.values().next().value,
    get running() {
      return running.quick + running.slow
    },
    get waiting() {
      return waiting.quick.size + waiting.slow.size
    },
  }
}
