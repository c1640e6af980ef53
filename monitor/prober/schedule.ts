/** When a check runs: moments that are a whole number of intervals apart. All times are milliseconds of `clock.monotonic()`. */
export type Grid = { origin: number; phaseMs: number; intervalMs: number }

/**
 * The place in its interval at which a check starts, in [0, 1). It depends on the name alone and is even over many names: a thousand
 * checks do not start together, and a restart does not move them. FNV-1a with the end of MurmurHash3, since many names differ in their
 * last letter only.
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

/** The first moment of the grid after `time`. It is counted from the origin each time, so errors do not add up. */
export function nextStart({ origin, phaseMs, intervalMs }: Grid, time: number): number {
  const first = origin + phaseMs
  return time < first ? first : first + (Math.floor((time - first) / intervalMs) + 1) * intervalMs
}

/** The number of moments of the grid in (from, to]. */
export function startsBetween(grid: Grid, from: number, to: number): number {
  return to <= from ? 0 : Math.round((nextStart(grid, to) - nextStart(grid, from)) / grid.intervalMs)
}

/** Nobody wants to wait an hour for the first result of a check that runs once an hour. */
const firstWithinMs = 10_000

/** When a new check first runs: on its grid, or sooner if that is far away; spread evenly in both cases. */
export function firstStart(grid: Grid, name: string, now: number): number {
  const regular = nextStart(grid, now)
  return regular - now <= firstWithinMs ? regular : now + Math.floor(phaseOf(name) * Math.min(firstWithinMs, grid.intervalMs))
}

/** Something that a timetable holds: `at` is when it is due, Infinity while it is not in the timetable, which alone writes it. */
export type Due = { at: number }

/** Items sorted by when they are due. */
export class Timetable<T extends Due> {
  readonly #items: T[] = []

  /** Adds the item, or moves it to another moment. */
  put(item: T, at: number): void {
    this.remove(item)
    item.at = at
    this.#items.splice(this.#placeOf(at), 0, item)
  }

  remove(item: T): void {
    const index = this.#items.indexOf(item, this.#placeOf(item.at))
    if (index !== -1) this.#items.splice(index, 1)
    item.at = Infinity
  }

  /** The item that is due first; undefined if there is none. */
  first(): T | undefined {
    return this.#items[0]
  }

  /** The first place of an item that is not due before that moment. */
  #placeOf(at: number): number {
    let [low, high] = [0, this.#items.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if ((this.#items[middle] as T).at < at) low = middle + 1
      else high = middle
    }
    return low
  }
}
