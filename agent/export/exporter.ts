import { backoff } from '../../shared/clock.ts'
import type { Part } from '../../shared/lifecycle.ts'
import { type LeaderTools, Queue } from '../operations/queue.ts'
import { type MadeRegionFile, type Place, PlaceFault, type PlaceName } from './places/place.ts'
import type { ExportState, PlaceState } from './state.ts'

export type ExporterConfig = {
  /** How long changes are gathered, and the longest time between two files at a place. Milliseconds. */
  debounceMs: number
  everyMs: number
}

export type ExporterParts = Pick<LeaderTools, 'lease' | 'clock' | 'log'> & {
  /** The file of the region as it is now. */
  make: (signal: AbortSignal) => Promise<MadeRegionFile>
  places: readonly Place[]
  /** What is known of the places, by every replica. */
  state: { read(): ExportState; write(state: ExportState): Promise<void> }
  /** Calls when something that is in the file has changed. */
  subscribe: (changed: () => void) => (() => void)[]
  /** A number in [0, 1), given so that a test can fix it. */
  random: () => number
}

const key = 'region file'
/** While the file cannot be made. */
const retry = { baseMs: 2_000, capMs: 300_000 }
/** Of a place that fails: it is no use to the others that one of them is away. */
const placeRetry = { baseMs: 10_000, capMs: 3_600_000 }
/** How soon a place that waits is looked at again, in milliseconds. */
const waitMs = 60_000
/** The longest that a place may ask to be left alone: what comes on top of it still ends within the longest pause. In milliseconds. */
const mostAskedMs = placeRetry.capMs - 60_000
/** The part of the day by which daily files are early, so that those of a fleet do not come in the same second. */
const earlyPart = 1 / 24

/**
 * Keeps the file of the region at its places, while the Lease is held: soon after something in it has changed, and at least once a day. A file
 * that says nothing new is not written again: then the one that is there is confirmed. What one place does is nothing to the others.
 */
export class Exporter implements Part {
  readonly name = 'exporter'
  readonly #config: ExporterConfig
  readonly #parts: ExporterParts
  readonly #queue: Queue
  readonly #ending = new AbortController()
  #toldLeftOut: ReadonlySet<string> = new Set()
  /** What this process knows better than what was read: it may be unable to note it down. */
  #own: ExportState = {}
  /** By place: attempts in vain, and the monotonic moment before which there is no other one. */
  readonly #troubled = new Map<PlaceName, { attempts: number; notBefore: number; message: string }>()

  constructor(config: ExporterConfig, parts: ExporterParts) {
    const { lease, clock, log, subscribe, random } = parts
    this.#config = config
    this.#parts = parts
    const { debounceMs } = config
    this.#queue = new Queue(
      {
        name: this.name,
        parallelism: 1,
        retry,
        handle: () => this.#export(),
        subscribe: () => subscribe(() => this.#queue.add(key, debounceMs)),
        // Later for some than for others: the regions of a fleet may have been started in the same second.
        addAll: () => {
          this.#own = {}
          this.#queue.add(key, Math.ceil(debounceMs * (1 + random())))
        },
      },
      { lease, clock, log },
    )
  }

  start(): Promise<void> {
    return this.#queue.start()
  }

  /** A file that is being written is given up: the one before stays. */
  async stop(): Promise<void> {
    this.#ending.abort(new Error('stopping'))
    await this.#queue.stop()
  }

  /** @returns milliseconds until the next look */
  async #export(): Promise<number | undefined> {
    const { make, places, state } = this.#parts
    if (places.length === 0) return undefined
    const file = await make(this.#ending.signal)
    this.#tellLeftOut(file)
    const read = state.read()
    const before = { ...read, ...this.#own }
    const outcomes = await Promise.all(places.map((place) => this.#keep(place, file, before[place.name] ?? {})))
    const after = Object.fromEntries(outcomes.map(({ place, now }) => [place, now])) as ExportState
    this.#queue.mustAct()
    this.#own = after
    if (JSON.stringify(after) !== JSON.stringify(read)) await this.#note(after)
    return Math.max(1, Math.ceil(Math.min(...outcomes.map(({ nextMs }) => nextMs))))
  }

  /** Once for each thing that is left out of the file: somebody has to look at it. */
  #tellLeftOut({ leftOut = [] }: MadeRegionFile): void {
    for (const { what, why } of leftOut) {
      if (!this.#toldLeftOut.has(what)) this.#parts.log.warn({ what, why }, 'something of the region is not in its file')
    }
    this.#toldLeftOut = new Set(leftOut.map(({ what }) => what))
  }

  /** That it cannot be noted down is no reason to write files again. */
  async #note(state: ExportState): Promise<void> {
    try {
      await this.#parts.state.write(state)
    } catch (error) {
      this.#parts.log.warn({ err: error }, 'where the file of the region is could not be noted down')
    }
  }

  /** @returns what is known of the place now, and in how many milliseconds it is to be looked at again */
  async #keep(place: Place, file: MadeRegionFile, known: PlaceState): Promise<{ place: PlaceName; now: PlaceState; nextMs: number }> {
    const { clock, random } = this.#parts
    const { name } = place
    const at = (now: PlaceState, nextMs: number) => ({ place: name, now, nextMs })
    const { digest, content } = file
    const written = { digest, content, bytes: file.bytes.length }
    const now = () => new Date(clock.now()).toISOString()
    // Whichever way the clock was set.
    const ageMs = Math.abs(clock.now() - Date.parse(known.file?.writtenAt ?? ''))
    const everyMs = this.#config.everyMs * (1 - random() * earlyPart)
    const dueMs = everyMs - ageMs
    if (known.file?.content === content && dueMs > 0) {
      this.#troubled.delete(name)
      return at({ file: { ...known.file, confirmedAt: now() } }, dueMs)
    }
    // A region that was just installed again has nothing to tell, and the file that is there may be all that is left of the one before.
    if (file.isEmpty && known.file === undefined) return at(known, this.#config.everyMs)
    if (place.waits() !== undefined) return at(known, waitMs)
    const restMs = Math.max(
      known.file === undefined ? 0 : place.pauseMs() - ageMs,
      (this.#troubled.get(name)?.notBefore ?? 0) - clock.monotonic(),
    )
    if (restMs > 0) return at(known, restMs)
    try {
      await place.write(file, this.#ending.signal, known.file === undefined)
    } catch (error) {
      this.#ending.signal.throwIfAborted()
      const { pauseMs, message } = this.#failed(name, error)
      return at({ ...known, failing: { since: known.failing?.since ?? now(), message } }, pauseMs)
    }
    this.#succeeded(name, file)
    return at({ file: { ...written, writtenAt: now(), confirmedAt: now() } }, everyMs)
  }

  #succeeded(place: PlaceName, { bytes, digest }: MadeRegionFile): void {
    this.#troubled.delete(place)
    this.#parts.log.info({ place, bytes: bytes.length, digest }, 'the file of the region was written')
  }

  #failed(place: PlaceName, error: unknown): { pauseMs: number; message: string } {
    const { clock, random, log } = this.#parts
    const before = this.#troubled.get(place)
    const isKnown = error instanceof PlaceFault
    const message = (isKnown ? error.message : 'It failed for a reason that is in the log of the agent.').slice(0, 1_000)
    const attempts = (before?.attempts ?? 0) + 1
    const askedMs = Math.min((isKnown && error.retryAfterMs) || 0, mostAskedMs)
    const pauseMs = Math.min(placeRetry.capMs, Math.max(1_000, askedMs + backoff(placeRetry, Math.min(attempts, 20), random())))
    this.#troubled.set(place, { attempts, notBefore: clock.monotonic() + pauseMs, message })
    // Once for each reason: the state says since when.
    if (before?.message !== message)
      log.warn({ place, message, ...(!isKnown && { err: error }) }, 'the file of the region could not be written')
    return { pauseMs, message }
  }
}
