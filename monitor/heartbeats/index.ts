import type { Clock } from '../../shared/clock.ts'
import type { Part } from '../../shared/lifecycle.ts'
import type { Log } from '../../shared/log.ts'
import type { Beat } from './beat.ts'
import type { BeatStore } from './store.ts'

export type { Beat } from './beat.ts'
export { createClusterBeats } from './cluster-store.ts'
export { createFileBeats } from './file-store.ts'
export type { BeatStore } from './store.ts'

/** How long beats are gathered before they are kept, in milliseconds. A beat of each second must not be a write of each second. */
const usualGatherMs = 5_000

/** A clock that moves by less was not set. */
const stepMs = 500

/** A time by our clock, and what that clock was ahead of the monotonic one when it was noted. */
type Noted = { at: number; distance: number }

/**
 * What senders last said of themselves. Beats are kept in the cluster or in a file, so that they survive a restart, and so that every
 * replica knows what another was sent. Nothing is read before the first question about a heartbeat.
 */
export class Heartbeats implements Part {
  readonly name = 'heartbeats'
  readonly #store: BeatStore
  readonly #clock: Clock
  readonly #gatherMs: number
  readonly #since: Noted
  readonly #log: Log
  readonly #last = new Map<string, { beat: Beat; noted: Noted }>()
  readonly #listeners = new Set<(id: string) => void>()
  /** Ids that were asked for: what could not be said at first is told as soon as it is known. */
  readonly #asked = new Set<string>()
  readonly #ending = new AbortController()
  #unkept = new Map<string, Beat>()
  #keeping: Promise<void> | undefined
  #isFollowing = false
  #isInTrouble = false

  constructor(store: BeatStore, { clock, log, gatherMs = usualGatherMs }: { clock: Clock; log: Log; gatherMs?: number }) {
    this.#store = store
    this.#clock = clock
    this.#gatherMs = gatherMs
    this.#since = this.#note(clock.now())
    this.#log = log
  }

  /**
   * The last beat: undefined if there was none, and the end of a sentence if that cannot be known at the moment. `since` is when this
   * monitor began to listen, in Unix milliseconds. Both are by the clock as it is now: if that was set meanwhile, they have moved with it, so
   * that nothing is overdue because of that.
   */
  heard(id: string): { last: Beat | string | undefined; since: number } {
    this.#asked.add(id)
    this.#follow()
    const last = this.#last.get(id)
    return { last: last ? { ...last.beat, at: this.#now(last.noted) } : this.#store.trouble(), since: this.#now(this.#since) }
  }

  /** Takes a beat. It counts at once, and is kept within a few seconds. */
  take(id: string, beat: Beat): void {
    this.#follow()
    this.#set(id, beat)
    this.#unkept.set(id, beat)
    this.#keeping ??= this.#keep(this.#ending.signal).finally(() => {
      this.#keeping = undefined
    })
  }

  /** Calls the listener when a beat is new, here or on another replica, and when it is known that there is none. @returns a function that ends the subscription */
  subscribe(listener: (id: string) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  async start(): Promise<void> {}

  /** Keeps what is not kept yet. */
  async stop(): Promise<void> {
    this.#ending.abort(new Error('stopping'))
    await this.#keeping
  }

  #follow(): void {
    if (this.#isFollowing) return
    this.#isFollowing = true
    const known = () => {
      for (const id of this.#asked) this.#tell(id)
    }
    this.#store.follow({ found: (id, beat) => this.#learn(id, beat), known }, this.#ending.signal)
  }

  /** Takes a kept beat, of this replica or another one. It may be older than what is known. */
  #learn(id: string, beat: Beat): void {
    const known = this.#last.get(id)
    if (known !== undefined && (known.beat.at === beat.at || this.#now(known.noted) >= beat.at)) return
    this.#set(id, beat)
  }

  #set(id: string, beat: Beat): void {
    // One from the future was kept before a clock was set back: its time begins now.
    this.#last.set(id, { beat, noted: this.#note(Math.min(beat.at, this.#clock.now())) })
    this.#tell(id)
  }

  #note(at: number): Noted {
    return { at, distance: this.#clock.now() - this.#clock.monotonic() }
  }

  /** A noted time by the clock as it is now. */
  #now({ at, distance }: Noted): number {
    const moved = this.#clock.now() - this.#clock.monotonic() - distance
    return Math.abs(moved) > stepMs ? Math.round(at + moved) : at
  }

  #tell(id: string): void {
    for (const listener of this.#listeners) listener(id)
  }

  async #keep(ending: AbortSignal): Promise<void> {
    while (this.#unkept.size > 0) {
      await this.#clock.sleep(this.#gatherMs, ending).catch(() => {})
      const beats = this.#unkept
      this.#unkept = new Map()
      try {
        await this.#store.keep(beats)
        if (this.#isInTrouble) this.#log.info('heartbeats are kept again')
        this.#isInTrouble = false
      } catch (error) {
        if (!this.#isInTrouble) this.#log.warn({ err: error }, 'heartbeats cannot be kept; they count here until the monitor restarts')
        this.#isInTrouble = true
        if (ending.aborted) return
        this.#unkept = new Map([...beats, ...this.#unkept])
      }
    }
  }
}
