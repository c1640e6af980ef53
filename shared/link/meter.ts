import type { Clock } from '../clock.ts'
import type { Part } from '../lifecycle.ts'
import type { Log } from '../log.ts'
import { type Account, addAccounts, addDays, bytesOfDay, type DayBytes, dayOf } from './account.ts'
import { type LinkProfile, profileOfBudget, theThriftier } from './ladder.ts'
import type { LinkSettings } from './settings.ts'
import { noTraffic, type Traffic } from './socket-bytes.ts'

/** Keeps the account over restarts, and adds up what several replicas count. */
export type AccountStore = {
  /** @throws when it cannot be read */
  read(): Promise<Account>
  /** Adds these bytes to what is kept. @returns what is kept now. @throws when they were not added */
  add(news: Account): Promise<Account>
}

export type MeterParts = {
  store: AccountStore
  clock: Clock
  log: Log
}

/** How a link stands. */
export type LinkStanding = {
  /** The profile in effect. */
  profile: LinkProfile
  /** Why it is not a more generous one. */
  because: 'configuration' | 'budget'
  budget: { perDay: number; used: number; isOver: boolean } | undefined
  /** Bytes by wire, of all replicas. */
  today: DayBytes
  yesterday: DayBytes
}

/** How often the sockets are looked at, and how often at most the account is written, in milliseconds. */
const [lookMs, saveMs] = [60_000, 600_000]
const dayMs = 86_400_000

/**
 * The meter of a program: which bytes went over its wires on which day, and which profile its budget asks for. It looks at the sockets every
 * minute, and writes at most every ten, besides at the end.
 */
export class Meter implements Part {
  readonly name = 'meter of the link'
  readonly #settings: LinkSettings
  readonly #parts: MeterParts
  readonly #wires = new Map<string, () => Traffic>()
  readonly #seen = new Map<string, Traffic>()
  readonly #ending = new AbortController()
  readonly #listeners = new Set<() => void>()
  /** What the store has, as far as it is known. */
  #kept: Account = {}
  #unsaved: Account = {}
  /** What is being written. */
  #underWay: Account = {}
  #asked: LinkProfile = 'normal'
  #day = ''
  #isTroubled = false
  #running: Promise<unknown> = Promise.resolve()

  constructor(settings: LinkSettings, parts: MeterParts) {
    this.#settings = settings
    this.#parts = parts
  }

  /** Counts a wire from now on. @param total all of its bytes so far; it never falls */
  attach(wire: string, total: () => Traffic): void {
    this.#wires.set(wire, total)
  }

  /** Calls when the profile has changed, or a day has begun. */
  subscribe(changed: () => void): () => void {
    this.#listeners.add(changed)
    return () => this.#listeners.delete(changed)
  }

  /** The profile in effect. */
  get profile(): LinkProfile {
    return theThriftier(this.#settings.profile, this.#asked)
  }

  /** What the budget alone asks for. */
  get profileOfBudget(): LinkProfile {
    return this.#asked
  }

  /** Since the start of this process, by wire. */
  totals(): Record<string, Traffic> {
    return Object.fromEntries([...this.#wires].map(([wire, total]) => [wire, total()]))
  }

  standing(): LinkStanding {
    this.#take()
    const now = this.#parts.clock.now()
    const { perDay } = this.#settings.budget
    const used = bytesOfDay(this.#on(dayOf(now)))
    return {
      profile: this.profile,
      because: this.profile === this.#settings.profile ? 'configuration' : 'budget',
      budget: perDay === undefined ? undefined : { perDay, used, isOver: used > perDay },
      today: this.#on(dayOf(now)),
      yesterday: this.#on(dayOf(now - dayMs)),
    }
  }

  async start(): Promise<void> {
    this.#running = this.#run().catch(() => {}) // stopping
  }

  async stop(): Promise<void> {
    this.#ending.abort(new Error('stopping'))
    await this.#running
    this.#take()
    await this.#save()
  }

  async #run(): Promise<void> {
    const { clock } = this.#parts
    const { signal } = this.#ending
    await this.#read()
    for (let saveAt = clock.monotonic() + saveMs; ; ) {
      this.#look()
      await clock.sleep(lookMs, signal)
      if (clock.monotonic() < saveAt) continue
      saveAt = clock.monotonic() + saveMs
      this.#take()
      await this.#save()
    }
  }

  /** Takes what has passed since the last look, as bytes of today. */
  #take(): void {
    const today = dayOf(this.#parts.clock.now())
    for (const [wire, total] of this.#wires) {
      const [before, now] = [this.#seen.get(wire) ?? noTraffic, total()]
      const news = { received: Math.max(0, now.received - before.received), sent: Math.max(0, now.sent - before.sent) }
      this.#seen.set(wire, now)
      if (news.received + news.sent > 0) this.#unsaved = addAccounts(this.#unsaved, { [today]: { [wire]: news } })
    }
  }

  /** Decides the profile again. */
  #look(): void {
    const { clock, log } = this.#parts
    this.#take()
    const now = clock.now()
    const [day, before] = [dayOf(now), this.profile]
    const { perDay } = this.#settings.budget
    const used = bytesOfDay(this.#on(day))
    this.#asked = profileOfBudget({ used, perDay, passed: (now % dayMs) / dayMs }, this.#asked)
    if (this.profile !== before) {
      const said = { from: before, to: this.profile, used, perDay }
      if (this.profile === theThriftier(this.profile, before)) log.warn(said, 'the link sends less, because of its budget')
      else log.info(said, 'the link sends more again')
    }
    if (this.profile !== before || day !== this.#day) for (const changed of this.#listeners) changed()
    this.#day = day
  }

  #on(day: string): DayBytes {
    return [this.#kept, this.#underWay, this.#unsaved].map((account) => account[day] ?? {}).reduce(addDays)
  }

  async #read(): Promise<void> {
    try {
      this.#kept = await this.#parts.store.read()
    } catch (error) {
      // The next write reads it.
      this.#parts.log.debug({ err: error }, 'the kept bytes of the link cannot be read')
    }
  }

  async #save(): Promise<void> {
    const { store, log } = this.#parts
    const news = this.#unsaved
    if (Object.keys(news).length === 0) return
    this.#unsaved = {}
    this.#underWay = news
    try {
      this.#kept = await store.add(news)
      this.#isTroubled = false
    } catch (error) {
      this.#unsaved = addAccounts(news, this.#unsaved)
      if (!this.#isTroubled) log.warn({ err: error }, 'the bytes of the link cannot be kept: a restart forgets those of today')
      this.#isTroubled = true
    } finally {
      this.#underWay = {}
    }
  }
}
