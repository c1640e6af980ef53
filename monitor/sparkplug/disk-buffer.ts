import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import type { Log } from '../../shared/log.ts'
import { type Change, type ChangeBuffer, createMemoryBuffer } from './buffer.ts'
import type { MetricValue } from './datatypes.ts'
import { type Quality, quality } from './payload.ts'

/** Where and how much. */
export type DiskBufferConfig = {
  directory: string
  /** All segments together, in bytes. The oldest one goes when a new one would exceed it. */
  maxBytes: number
  /**
   * Changes in memory at most, which are as many as that only while the disk cannot be written. At half of them the older ones are written:
   * a crash can lose so many while nothing is connected.
   */
  values: number
}

/** Changes in a segment at most: a few megabytes, which are read at once, and are the step in which the folder is made to fit its size. */
const segmentLimit = 10_000

/**
 * A youngest segment smaller than this, in bytes, is written anew together with what is to be written, so that a long outage makes no
 * file every few seconds. No larger: each time it is written whole, and storage that wears out has little of the monitors' means.
 */
const mergedBelow = 64 * 1024

const unreadable = 'some kept changes cannot be read, and are left out'

type Segment = { file: string; first: number; count: number; bytes: number }

/**
 * A buffer whose older part is in files. While the node is connected nothing is written: what is sent is proven within seconds.
 * What piles up goes to disk in segments of lines of JSON, each written beside its place, flushed and renamed, so that none is ever half
 * there. The youngest is replaced in the same way by one that holds more, while it is small.
 *
 * How far the oldest segment was proven stands in a file of its own, so that a restart in the middle of a flush repeats nothing. It goes
 * with its segment, and after it: a crash between the two leaves a position without a segment, which the next start takes away. The other
 * way round it would leave a segment without a position, and repeat what was sent.
 * A disk that cannot be written is said once; the buffer then keeps what fits into memory. A segment that cannot be read is left out,
 * and left where it is: its changes count as dropped, and a later start may find that it can be read again.
 */
export function createDiskBuffer({ directory, maxBytes, values }: DiskBufferConfig, { log }: { log: Log }): ChangeBuffer {
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  const positionFile = path.join(directory, 'position')
  const segments: Segment[] = []
  /** Released changes of the oldest segment. */
  let released = 0
  let end = 0
  let dropped = 0
  let nextNumber = 1
  let isFailing = false
  const said = new Set<string>()
  /** Appends before a disk that failed is tried again. */
  let pause = 0
  let loaded: { segment: Segment; changes: Change[] } | undefined
  const spillAt = Math.floor(values / 2)
  // Twice that: if the disk fails, this bound drops the oldest instead.
  const memory = createMemoryBuffer({ limit: values })

  open()
  /** What the index of the first change in memory is, seen from outside. */
  const base = end
  let memoryDropped = 0

  function open(): void {
    const names = readdirSync(directory)
    // What a crash left beside its place.
    for (const name of names) if (/^\d{12}\.jsonl\.new$/.test(name)) remove(path.join(directory, name))
    const files = names.filter((name) => /^\d{12}\.jsonl$/.test(name)).sort()
    for (const name of files) {
      const file = path.join(directory, name)
      nextNumber = Number(name.slice(0, 12)) + 1
      try {
        const count = readSegment(file).length
        if (count === 0) remove(file)
        else segments.push({ file, first: end, count, bytes: statSync(file).size })
        end += count
      } catch (error) {
        sayOnce(unreadable, error)
      }
    }
    const oldest = segments[0]
    const position = readPosition(positionFile)
    if (position !== undefined && oldest !== undefined && position.name === path.basename(oldest.file))
      released = Math.min(position.count, oldest.count)
    else removePosition(positionFile, log)
    // If it could not be removed, no segment gets the name that it speaks of.
    if (position !== undefined) nextNumber = Math.max(nextNumber, Number(position.name.slice(0, 12)) + 1)
    if (oldest !== undefined) log.info({ changes: end - released, segments: segments.length }, 'kept changes found')
  }

  function start(): number {
    const oldest = segments[0]
    return oldest === undefined ? base + memory.start : oldest.first + released
  }

  /** What a segment holds. What is no longer in its file is given up, so that nobody waits for it. */
  function changesOf(segment: Segment): Change[] {
    if (loaded?.segment === segment) return loaded.changes
    let changes: Change[] = []
    try {
      changes = readSegment(segment.file).slice(0, segment.count)
    } catch (error) {
      sayOnce(unreadable, error)
    }
    if (changes.length < segment.count) shorten(segment, changes.length)
    loaded = { segment, changes }
    return changes
  }

  function shorten(segment: Segment, count: number): void {
    const isOldest = segment === segments[0]
    const gone = isOldest ? released : 0
    dropped += Math.max(0, segment.count - Math.max(count, gone))
    segment.count = count
    if (count > gone) return
    segments.splice(segments.indexOf(segment), 1)
    if (isOldest) released = 0
  }

  function forgetOldest(): void {
    const oldest = segments.shift()
    if (oldest === undefined) return
    released = 0
    if (loaded?.segment === oldest) loaded = undefined
    if (remove(oldest.file)) removePosition(positionFile, log)
  }

  /** @returns whether the file is gone; one that stays is sent again after a restart */
  function remove(file: string): boolean {
    try {
      rmSync(file, { force: true })
      return true
    } catch (error) {
      sayOnce('kept changes cannot be removed: correct the rights of the folder', error)
      return false
    }
  }

  function sayOnce(what: string, error: unknown): void {
    if (!said.has(what)) log.error({ err: error, directory }, what)
    said.add(what)
  }

  /** The youngest segment and what it holds, if more can be put into it. Not the one that is being sent: its place is counted. */
  function growing(): { segment: Segment; changes: Change[] } | undefined {
    const segment = segments.at(-1)
    const isSmall = segment !== undefined && segment.count < segmentLimit && segment.bytes < Math.min(mergedBelow, maxBytes / 8)
    if (!isSmall || (segment === segments[0] && released > 0)) return undefined
    const changes = changesOf(segment)
    // A gap lies between, if the memory dropped some or the segment turned out to be shorter.
    const isNext = segments.at(-1) === segment && segment.first + segment.count === base + memory.start
    return isNext ? { segment, changes } : undefined
  }

  /** Writes up to `count` changes from the head of the memory into a segment. @returns whether it did */
  function spill(count: number): boolean {
    if (memory.end === memory.start) return false
    const grown = growing()
    const first = grown?.segment.first ?? base + memory.start
    const entries = memory.read(memory.start, Math.min(count, segmentLimit - (grown?.segment.count ?? 0)))
    const changes = [...(grown?.changes ?? []), ...entries.map(({ change }) => change)]
    const text = `${changes.map(writeChange).join('\n')}\n`
    const file = grown?.segment.file ?? path.join(directory, `${String(nextNumber).padStart(12, '0')}.jsonl`)
    try {
      writeFileSync(`${file}.new`, text, { mode: 0o600, flush: true })
      renameSync(`${file}.new`, file)
    } catch (error) {
      if (!isFailing) log.error({ err: error, directory }, 'kept changes cannot be written: make room or correct the rights of the folder')
      isFailing = true
      pause = Math.floor(spillAt / 4)
      return false
    }
    isFailing = false
    if (grown === undefined) nextNumber++
    else segments.pop()
    segments.push({ file, first, count: changes.length, bytes: Buffer.byteLength(text) })
    memory.release(memory.start + entries.length)
    while (segments.length > 1 && segments.reduce((sum, { bytes }) => sum + bytes, 0) > maxBytes) {
      dropped += (segments[0] as Segment).count - released
      forgetOldest()
    }
    return true
  }

  return {
    append(change) {
      if (pause > 0) pause--
      else if (memory.end - memory.start >= spillAt) spill(Math.ceil(spillAt / 2))
      const index = base + memory.append(change)
      memoryDropped = memory.dropped
      return index
    },
    get start() {
      return start()
    },
    get end() {
      return base + memory.end
    },
    get dropped() {
      return dropped + memoryDropped
    },
    read(from, count) {
      for (;;) {
        const first = Math.max(from, start())
        // What was dropped while the disk failed, or could not be read, leaves a gap: it is stepped over.
        const segment = segments.find((each) => first < each.first + each.count)
        if (segment === undefined) return memory.read(first - base, count).map(({ index, change }) => ({ index: base + index, change }))
        const offset = Math.max(0, first - segment.first)
        const changes = changesOf(segment).slice(offset, offset + count)
        if (changes.length > 0) return changes.map((change, place) => ({ index: segment.first + offset + place, change }))
      }
    },
    release(upTo) {
      for (let oldest = segments[0]; oldest !== undefined && upTo > oldest.first + released; oldest = segments[0]) {
        if (upTo < oldest.first + oldest.count) {
          released = upTo - oldest.first
          writePosition(positionFile, `${path.basename(oldest.file)} ${released}`, log)
          break
        }
        forgetOldest()
      }
      memory.release(upTo - base)
    },
    save() {
      while (spill(segmentLimit)) {}
    },
  }
}

/** The segment, and how many of its changes were released; undefined if none was written or it is damaged: nothing was sent then. */
function readPosition(file: string): { name: string; count: number } | undefined {
  try {
    const [, name, count] = /^(\d{12}\.jsonl) (\d+)$/.exec(readFileSync(file, 'utf8')) ?? []
    return name === undefined ? undefined : { name, count: Number(count) }
  } catch {
    return undefined
  }
}

function removePosition(file: string, log: Log): void {
  try {
    rmSync(file, { force: true })
  } catch (error) {
    log.debug({ err: error }, 'position in kept changes not removed')
  }
}

function writePosition(file: string, text: string, log: Log): void {
  try {
    writeFileSync(`${file}.new`, text, { mode: 0o600 })
    renameSync(`${file}.new`, file)
  } catch (error) {
    log.debug({ err: error }, 'position in kept changes not written')
  }
}

function readSegment(file: string): Change[] {
  const changes: Change[] = []
  for (const line of readFileSync(file, 'utf8').split('\n')) {
    const change = line === '' ? undefined : readChange(line)
    if (change !== undefined) changes.push(change)
  }
  return changes
}

function writeChange({ device, name, value, timestamp, quality: code, isLate }: Change): string {
  return JSON.stringify([device ?? null, name, toJson(value), timestamp, code, isLate ? 1 : 0])
}

/** A line as a change; undefined if it is none, as a damaged disk may have it. */
function readChange(line: string): Change | undefined {
  try {
    const [device, name, value, timestamp, code, isLate] = JSON.parse(line) as unknown[]
    const isOne = (device === null || typeof device === 'string') && typeof name === 'string' && Number.isSafeInteger(timestamp)
    if (!isOne || !Object.values(quality).includes(code as Quality)) return undefined
    return {
      device: device ?? undefined,
      name,
      value: fromJson(value),
      timestamp: timestamp as number,
      quality: code as Quality,
      ...(isLate === 1 ? { isLate: true } : {}),
    }
  } catch {
    return undefined
  }
}

/** JSON has no bigint, no bytes, no NaN: they are objects with one member. */
function toJson(value: MetricValue | null): unknown {
  if (typeof value === 'bigint') return { n: value.toString() }
  if (typeof value === 'number' && !Number.isFinite(value)) return { f: String(value) }
  if (value instanceof Uint8Array) return { b: Buffer.from(value).toString('base64') }
  if (Array.isArray(value)) return value.map((each) => toJson(each as MetricValue))
  return value
}

function fromJson(value: unknown): MetricValue | null {
  if (Array.isArray(value)) return value.map(fromJson) as unknown as MetricValue
  if (typeof value !== 'object' || value === null) return value as MetricValue | null
  const { n, f, b } = value as { n?: string; f?: string; b?: string }
  if (n !== undefined) return BigInt(n)
  return f !== undefined ? Number(f) : Buffer.from(b ?? '', 'base64')
}
