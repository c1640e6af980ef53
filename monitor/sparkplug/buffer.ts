import type { MetricValue } from './datatypes.ts'
import type { Quality } from './payload.ts'

/** One observed change of one metric. */
export type Change = {
  /** The device; undefined for the node itself. */
  device: string | undefined
  name: string
  value: MetricValue | null
  /** Unix milliseconds at which the value was acquired. */
  timestamp: number
  quality: Quality
  /** It is older than a value known before: history from the start. */
  isLate?: boolean
}

/**
 * All changes in their order, until there is proof that the server has read them.
 *
 * Live data goes through the buffer just as the changes that pile up offline. The sender reads on from its cursor, and each connection
 * starts again at the first unproven change. So the order is kept, an interrupted flush is resumed, and data that was sent into a dead link
 * is still there. Changes are addressed by an index that only grows.
 */
export type ChangeBuffer = {
  /** Adds a change and returns its index. When the buffer is full, the oldest are dropped and counted. */
  append(change: Change): number
  /** The index of the oldest change that is kept. */
  readonly start: number
  /** The index that the next change will get. */
  readonly end: number
  /** Changes lost because the buffer was full, or because they could not be read. */
  readonly dropped: number
  /** Up to `count` changes from an index on, in order; from `start` on if that index is no longer kept. */
  read(from: number, count: number): { index: number; change: Change }[]
  /** Forgets all changes before an index: the server has read them. */
  release(upTo: number): void
  /** Writes the changes that are only in memory to disk, if there is one. */
  save(): void
  /** Why changes that should be on disk are only in memory, and what to do; undefined if none are. */
  trouble?(): string | undefined
}

/** Released places that the array may have before it is cut. */
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
