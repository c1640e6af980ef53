import { randomUUID } from 'node:crypto'
import type { Clock } from '../clock.ts'
import { isProblem } from '../errors.ts'
import type { Part } from '../lifecycle.ts'
import type { Log } from '../log.ts'
import type { Cluster } from './connection.ts'
import { unlessGone } from './failures.ts'
import { isFree, type LeaseObject, leaseObject, type Observation, releasedBy, takenBy } from './lease-object.ts'
import { kinds, pathOf } from './objects.ts'

/** Which Lease, for whom, and how long things take. The defaults are those of client-go. */
export type LeaseConfig = {
  namespace: string
  name: string
  /** Whom people will see as the holder: the name of the pod. Its identity is this and a random ending. */
  holder: string
  /** How long others wait after they last saw it renewed; 15 s. Whole seconds, as the Lease counts them. */
  durationMs?: number
  /** How long the leader goes on without a renewal; 10 s. The difference to the duration is for clocks that run unevenly. */
  renewDeadlineMs?: number
  /** Pause between renewals and between attempts; 2 s. */
  retryMs?: number
}

/** The right to act, which one process at a time has. */
export type Lease = Part & {
  /** What the Lease shows as its holder while this process leads. No two processes have the same. */
  readonly identity: string
  /**
   * Whether this process may act, judged by the clock at the moment of asking: one that was paused knows it at once, before it has
   * heard of anything. Ask right before each write.
   */
  isLeader(): boolean
  /** The holder as last seen; undefined before the first look and while nobody holds it. */
  holder(): string | undefined
  /** Tells of every change of leadership, of the end no later than others may begin. Returns how to unsubscribe. */
  onChange(listener: (leads: boolean) => void): () => void
}

/** A Lease as those who act under it see it. */
export type Leadership = Pick<Lease, 'isLeader' | 'onChange'>

/**
 * Competes for a Lease, as client-go's leader election does: whoever sees no renewal for as long as the holder promised takes it,
 * and the API server lets one of them through (resourceVersion). Times written in the Lease are for people, and never compared:
 * each side measures with its own clock, from when it saw a change, or from before it asked for one.
 *
 * `start` resolves as soon as it competes; the cluster may be away. `stop` gives the Lease back, so that another can take it at
 * once. It must be stopped after everything that acts under it.
 */
export function createLease(
  config: LeaseConfig,
  { cluster, clock, log, random = Math.random }: { cluster: Pick<Cluster, 'request'>; clock: Clock; log: Log; random?: () => number },
): Lease {
  const { durationMs = 15_000, renewDeadlineMs = 10_000, retryMs = 2_000 } = config
  if (durationMs % 1000 !== 0 || durationMs <= renewDeadlineMs || renewDeadlineMs <= retryMs * 1.2)
    throw new RangeError('a Lease needs duration > renew deadline > 1.2 × retry, the duration in whole seconds')
  const identity = `${config.holder}_${randomUUID().slice(0, 8)}`
  const path = pathOf(kinds.Lease, config.namespace, config.name)
  const collection = path.slice(0, path.lastIndexOf('/'))
  const requestTimeoutMs = renewDeadlineMs / 2 // so that a second attempt fits before the deadline
  const listeners = new Set<(leads: boolean) => void>()
  const ending = new AbortController()

  /** What this process has told its listeners. Whether it is still so is a question to the clock. */
  let leading = false
  let renewedAt: Moment = { wall: 0, monotonic: 0 }
  let observation: Observation | undefined
  /** A write with our identity went out. Even one that failed may have been done. */
  let mayHold = false
  let isFailing = false
  let running = Promise.resolve()

  function isLeader(): boolean {
    return leading && elapsedSince(renewedAt) < renewDeadlineMs
  }

  /** By the slower process, the faster clock: a virtual machine that was suspended may see it on the wall clock only. */
  function elapsedSince(then: Moment): number {
    return Math.max(clock.monotonic() - then.monotonic, clock.now() - then.wall)
  }

  const moment = (): Moment => ({ wall: clock.now(), monotonic: clock.monotonic() })

  function tell(leads: boolean, why: string): void {
    if (leads === leading) return
    leading = leads
    if (leads) log.info({ lease: config.name, identity }, 'lease acquired')
    else log.warn({ lease: config.name, identity, why }, 'lease lost')
    for (const listener of listeners) {
      try {
        listener(leads)
      } catch (error) {
        log.error({ err: error, lease: config.name }, 'a listener of the lease failed')
      }
    }
  }

  function observe(object: LeaseObject): void {
    const before = observation?.object.spec.holderIdentity
    // By what the Lease says, not by its version: a label that somebody adds is no renewal.
    if (JSON.stringify(object.spec) === JSON.stringify(observation?.object.spec))
      observation = { object, at: (observation as Observation).at }
    else observation = { object, at: clock.monotonic() }
    const { holderIdentity } = object.spec
    if (holderIdentity !== identity) tell(false, 'another holds it')
    if (holderIdentity && holderIdentity !== identity && holderIdentity !== before)
      log.info({ lease: config.name, holder: holderIdentity }, 'lease is held')
  }

  /** Writes the Lease with us as its holder. From before the request on it counts as renewed: the server did it no earlier. */
  async function take(from: LeaseObject | undefined): Promise<void> {
    const sentAt = moment()
    const next = takenBy(identity, from, { durationMs, now: clock.now() })
    mayHold = true
    const body = from === undefined ? leaseObject(config, next) : { ...from, spec: next }
    const written = await cluster.request<LeaseObject>({
      method: from === undefined ? 'POST' : 'PUT',
      path: from === undefined ? collection : path,
      body,
      signal: ending.signal,
      timeoutMs: requestTimeoutMs,
    })
    observe(written)
    if (ending.signal.aborted) return
    // A gap that nobody asked about while it lasted is a gap all the same: whoever acted before must hear of it.
    if (!isLeader()) tell(false, 'not renewed in time')
    renewedAt = sentAt
    if (elapsedSince(renewedAt) < renewDeadlineMs) tell(true, '')
  }

  async function attempt(): Promise<void> {
    const known = observation?.object
    if (known?.spec.holderIdentity === identity) {
      try {
        return await take(known)
      } catch (error) {
        if (!isProblem(error, 'conflict', 'not-found')) throw error
      }
    }
    const found = await read({ signal: ending.signal, timeoutMs: requestTimeoutMs })
    if (found !== undefined) observe(found)
    // One that was deleted while its holder leads is not free before the holder has had the time to notice.
    if (isFree(observation, identity, { durationMs, now: clock.monotonic() })) await take(found)
    else if (found === undefined) log.debug({ lease: config.name }, 'lease was deleted, its time has not run out')
  }

  async function read(limits: { signal?: AbortSignal; timeoutMs: number }): Promise<LeaseObject | undefined> {
    return unlessGone(cluster.request<LeaseObject>({ method: 'GET', path, ...limits }))
  }

  async function compete(): Promise<void> {
    while (!ending.signal.aborted) {
      try {
        await attempt()
        if (isFailing) log.info({ lease: config.name }, 'lease can be reached again')
        isFailing = false
      } catch (error) {
        if (ending.signal.aborted) return
        // Losing a race is how it works; anything else is said once, until it works again.
        const isRace = isProblem(error, 'conflict', 'already-exists')
        if (!isRace && !isFailing) log.warn({ err: error, lease: config.name }, 'lease cannot be reached')
        if (!isRace) isFailing = true
      }
      // Those who wait spread out, so that they don't all ask in the same moment (client-go's JitterFactor).
      await clock.sleep(leading ? retryMs : retryMs * (1 + 1.2 * random()), ending.signal).catch(() => {})
    }
  }

  /** Tells of the end on time, also while a request hangs. */
  async function watchDeadline(): Promise<void> {
    while (!ending.signal.aborted) {
      const left = leading ? renewDeadlineMs - elapsedSince(renewedAt) : retryMs
      await clock.sleep(Math.max(1, left), ending.signal).catch(() => {})
      if (leading && !isLeader()) tell(false, 'not renewed in time')
    }
  }

  /** Clears the holder if it is us. A write of ours that is still under way meets a newer version then, or is seen on the next look. */
  async function release(deadline: number): Promise<void> {
    for (let tries = 0; tries < 3; tries++) {
      const timeoutMs = Math.min(requestTimeoutMs, deadline - clock.monotonic())
      if (timeoutMs <= 0) return log.warn({ lease: config.name }, 'no time left to give the lease back')
      try {
        const found = await read({ timeoutMs })
        if (found?.spec.holderIdentity !== identity) return
        await cluster.request({ method: 'PUT', path, body: { ...found, spec: releasedBy(found, clock.now()) }, timeoutMs })
        return log.info({ lease: config.name }, 'lease given back')
      } catch (error) {
        if (!isProblem(error, 'conflict'))
          return log.warn({ err: error, lease: config.name }, 'lease could not be given back, others wait for it to expire')
      }
    }
  }

  return {
    name: 'lease',
    identity,
    isLeader,
    holder: () => observation?.object.spec.holderIdentity || undefined,
    onChange(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    async start() {
      running = Promise.all([compete(), watchDeadline()]).then(() => {})
    },
    async stop(deadline) {
      ending.abort(new Error('the lease is given back'))
      tell(false, 'told to stop')
      await running
      if (mayHold) await release(deadline)
    },
  }
}

/** The time by both clocks. */
type Moment = { wall: number; monotonic: number }
