import type { Part } from '../../shared/lifecycle.ts'
import { type LeaderTools, Queue } from '../operations/queue.ts'
import type { CloudClock } from './cloud-clock.ts'
import { Link, type Session } from './link.ts'
import { fullPace, type Pace } from './pace.ts'
import type { RegistrarConfig } from './registration/registrar.ts'
import type { LinkStore } from './registration/state.ts'
import { Pusher, type StatusDocument } from './status/pusher.ts'
import { TellingOn } from './status/telling-on.ts'
import type { Transport } from './transport.ts'

export type SpeakerConfig = {
  /** Between two heartbeats, where the cloud does not say; and how long changes are gathered. Milliseconds. */
  heartbeatMs: number
  gatherMs: number
  /** Asked once, by the first leader's first step. */
  region: () => Promise<RegistrarConfig>
}

export type SpeakerParts = Pick<LeaderTools, 'lease' | 'clock' | 'log'> & {
  /** @param mustAct called before each write */
  store: (mustAct: () => void) => LinkStore
  transport: Transport
  cloudClock: CloudClock
  random: () => number
  /** The status of now, and what calls at each change of it. */
  status: { read: () => StatusDocument; subscribe: (changed: () => void) => (() => void)[] }
  /** How much the link may carry: slows what may be slow. */
  pace?: Pace | undefined
  /** Called with each answer that asks for the tunnel: the cloud is about to call. @throws when it cannot be asked for now */
  called?: (() => Promise<void>) | undefined
  /** Calls when somebody has changed what the site wants, or has given a token. */
  onWanted: (changed: () => void) => (() => void)[]
}

const retry = { baseMs: 1_000, capMs: 60_000 }

/** A region that has joined speaks within this part of a heartbeat after its start: a whole fleet may have been started in the same second. */
const startingPart = 1 / 3

const [registration, status] = ['registration', 'status'] as const

/** What speaks with the cloud, and how others do. */
type Speaker = Part & {
  /** The registration, while this replica leads and has a credential that holds. */
  session(): Session | undefined
  /** The cloud has refused the region: its registration has to be looked at. */
  refused(): void
}

/** Speaks with the cloud while the Lease is held: takes the steps of the registration, and tells the status, each when it is due. */
export function createSpeaker(config: SpeakerConfig, parts: SpeakerParts): Speaker {
  const { lease, clock, random, log, transport, cloudClock, pace = fullPace } = parts
  const ending = new AbortController()
  const queue = new Queue({ name: 'link to the cloud', parallelism: 2, retry, handle, subscribe, addAll }, { lease, clock, log })
  const store = parts.store(queue.mustAct)
  let link: Link | undefined
  /** No word to the cloud before this monotonic moment. */
  let silentUntil = 0
  const pusher = new Pusher(config.heartbeatMs, {
    session: () => link?.session(),
    read: parts.status.read,
    cloudClock: () => cloudClock,
    clock,
    random,
    answered: async ({ trust, name, tags, ledger, call }) => {
      // What follows from it is written down, by the one who leads.
      if (!lease.isLeader()) return
      if (call) await called()
      if (link?.heard({ name, tags, ledgerKnown: ledger?.known })) queue.add(registration)
      if (trust !== undefined) await link?.announced(trust)
    },
    refused,
    heartbeatMs: pace.heartbeatMs,
    log,
  })

  const tellingOn = new TellingOn({ pusher, lease, clock, ending: ending.signal, log })

  /** Without a tunnel that starts on demand, there is nothing to do. A fault of the cluster is no fault of the cloud. */
  async function called(): Promise<void> {
    await parts.called?.().catch((error: unknown) => log.warn({ err: error }, 'the cloud asks for the tunnel, which cannot be started'))
  }

  function refused(): void {
    link?.doubt()
    queue.add(registration)
  }

  async function tell(): Promise<number | undefined> {
    const wasHeard = pusher.isHeard
    const pauseMs = await tellingOn.push()
    // The credential has run out before its renewal was due: the machine stood still, or its clock was set.
    if (wasHeard && pauseMs === undefined) queue.add(registration)
    return pauseMs
  }

  async function handle(key: string): Promise<number | undefined> {
    if (key === status) return tell()
    if (link === undefined) {
      const hasJoined = (await store.read())?.joined?.joinState !== undefined
      if (hasJoined) silentUntil = clock.monotonic() + random() * startingPart * config.heartbeatMs
      link = new Link(await config.region(), { store, transport, clock, random, stopping: ending.signal, log, cloudClock })
    }
    const silentMs = silentUntil - clock.monotonic()
    if (silentMs > 0) return Math.ceil(silentMs)
    const pauseMs = await link.step()
    if (link.session() && !pusher.isHeard) queue.add(status)
    return pauseMs
  }

  function addAll(): void {
    tellingOn.end(() => {
      // Another leader may have told the cloud something else meanwhile.
      pusher.forget()
      queue.add(registration)
    })
  }

  function subscribe() {
    return [
      tellingOn.follow(),
      ...parts.status.subscribe(() => queue.add(status, gatherMs())),
      ...parts.onWanted(() => queue.add(registration)),
      pace.subscribe(() => queue.add(status)),
    ]
  }

  /** Whether it is an alarm is only asked where it makes a difference. */
  function gatherMs(): number {
    const slowed = pace.gatherMs(config.gatherMs)
    return slowed > config.gatherMs && pusher.hasAlarm ? config.gatherMs : slowed
  }

  return {
    name: queue.name,
    session: () => (lease.isLeader() ? link?.session() : undefined),
    refused,
    start: () => queue.start(),
    async stop() {
      ending.abort()
      await queue.stop()
      await transport.close()
    },
  }
}
