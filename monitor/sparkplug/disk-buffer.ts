import { mkdirSync } from 'node:fs'
import type { Log } from '../../shared/log.ts'
import { type Change, type ChangeBuffer, createMemoryBuffer } from './buffer.ts'
import { Segments, segmentLimit } from './segments.ts'

/** Where changes are kept, and how many. */
export type DiskBufferConfig = {
  directory: string
  /** All segments together, in bytes. The oldest one goes when a new one would exceed it. */
  maxBytes: number
  /**
   * Changes in memory at most; there are as many as that only while the disk cannot be written. From half of them on the older ones are
   * written, so a crash can lose that many while nothing is connected.
   */
  values: number
}

/**
 * A buffer whose older part is in files. While the node is connected nothing is written: proof of what is sent comes within seconds. What
 * piles up goes to disk in segments.
 *
 * A disk that cannot be written is logged once, and the buffer keeps what fits into memory. A segment that cannot be read is left out, and
 * left where it is: its changes count as dropped, and a later start may be able to read it.
 */
export function createDiskBuffer({ directory, maxBytes, values }: DiskBufferConfig, { log }: { log: Log }): ChangeBuffer {
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  return new DiskBuffer(new Segments(directory, maxBytes, log), { directory, values, log })
}

class DiskBuffer implements ChangeBuffer {
  readonly #segments: Segments
  readonly #memory: ChangeBuffer
  /** Index, seen from outside, of the first change that came into memory. */
  readonly #base: number
  /** From this many changes on the older half of the memory is written. If that fails, the bound of the memory drops the oldest instead. */
  readonly #spillAt: number
  readonly #place: { directory: string; log: Log }
  #isFailing = false
  /** Changes to come before a disk that failed is tried again. */
  #pause = 0

  constructor(segments: Segments, { values, ...place }: { directory: string; values: number; log: Log }) {
    this.#segments = segments
    this.#memory = createMemoryBuffer({ limit: values })
    this.#base = segments.end
    this.#spillAt = Math.floor(values / 2)
    this.#place = place
  }

  get start(): number {
    return this.#segments.start ?? this.#base + this.#memory.start
  }

  get end(): number {
    return this.#base + this.#memory.end
  }

  get dropped(): number {
    return this.#segments.dropped + this.#memory.dropped
  }

  append(change: Change): number {
    if (this.#pause > 0) this.#pause--
    else if (this.#memory.end - this.#memory.start >= this.#spillAt) this.#spill(Math.ceil(this.#spillAt / 2))
    return this.#base + this.#memory.append(change)
  }

  read(from: number, count: number): { index: number; change: Change }[] {
    for (;;) {
      const first = Math.max(from, this.start)
      const kept = this.#segments.read(first, count)
      if (kept === undefined)
        return this.#memory.read(first - this.#base, count).map(({ index, change }) => ({ index: this.#base + index, change }))
      if (kept.length > 0) return kept
    }
  }

  release(upTo: number): void {
    this.#segments.release(upTo)
    this.#memory.release(upTo - this.#base)
  }

  save(): void {
    while (this.#spill(segmentLimit)) {}
  }

  /** Moves up to `count` of the oldest changes in memory to disk. @returns whether it moved any */
  #spill(count: number): boolean {
    const memory = this.#memory
    if (memory.end === memory.start) return false
    const entries = memory.read(memory.start, count)
    try {
      const written = this.#segments.append(
        this.#base + memory.start,
        entries.map(({ change }) => change),
      )
      memory.release(memory.start + written)
      this.#isFailing = false
      return true
    } catch (err) {
      const { directory, log } = this.#place
      if (!this.#isFailing)
        log.error({ err, directory }, 'kept changes cannot be written: make room or correct the permissions of the folder')
      this.#isFailing = true
      this.#pause = Math.floor(this.#spillAt / 4)
      return false
    }
  }
}
