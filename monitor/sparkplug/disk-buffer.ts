import { mkdirSync } from 'node:fs'
import type { Log } from '../../shared/log.ts'
import { type ChangeBuffer, createMemoryBuffer } from './buffer.ts'
import { Segments, segmentLimit } from './segments.ts'
import { messageOf } from './waits.ts'

/** Where changes are kept, and how many. */
export type DiskBufferConfig = {
  directory: string
  /** All segments together, in bytes. The oldest one goes when a new one would exceed it. */
  maxBytes: number
  /**
   * The most changes in memory, reached only while the disk cannot be written. From half that number on, the older ones go to disk: a crash
   * while the node is offline can lose half that number.
   */
  values: number
}

const cannotWrite = 'kept changes cannot be written: make room or correct the permissions'

/**
 * A buffer whose older part is in files. While the node is connected, nothing is written: proof of delivery comes within seconds.
 * Changes that pile up go to disk in segments.
 *
 * A disk that cannot be written is logged once, and the buffer keeps what fits into memory. A segment that cannot be read is skipped, and
 * stays in the folder: its changes count as dropped, and a later start may be able to read it.
 */
export function createDiskBuffer({ directory, maxBytes, values }: DiskBufferConfig, { log }: { log: Log }): ChangeBuffer {
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  const segments = new Segments(directory, maxBytes, log)
  /** The index, as callers see it, of the first change that came into memory. */
  const base = segments.end
  // If the disk cannot be written, this bound drops the oldest instead.
  const memory = createMemoryBuffer({ limit: values })
  const spillAt = Math.floor(values / 2)
  /** Why the last write failed. */
  let failure: string | undefined
  /** How many more changes come before a failed disk is tried again. */
  let pause = 0

  /** Moves up to `count` of the oldest changes in memory to disk. @returns whether it moved any */
  function spill(count: number): boolean {
    if (memory.end === memory.start) return false
    const changes = memory.read(memory.start, count).map(({ change }) => change)
    try {
      memory.release(memory.start + segments.append(base + memory.start, changes))
      failure = undefined
      return true
    } catch (err) {
      if (failure === undefined) log.error({ err, directory }, `${cannotWrite} of the folder`)
      failure = messageOf(err)
      pause = Math.floor(spillAt / 4)
      return false
    }
  }

  return {
    append(change) {
      if (pause > 0) pause--
      else if (memory.end - memory.start >= spillAt) spill(Math.ceil(spillAt / 2))
      return base + memory.append(change)
    },
    get start() {
      return segments.start ?? base + memory.start
    },
    get end() {
      return base + memory.end
    },
    get dropped() {
      return segments.dropped + memory.dropped
    },
    read(from, count) {
      for (;;) {
        const first = Math.max(from, segments.start ?? base + memory.start)
        const kept = segments.read(first, count)
        if (kept === undefined) return memory.read(first - base, count).map(({ index, change }) => ({ index: base + index, change }))
        if (kept.length > 0) return kept
      }
    },
    release(upTo) {
      segments.release(upTo)
      memory.release(upTo - base)
      // Nothing is left that the disk would have to take.
      if (memory.start === memory.end) failure = undefined
    },
    save() {
      while (spill(segmentLimit)) {}
    },
    trouble: () => failure && `${cannotWrite} of ${directory}: ${failure}`,
  }
}
