import type { MetricValue } from './datatypes.ts'
import type { Quality } from './payload.ts'

/** One change of one metric, as it was observed. */
export type Change = {
  /** The device; undefined for the node itself. */
  device: string | undefined
  name: string
  value: MetricValue | null
  /** Unix milliseconds at which the value was acquired. */
  timestamp: number
  quality: Quality
  /** It is not newer than what was known already: history from the beginning. */
  isLate?: boolean
}

/**
 * All changes in the order in which they came, until the server has proven that it read them.
 *
 * Live data goes through it as well as what piles up while nobody listens: the sender reads on from where it is, and begins again at
 * the first unproven change when a connection ends. So order is kept, a flush that breaks half way is resumed, and what was sent into a
 * dead link is still there. Changes are addressed by an index that only grows.
 */
export type ChangeBuffer = {
  /** Adds a change and returns its index. The oldest ones are dropped and counted where it would exceed the bound. */
  append(change: Change): number
  /** The index of the oldest change that is kept. */
  readonly start: number
  /** The index that the next change will get. */
  readonly end: number
  /** Changes lost because there was no room, or because they could not be read. */
  readonly dropped: number
  /** Up to `count` changes from an index on, in order; from `start` on if that index is no longer kept. */
  read(from: number, count: number): { index: number; change: Change }[]
  /** Forgets all changes before an index: the server has read them. */
  release(upTo: number): void
  /** Brings what is in memory alone to where it survives; memory has nothing to do. */
  save(): void
}

/** How many released places are kept before the array is cut. */
const slack = 1024

/** A buffer in memory that holds at most `limit` changes. They do not survive the process. */
export function createMemoryBuffer({ limit }: { limit: number }): ChangeBuffer {
  let changes: (Change | undefined)[] = []
  let head = 0 // place in `changes` of the oldest one kept
  let start = 0 // its index
  let dropped = 0

  function forget(count: number): void {
    changes.fill(undefined, head, head + count)
    head += count
    start += count
    if (head > slack && head * 2 > changes.length) {
      changes = changes.slice(head)
      head = 0
    }
  }

  return {
    append(change) {
      if (changes.length - head >= limit) {
        forget(1)
        dropped++
      }
      changes.push(change)
      return start + (changes.length - head) - 1
    },
    get start() {
      return start
    },
    get end() {
      return start + changes.length - head
    },
    get dropped() {
      return dropped
    },
    read(from, count) {
      const first = Math.max(from, start)
      const place = head + first - start
      return changes.slice(place, place + count).map((change, offset) => ({ index: first + offset, change: change as Change }))
    },
    release(upTo) {
      const count = Math.min(upTo - start, changes.length - head)
      if (count > 0) forget(count)
    },
    save() {},
  }
}
