import { readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import path from 'node:path'
import type { Log } from '../../shared/log.ts'
import type { Change } from './buffer.ts'
import { readSegment, segmentName, segmentNumber, writeSegment, writeWhole } from './segment-file.ts'

/** The most changes in a segment: a few megabytes, which are read at once. To keep within its size, the folder drops whole segments. */
export const segmentLimit = 10_000

/**
 * While the youngest segment is smaller than this, in bytes, it is rewritten with more changes in it, so that a long outage does not make a
 * file every few seconds. No larger: it is written whole each time, and the storage of small machines wears out.
 */
const mergedBelow = 64 * 1024

const unreadable = 'some kept changes cannot be read, and are left out'

type Segment = { file: string; first: number; count: number; bytes: number }

/**
 * The segments in a folder, oldest first, and how far the oldest one was released. Changes are addressed by the buffer's index; the first
 * one in the folder has index 0.
 *
 * The released part of the oldest segment stands in a file of its own, so that a restart in the middle of a flush repeats nothing. That
 * file is removed after its segment: a crash between the two leaves a position without a segment, which the next start removes. The other
 * order would leave a segment without a position, and repeat what was sent.
 */
export class Segments {
  readonly #directory: string
  readonly #maxBytes: number
  readonly #log: Log
  readonly #position: PositionFile
  readonly #segments: Segment[] = []
  /** Released changes of the oldest segment. */
  #released = 0
  #dropped = 0
  #nextNumber = 1
  /** The segment that was read last. */
  #loaded: { segment: Segment; changes: Change[] } | undefined
  readonly #logged = new Set<string>()

  /** @throws when the folder cannot be listed */
  constructor(directory: string, maxBytes: number, log: Log) {
    this.#directory = directory
    this.#maxBytes = maxBytes
    this.#log = log
    this.#position = new PositionFile(path.join(directory, 'position'), log)
    this.#open()
  }

  /** Index of the oldest change that is kept here; undefined without any. */
  get start(): number | undefined {
    const oldest = this.#segments[0]
    return oldest && oldest.first + this.#released
  }

  /** Index behind the youngest change that was found or written. */
  get end(): number {
    const youngest = this.#segments.at(-1)
    return youngest === undefined ? 0 : youngest.first + youngest.count
  }

  /** Changes lost because the folder is full, or because a segment could not be read. */
  get dropped(): number {
    return this.#dropped
  }

  /** Up to `count` changes from an index on; none where a segment turned out to be shorter; undefined behind the youngest segment. */
  read(from: number, count: number): { index: number; change: Change }[] | undefined {
    // Changes that were dropped, or could not be read, leave a gap: it is stepped over.
    const segment = this.#segments.find((each) => from < each.first + each.count)
    if (segment === undefined) return undefined
    const offset = Math.max(0, from - segment.first)
    const changes = this.#changesOf(segment).slice(offset, offset + count)
    return changes.map((change, place) => ({ index: segment.first + offset + place, change }))
  }

  /** Forgets all changes before an index. */
  release(upTo: number): void {
    for (let oldest = this.#segments[0]; oldest !== undefined && upTo > oldest.first + this.#released; oldest = this.#segments[0]) {
      if (upTo < oldest.first + oldest.count) {
        this.#released = upTo - oldest.first
        this.#position.write(path.basename(oldest.file), this.#released)
        return
      }
      this.#removeOldest()
    }
  }

  /**
   * Writes changes into the youngest segment while that is small, else into a new one, and drops the oldest segments for which there is no
   * room.
   * @param first index of the first of them
   * @returns how many were written: as many as fit into one segment
   * @throws what the file system throws; then nothing was written
   */
  append(first: number, changes: readonly Change[]): number {
    const grown = this.#growing(first)
    const kept = grown?.changes ?? []
    const added = changes.slice(0, segmentLimit - kept.length)
    const file = grown?.segment.file ?? path.join(this.#directory, segmentName(this.#nextNumber))
    const bytes = writeSegment(file, [...kept, ...added])
    if (grown === undefined) this.#nextNumber++
    else this.#segments.pop()
    this.#segments.push({ file, first: grown?.segment.first ?? first, count: kept.length + added.length, bytes })
    while (this.#segments.length > 1 && this.#segments.reduce((sum, { bytes }) => sum + bytes, 0) > this.#maxBytes) {
      this.#dropped += (this.#segments[0] as Segment).count - this.#released
      this.#removeOldest()
    }
    return added.length
  }

  #open(): void {
    const names = readdirSync(this.#directory)
    let end = 0
    // Temporary files that a crash left behind.
    for (const name of names) if (/^(\d{12}\.jsonl|position)\.new$/.test(name)) this.#remove(path.join(this.#directory, name))
    for (const name of names.filter((each) => segmentNumber(each) !== undefined).sort()) {
      const file = path.join(this.#directory, name)
      this.#nextNumber = (segmentNumber(name) as number) + 1
      try {
        const count = readSegment(file).length
        if (count === 0) this.#remove(file)
        else this.#segments.push({ file, first: end, count, bytes: statSync(file).size })
        end += count
      } catch (error) {
        this.#logOnce(unreadable, error)
      }
    }
    const oldest = this.#segments[0]
    const position = this.#position.read()
    if (position !== undefined && oldest !== undefined && position.name === path.basename(oldest.file))
      this.#released = Math.min(position.count, oldest.count)
    else this.#position.remove()
    // If the position could not be removed, no new segment may have the name in it.
    if (position !== undefined) this.#nextNumber = Math.max(this.#nextNumber, (segmentNumber(position.name) as number) + 1)
    if (oldest !== undefined) this.#log.info({ changes: end - this.#released, segments: this.#segments.length }, 'kept changes found')
  }

  /** The changes of a segment. Those that are missing from its file count as dropped. */
  #changesOf(segment: Segment): Change[] {
    if (this.#loaded?.segment === segment) return this.#loaded.changes
    let changes: Change[] = []
    try {
      changes = readSegment(segment.file).slice(0, segment.count)
    } catch (error) {
      this.#logOnce(unreadable, error)
    }
    if (changes.length < segment.count) this.#shorten(segment, changes.length)
    this.#loaded = { segment, changes }
    return changes
  }

  #shorten(segment: Segment, count: number): void {
    const isOldest = segment === this.#segments[0]
    const gone = isOldest ? this.#released : 0
    this.#dropped += Math.max(0, segment.count - Math.max(count, gone))
    segment.count = count
    if (count > gone) return
    this.#segments.splice(this.#segments.indexOf(segment), 1)
    if (isOldest) this.#released = 0
  }

  #removeOldest(): void {
    const oldest = this.#segments.shift()
    if (oldest === undefined) return
    this.#released = 0
    if (this.#loaded?.segment === oldest) this.#loaded = undefined
    if (this.#remove(oldest.file)) this.#position.remove()
  }

  /** @returns whether the file is gone; a segment that stays is sent again after a restart */
  #remove(file: string): boolean {
    try {
      rmSync(file, { force: true })
      return true
    } catch (error) {
      this.#logOnce('kept changes cannot be removed: correct the permissions of the folder', error)
      return false
    }
  }

  /** The youngest segment with its changes, if it can take more. One that is being sent cannot: its position is a number of changes. */
  #growing(first: number): { segment: Segment; changes: Change[] } | undefined {
    const segment = this.#segments.at(-1)
    const isSmall = segment !== undefined && segment.count < segmentLimit && segment.bytes < Math.min(mergedBelow, this.#maxBytes / 8)
    if (!isSmall || (segment === this.#segments[0] && this.#released > 0)) return undefined
    const changes = this.#changesOf(segment)
    // There is a gap if the memory dropped some, or if the segment turned out to be shorter.
    const isNext = this.#segments.at(-1) === segment && segment.first + segment.count === first
    return isNext ? { segment, changes } : undefined
  }

  #logOnce(message: string, error: unknown): void {
    if (!this.#logged.has(message)) this.#log.error({ err: error, directory: this.#directory }, message)
    this.#logged.add(message)
  }
}

/** The segment that is being sent, and how many of its changes were released. Without this file, changes are only sent again. */
class PositionFile {
  readonly #file: string
  readonly #log: Log

  constructor(file: string, log: Log) {
    this.#file = file
    this.#log = log
  }

  /** Undefined if there is none or it is damaged: then nothing was sent. */
  read(): { name: string; count: number } | undefined {
    try {
      const [, name, count] = /^(\d{12}\.jsonl) (\d+)$/.exec(readFileSync(this.#file, 'utf8')) ?? []
      return name === undefined ? undefined : { name, count: Number(count) }
    } catch {
      return undefined
    }
  }

  write(name: string, count: number): void {
    try {
      writeWhole(this.#file, `${name} ${count}`, { flush: false })
    } catch (error) {
      this.#log.debug({ err: error }, 'position in kept changes not written')
    }
  }

  remove(): void {
    try {
      rmSync(this.#file, { force: true })
    } catch (error) {
      this.#log.debug({ err: error }, 'position in kept changes not removed')
    }
  }
}
