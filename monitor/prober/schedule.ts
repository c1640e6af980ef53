/** When a check should run: a grid of moments, all a whole number of intervals apart. All times are milliseconds of `clock.monotonic()`. */
export type Grid = { origin: number; phaseMs: number; intervalMs: number }

/**
 * Where in its interval a check starts, in [0, 1): the same for the same name, and even over many names, so that a thousand checks
 * neither start together nor elsewhere after a restart. FNV-1a, with the end of MurmurHash3 since names often differ in their last letter only.
 */
export function phaseOf(name: string): number {
  let hash = 0x811c9dc5
  for (let index = 0; index < name.length; index++) hash = Math.imul(hash ^ name.charCodeAt(index), 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return ((hash ^ (hash >>> 16)) >>> 0) / 2 ** 32
}

/** The grid of a check. */
export function gridOf({ name, intervalMs }: { name: string; intervalMs: number }, origin: number): Grid {
  return { origin, phaseMs: Math.floor(phaseOf(name) * intervalMs), intervalMs }
}

/** The first moment of the grid after `time`. It is counted from the origin each time, so nothing adds up. */
export function nextStart({ origin, phaseMs, intervalMs }: Grid, time: number): number {
  const first = origin + phaseMs
  return time < first ? first : first + (Math.floor((time - first) / intervalMs) + 1) * intervalMs
}

/** How many moments of the grid lie in (from, to]. */
export function startsBetween(grid: Grid, from: number, to: number): number {
  return to <= from ? 0 : Math.round((nextStart(grid, to) - nextStart(grid, from)) / grid.intervalMs)
}

/** Nobody wants to wait an hour for the first result of a check that runs once an hour. */
const firstWithinMs = 10_000

/** When a new check runs first: on its grid, or before that if the grid is far away; spread evenly in both cases. */
export function firstStart(grid: Grid, name: string, now: number): number {
  const regular = nextStart(grid, now)
  return regular - now <= firstWithinMs ? regular : now + Math.floor(phaseOf(name) * Math.min(firstWithinMs, grid.intervalMs))
}

/** Something that has a place in a timetable: `at` is when it is due, `index` where it stands there, -1 when it does not. */
export type Due = { at: number; index: number }

/** What is due when. One timer is enough for all of it. */
export type Timetable<T extends Due> = {
  /** Puts it there for that moment, wherever it stood before. */
  put(item: T, at: number): void
  remove(item: T): void
  /** What is due first; undefined if there is nothing. */
  first(): T | undefined
  readonly size: number
}

/** A binary heap that knows where each item stands, so that moving one costs no more than a few comparisons. */
export function createTimetable<T extends Due>(): Timetable<T> {
  const heap: T[] = []
  const set = (item: T, index: number): void => {
    heap[index] = item
    item.index = index
  }

  function up(item: T, from: number): void {
    let index = from
    while (index > 0) {
      const above = (index - 1) >> 1
      const parent = heap[above] as T
      if (parent.at <= item.at) break
      set(parent, index)
      index = above
    }
    set(item, index)
  }

  function down(item: T, from: number): void {
    let index = from
    for (;;) {
      let below = 2 * index + 1
      if (below >= heap.length) break
      if (below + 1 < heap.length && (heap[below + 1] as T).at < (heap[below] as T).at) below++
      const child = heap[below] as T
      if (child.at >= item.at) break
      set(child, index)
      index = below
    }
    set(item, index)
  }

  return {
    put(item, at) {
      const before = item.at
      item.at = at
      if (item.index === -1) up(item, heap.length)
      else if (at < before) up(item, item.index)
      else down(item, item.index)
    },
    remove(item) {
      const { index } = item
      if (index === -1) return
      item.index = -1
      const last = heap.pop() as T
      if (last === item) return
      if (index > 0 && last.at < (heap[(index - 1) >> 1] as T).at) up(last, index)
      else down(last, index)
    },
    first: () => heap[0],
    get size() {
      return heap.length
    },
  }
}
