import { isDeepStrictEqual } from 'node:util'
import { leftReason } from './decide.ts'
import { type Heard, inForce, type Said, saidAfter } from './names.ts'
import { pairingMs, shownCode } from './pairing.ts'
import type { LinkState } from './state.ts'
import type { RegistrationState, RegistrationStatus } from './status.ts'

/** What is told about one step. */
export type Told = {
  state: RegistrationState
  reason: string
  message: string
  action?: string | undefined
  /** A code that the cloud may be given, and the wall time in Unix milliseconds until which it holds. */
  pairing?: { code: string; until: number } | undefined
  /** Whether the cloud has just answered as agreed. */
  heard?: Said | undefined
  /** Attempts in vain with this reason. */
  attempts?: number
  /** Until the next attempt, in milliseconds; undefined where there is none by itself. */
  pauseMs?: number | undefined
  /** The installation token that was refused. */
  refusedToken?: string | undefined
}

/** What a status is made from besides. Times are Unix milliseconds by our own clock; `aheadMs`: how far that of the cloud is ahead. */
type Facts = {
  cloud: string
  thumbprint: string
  joined: LinkState['joined']
  askAgain: string | undefined
  /** What the site says about the region. */
  site: Said
  now: number
  aheadMs: number
}

/** The status of the Registration after a step. Pure. */
export function statusAfter(before: RegistrationStatus | undefined, told: Told, facts: Facts): RegistrationStatus {
  const { state, reason, message, action, pairing, heard, attempts = 0, pauseMs } = told
  const { cloud, thumbprint, askAgain, now, aheadMs } = facts
  const joined = facts.joined?.cloud === cloud ? facts.joined : undefined
  const isSame = before?.state === state && before.reason === reason
  // A region that has left renews nothing: its key is about to be deleted.
  const { renewAt, expiresAt } = (state === 'Deregistered' ? undefined : joined?.credential) ?? {}
  // What was heard from another cloud is not what is heard from this one.
  const earlier = before?.cloud === cloud ? before : undefined
  const cloudSays = saidAfter(earlier?.cloudSays ?? {}, heard ?? {})
  return defined({
    state,
    reason,
    message,
    action,
    since: isSame ? before.since : timeOf(now),
    attempts,
    nextAttempt: pauseMs === undefined ? undefined : timeOf(now + pauseMs),
    cloud,
    id: joined?.id,
    thumbprint,
    pairing: pairing && { code: shownCode(pairing.code), expires: timeOf(pairing.until) },
    credential:
      renewAt === undefined || expiresAt === undefined
        ? undefined
        : { renews: timeOf(renewAt - aheadMs), expires: timeOf(expiresAt - aheadMs) },
    lastHeard: heard ? timeOf(now) : earlier?.lastHeard,
    ledgerKnown: earlier?.ledgerKnown,
    ...named(facts.site, cloudSays),
    refusedToken: told.refusedToken ?? before?.refusedToken,
    askedAgain: askAgain,
  })
}

/** The status of a region that the site took out and that has no key, so that there is nobody to leave. Pure. */
export function statusLeft(before: RegistrationStatus, now: number): RegistrationStatus {
  const { action: _action, nextAttempt: _next, pairing: _pairing, credential: _credential, ...rest } = before
  return { ...rest, ...left, since: timeOf(now), attempts: 0 }
}

/** How old the time in `lastHeard` may get while the cloud is heard all the time, in milliseconds: each change of it is a write. */
export const heardEveryMs = 300_000

/**
 * The status after the cloud was heard, outside the steps, at a wall time in Unix milliseconds, or after the site has said something else. A
 * cloud that knows less of the ledger than it did is always worth a write. Pure.
 * @returns undefined where nothing is worth a write
 */
export function statusHeard(
  before: RegistrationStatus,
  { site, heard }: { site: Said; heard: (Heard & { at: number }) | undefined },
): RegistrationStatus | undefined {
  const { name: _name, tags: _tags, cloudSays: saidBefore = {}, ...rest } = before
  const cloudSays = saidAfter(saidBefore, heard ?? {})
  const isOld = heard !== undefined && !(heard.at - Date.parse(before.lastHeard ?? '') < heardEveryMs)
  const isBehind = heard?.ledgerKnown !== undefined && heard.ledgerKnown < (before.ledgerKnown ?? 0)
  const isWorthIt = isOld || isBehind
  const { at, ledgerKnown = before.ledgerKnown } = heard ?? { at: 0 }
  const after = defined({ ...rest, ...(isWorthIt && { lastHeard: timeOf(at), ledgerKnown }), ...named(site, cloudSays) })
  return isDeepStrictEqual(after, before) ? undefined : after
}

function named(site: Said, cloudSays: Said): Pick<RegistrationStatus, 'name' | 'tags' | 'cloudSays'> {
  return { ...inForce(site, cloudSays), ...(Object.keys(cloudSays).length > 0 && { cloudSays }) }
}

/** What a region tells that has left on the word of the site. */
export const left = {
  state: 'Deregistered',
  reason: leftReason,
  message: 'The region has left its cloud. Everything that runs in it stays.',
} satisfies Told

/** What is told while a step is under way. */
export const underWay = {
  asking: (cloud: string): Told => ({ state: 'Claiming', reason: 'Asking', message: `The region asks ${cloud} to take it.` }),
  unpaired: (code: string, until: number): Told => ({
    state: 'Unpaired',
    reason: 'PairingCode',
    message: `Type the pairing code ${shownCode(code)} at the cloud within ${pairingMs / 60_000} minutes; then there is another one.`,
    pairing: { code, until },
  }),
  awaiting: {
    state: 'AwaitingApproval',
    reason: 'AwaitingApproval',
    message: 'The cloud has the request of the region. Somebody there has to approve it.',
  },
  Renewing: { state: 'Renewing', reason: 'Due', message: 'The region renews its credential.' },
  Recovering: {
    state: 'Recovering',
    reason: 'Expired',
    message: 'The credential of the region has expired. The region gets another one with its key.',
  },
  ready: (id: string): Told => ({ state: 'Ready', reason: 'Registered', message: `The region is registered as ${id}.` }),
  leaving: { state: 'Deregistering', reason: 'Asked', message: 'The region tells the cloud that it leaves.' },
} satisfies Record<string, Told | ((...given: never[]) => Told)>

/** RFC 3339, in whole seconds. */
function timeOf(at: number): string {
  return `${new Date(at).toISOString().slice(0, 19)}Z`
}

/** Optional members without their `undefined`. */
type Defined<T> = { [K in keyof T]: Exclude<T[K], undefined> }

function defined<T extends object>(given: T): Defined<T> {
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as Defined<T>
}
