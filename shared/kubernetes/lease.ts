import { randomUUID } from 'node:crypto'
import type { Clock } from '../clock.ts'
import { asProblem, isProblem } from '../errors.ts'
import type { Part } from '../lifecycle.ts'
import type { Log } from '../log.ts'
import { isNewer } from './collection.ts'
import type { Cluster } from './connection.ts'
import { unlessGone } from './failures.ts'
import { isFree, type LeaseObject, leaseObject, type Observation, releasedBy, respectedMs, takenBy } from './lease-object.ts'
import { watchLease } from './lease-watch.ts'
import { kinds, pathOf } from './objects.ts'

/** The Lease, its holder and its times. */
export type LeaseConfig = {
  namespace: string
  name: string
  /** The holder as people see it: the name of the pod. Its identity has a random suffix as well. */
  holder: string
  /** How long others wait after they last saw it renewed. Whole seconds, as the Lease counts them. */
  durationMs?: number
  /** How long the leader acts without a renewal. Shorter than the duration, since clocks run unevenly. */
  renewDeadlineMs?: number
  /** Pause between renewals and between attempts. */
  retryMs?: number
}

/** Those of client-go. */
const defaults = { durationMs: 15_000, renewDeadlineMs: 10_000, retryMs: 2_000 }

/** The right to act: one process at a time has it. */
export type Lease = Part & {
  /** The Lease shows it as its holder while this process leads. No two processes have the same. */
  readonly identity: string
  /**
   * Whether this process may act, by the clock at the moment of asking: a process that was paused gets the right answer at once. Ask right
   * before each write.
   */
  isLeader(): boolean
  /** Who leads, as this process sees it. The texts stay the same while the situation does. */
  standing(): LeaseStanding
  /** Whether this process leads in place of one that has died meanwhile: that was alive when this one came, and has not released the Lease. */
  hasSucceeded(): boolean
  /** Calls the listener at every change of leadership; at its end, before another may lead. Returns the function that unsubscribes. */
  onChange(listener: (leads: boolean) => void): () => void
}

/** Who leads. */
export type LeaseStanding = {
  namespace: string
  name: string
  /** The holder as last seen; undefined before the first read and while there is none. */
  holder: string | undefined
  /**
   * `leads`: this process or another one. `nobody`: no process may act, since nobody has renewed or taken the Lease within our renew
   * deadline. `unknown`: it was not read in that time, or is about to be taken.
   */
  state: 'leads' | 'nobody' | 'unknown'
  /** Why nobody leads, or why that is unknown for so long, in a sentence. */
  trouble: string | undefined
}

/** Who leads, as `/readyz` shows it. A replica is ready without a leader: it answers, and another would lead no sooner. */
export function leaseFacts({ holder, state, trouble }: LeaseStanding): Record<string, string | undefined> {
  return { leaseHolder: holder, leadership: trouble ?? state }
}

/** A Lease as the parts see it that act under it. */
export type Leadership = Pick<Lease, 'isLeader' | 'onChange'> & Partial<Pick<Lease, 'hasSucceeded'>>

/**
 * Competes for a Lease, as client-go's leader election does: a process that sees no renewal for the holder's duration takes it, and the
 * API server accepts the write of one process only (resourceVersion). Unlike there, a duration counts up to four times our own. Times written
 * in the Lease never decide who leads: each process measures with its own clock, a follower from when it saw a change, the leader from before
 * it requested one. A follower watches the Lease and acts when its time is up, so that a leader that was killed is succeeded hardly later than
 * the duration.
 *
 * `start` resolves as soon as it competes, whether the cluster answers or not. `stop` releases the Lease, so that another process can take
 * it at once. Stop it after everything that acts under it.
 */
export function createLease(config: LeaseConfig, tools: LeaseTools): Lease {
  return new Candidate(config, tools)
}

export type LeaseTools = { cluster: Pick<Cluster, 'request' | 'watch'>; clock: Clock; log: Log; random?: () => number }

/** The time in which this process leads, and the listeners to its beginning and end. */
type Term = ReturnType<typeof createTerm>

function createTerm({ renewDeadlineMs = defaults.renewDeadlineMs }: LeaseConfig, { clock, log }: LeaseTools) {
  const listeners = new Set<(leads: boolean) => void>()
  /** As last reported to the listeners. Whether it is still true depends on the clock. */
  let leading = false
  let renewedAt = { wall: 0, monotonic: 0 }

  const moment = () => ({ wall: clock.now(), monotonic: clock.monotonic() })

  /** The time left until the renew deadline, by the faster clock: only the wall clock counts on while a virtual machine is suspended. */
  function leftMs(): number {
    const { wall, monotonic } = moment()
    return renewDeadlineMs - Math.max(monotonic - renewedAt.monotonic, wall - renewedAt.wall)
  }

  const isCurrent = () => leading && leftMs() > 0

  function tell(leads: boolean): void {
    leading = leads
    for (const listener of listeners) {
      try {
        listener(leads)
      } catch (error) {
        log.error({ err: error }, 'a listener of the lease failed')
      }
    }
  }

  function end(why: string): void {
    if (!leading) return
    log.warn({ why }, 'lease lost')
    tell(false)
  }

  /** @param at from before the renewal was requested: the API server stored it no earlier */
  function renew(at: ReturnType<typeof moment>): void {
    // Parts that acted before a gap must learn of it, even if none of them asked during it.
    if (!isCurrent()) end('not renewed in time')
    renewedAt = at
    if (leading || leftMs() <= 0) return
    log.info('lease acquired')
    tell(true)
  }

  return { moment, leftMs, isCurrent, isLeading: () => leading, renew, end, listeners }
}

/** Reads the Lease, takes it when it is free, renews it, and releases it. */
class Candidate implements Lease {
  readonly name = 'lease'
  readonly identity: string
  readonly isLeader: () => boolean
  readonly #term: Term
  readonly #config: LeaseConfig & Required<Pick<LeaseConfig, 'durationMs' | 'renewDeadlineMs' | 'retryMs'>>
  readonly #tools: LeaseTools
  readonly #path: string
  /** A second attempt fits before the deadline. */
  readonly #requestTimeoutMs: number
  readonly #ending = new AbortController()
  #observation: Observation | undefined
  /** Whether the last other holder was seen to renew the Lease, and was not seen to release it. At first sight, a fresh renewal counts. */
  #sawRenewed = false
  /** The monotonic moment of the last successful read or write. */
  #reachedAt: number
  readonly #startedAt: number
  /** A write with our identity was sent. It may have been stored even if it failed. */
  #mayHold = false
  /** The watch under way, and how to end it. Without the permission there is none. */
  #following: Promise<void> | undefined
  #endWatch: () => void = () => {}
  #mayWatch = true
  /** Ends the pause before the next attempt. */
  #wake: () => void = () => {}
  /** Why the last attempt failed; undefined if it did not. */
  #failure: string | undefined
  #running = Promise.resolve()

  constructor(config: LeaseConfig, tools: LeaseTools) {
    const { durationMs, renewDeadlineMs, retryMs } = { ...defaults, ...config }
    if (durationMs % 1000 !== 0 || durationMs <= renewDeadlineMs || renewDeadlineMs <= retryMs * 1.2)
      throw new RangeError('a Lease needs duration > renew deadline > 1.2 × retry, the duration in whole seconds')
    this.identity = `${config.holder}_${randomUUID().slice(0, 8)}`
    this.#config = { ...config, durationMs, renewDeadlineMs, retryMs }
    this.#tools = { ...tools, log: tools.log.child({ lease: config.name, identity: this.identity }) }
    this.#term = createTerm(config, this.#tools)
    this.isLeader = this.#term.isCurrent
    this.#startedAt = tools.clock.monotonic()
    this.#reachedAt = this.#startedAt
    this.#path = pathOf(kinds.Lease, config.namespace, config.name)
    this.#requestTimeoutMs = renewDeadlineMs / 2
  }

  standing(): LeaseStanding {
    const { namespace, name, renewDeadlineMs } = this.#config
    const { object, at } = this.#observation ?? { at: this.#startedAt }
    const seen = { namespace, name, holder: object?.spec.holderIdentity || undefined, trouble: undefined }
    if (this.isLeader()) return { ...seen, state: 'leads' }
    if (this.#tools.clock.monotonic() - this.#reachedAt > renewDeadlineMs) {
      const trouble = `Whether a replica leads is unknown: the Lease ${namespace}/${name} could not be read${this.#why()}`
      return { ...seen, state: 'unknown', trouble }
    }
    // A holder that lives renews several times in that time, and stops acting at the end of it.
    if (this.#reachedAt - at < renewDeadlineMs) return { ...seen, state: seen.holder === undefined ? 'unknown' : 'leads' }
    return { ...seen, state: 'nobody', trouble: `No replica leads: ${this.#whyNobody(object)}` }
  }

  #whyNobody(object: LeaseObject | undefined): string {
    const { namespace, name, durationMs } = this.#config
    const { holderIdentity: holder } = object?.spec ?? {}
    if (object === undefined || !holder || holder === this.identity)
      return `this one could not write the Lease ${namespace}/${name}${this.#why()}`
    const seconds = respectedMs(object.spec, durationMs) / 1000
    return `the Lease ${namespace}/${name} is held by ${holder}, which does not renew it. Another one takes it ${seconds} s after the last renewal.`
  }

  #why(): string {
    return this.#failure === undefined ? '.' : `: ${this.#failure}`
  }

  hasSucceeded(): boolean {
    return this.isLeader() && this.#sawRenewed
  }

  onChange(listener: (leads: boolean) => void): () => void {
    this.#term.listeners.add(listener)
    return () => this.#term.listeners.delete(listener)
  }

  async start(): Promise<void> {
    this.#running = Promise.all([this.#compete(), this.#watchDeadline()]).then(() => {})
  }

  async stop(deadline: number): Promise<void> {
    this.#ending.abort(new Error('the lease is released'))
    this.#term.end('stopping')
    await this.#running
    if (this.#mayHold) await this.#release(deadline)
  }

  async #compete(): Promise<void> {
    while (!this.#ending.signal.aborted) {
      try {
        await this.#attempt()
        this.#noteReached()
        if (!this.#term.isLeading())
          this.#following ??= this.#follow().finally(() => {
            this.#following = undefined
          })
      } catch (error) {
        if (this.#ending.signal.aborted) break
        this.#noteFailure(error)
      }
      await this.#pause()
    }
    await this.#following
  }

  /** Until the next renewal, or the next look: at the latest when the holder's time is up. */
  async #pause(): Promise<void> {
    const { clock } = this.#tools
    const { retryMs, durationMs } = this.#config
    const { object, at } = this.#observation ?? {}
    const left = object && at !== undefined ? at + respectedMs(object.spec, durationMs) - clock.monotonic() : 0
    const woken = new AbortController()
    this.#wake = () => woken.abort()
    const ms = this.#term.isLeading() ? retryMs : Math.min(this.#spread(), left > 0 ? left : Number.POSITIVE_INFINITY)
    await clock.sleep(ms, AbortSignal.any([this.#ending.signal, woken.signal])).catch(() => {})
  }

  /** Candidates spread out, so that they do not all ask at the same moment (client-go's JitterFactor). */
  #spread(): number {
    const { random = Math.random } = this.#tools
    return this.#config.retryMs * (1 + 1.2 * random())
  }

  /** Watches the Lease while another holds it. If the watch fails, the next look begins another. */
  async #follow(): Promise<void> {
    const { cluster, clock } = this.#tools
    const { namespace, name } = this.#config
    const ended = new AbortController()
    this.#endWatch = () => ended.abort()
    const signal = AbortSignal.any([this.#ending.signal, ended.signal])
    const hear = (lease: LeaseObject) => {
      if (signal.aborted || !isNewer(lease.metadata.resourceVersion, this.#observation?.object.metadata.resourceVersion)) return
      this.#reachedAt = clock.monotonic()
      this.#observe(lease)
      if (!lease.spec.holderIdentity) this.#wake()
    }
    // The server ends a watch every few minutes, in order: then there must be no gap.
    for (let lasted = Number.POSITIVE_INFINITY; this.#mayWatch && lasted >= 1_000 && !signal.aborted; ) {
      const began = clock.monotonic()
      this.#mayWatch = await watchLease({ namespace, name, from: this.#observation?.object, hear }, cluster, signal)
      lasted = clock.monotonic() - began
    }
  }

  async #attempt(): Promise<void> {
    const { clock, log } = this.#tools
    const known = this.#observation?.object
    if (known?.spec.holderIdentity === this.identity) {
      try {
        return await this.#take(known)
      } catch (error) {
        if (!isProblem(error, 'conflict', 'not-found')) throw error
      }
    }
    const found = await this.#read({ signal: this.#ending.signal, timeoutMs: this.#requestTimeoutMs })
    this.#reachedAt = clock.monotonic()
    if (found !== undefined) this.#observe(found)
    const { durationMs } = this.#config
    // A Lease that was deleted while its holder leads is not free before the holder has had the time to notice.
    if (isFree(this.#observation, this.identity, { durationMs, now: clock.monotonic() })) await this.#take(found)
    else if (found === undefined) log.debug('lease was deleted, its time has not run out')
  }

  /** Writes the Lease with us as its holder. */
  async #take(from: LeaseObject | undefined): Promise<void> {
    const { cluster, clock } = this.#tools
    const sentAt = this.#term.moment()
    const next = takenBy(this.identity, from, { durationMs: this.#config.durationMs, now: clock.now() })
    this.#mayHold = true
    const written = await cluster.request<LeaseObject>({
      ...(from === undefined
        ? { method: 'POST', path: pathOf(kinds.Lease, this.#config.namespace), body: leaseObject(this.#config, next) }
        : { method: 'PUT', path: this.#path, body: { ...from, spec: next } }),
      signal: this.#ending.signal,
      timeoutMs: this.#requestTimeoutMs,
    })
    this.#reachedAt = clock.monotonic()
    this.#observe(written)
    this.#endWatch()
    if (!this.#ending.signal.aborted) this.#term.renew(sentAt)
  }

  #observe(object: LeaseObject): void {
    const before = this.#observation
    const now = this.#tools.clock.monotonic()
    // The specs are compared, not the versions: a label that somebody adds is not a renewal.
    const isUnchanged = before !== undefined && JSON.stringify(object.spec) === JSON.stringify(before.object.spec)
    this.#observation = { object, at: isUnchanged ? before.at : now }
    const { holderIdentity } = object.spec
    if (holderIdentity === this.identity) return
    if (before === undefined ? this.#isFresh(object) : !isUnchanged) this.#sawRenewed = Boolean(holderIdentity)
    this.#term.end('another holds it')
    if (holderIdentity && holderIdentity !== before?.object.spec.holderIdentity)
      this.#tools.log.info({ holder: holderIdentity }, 'lease is held')
  }

  /** Whether it was renewed within its duration, as far as two clocks of day agree: nobody leads or waits because of that. */
  #isFresh({ spec }: LeaseObject): boolean {
    return this.#tools.clock.now() - Date.parse(spec.renewTime ?? '') < respectedMs(spec, this.#config.durationMs)
  }

  async #read(limits: { signal?: AbortSignal; timeoutMs: number }): Promise<LeaseObject | undefined> {
    return unlessGone(this.#tools.cluster.request<LeaseObject>({ method: 'GET', path: this.#path, ...limits }))
  }

  #noteReached(): void {
    if (this.#failure !== undefined) this.#tools.log.info('lease can be reached again')
    this.#failure = undefined
  }

  /** Losing a race is normal. Any other failure is logged once, until an attempt succeeds. */
  #noteFailure(error: unknown): void {
    if (isProblem(error, 'conflict', 'already-exists')) return
    if (this.#failure === undefined) this.#tools.log.warn({ err: error }, 'lease cannot be reached')
    this.#failure = asProblem(error).detail
  }

  /** Ends the term on time, also while a request hangs. */
  async #watchDeadline(): Promise<void> {
    while (!this.#ending.signal.aborted) {
      const left = this.#term.isLeading() ? this.#term.leftMs() : this.#config.retryMs
      await this.#tools.clock.sleep(Math.max(1, left), this.#ending.signal).catch(() => {})
      if (!this.#term.isCurrent()) this.#term.end('not renewed in time')
    }
  }

  /** Clears the holder if it is this process. A write of ours that is still in flight then conflicts, or is seen by the next try. */
  async #release(deadline: number): Promise<void> {
    const { cluster, clock, log } = this.#tools
    for (let tries = 0; tries < 3; tries++) {
      const timeoutMs = Math.min(this.#requestTimeoutMs, deadline - clock.monotonic())
      if (timeoutMs <= 0) return log.warn('no time left to release the lease')
      try {
        const found = await this.#read({ timeoutMs })
        if (found?.spec.holderIdentity !== this.identity) return
        const body = { ...found, spec: releasedBy(found, clock.now()) }
        await cluster.request({ method: 'PUT', path: this.#path, body, timeoutMs })
        return log.info('lease released')
      } catch (error) {
        if (!isProblem(error, 'conflict')) return log.warn({ err: error }, 'lease could not be released, others wait for it to expire')
      }
    }
  }
}
