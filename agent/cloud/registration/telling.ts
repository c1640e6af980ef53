import { pairingMs, shownCode } from './pairing.ts'
import type { LinkState, RegistrationState, RegistrationStatus } from './state.ts'

/** What is told about one step. */
export type Told = {
  state: RegistrationState
  reason: string
  message: string
  action?: string | undefined
  /** A code that the cloud may be given, and the wall time in Unix milliseconds until which it holds. */
  pairing?: { code: string; until: number } | undefined
  /** Whether the cloud has just answered as agreed. */
  heard?: { name?: string | undefined; tags?: Record<string, string> | undefined } | undefined
  /** Attempts in vain with this reason. */
  attempts?: number
  /** Until the next attempt, in milliseconds; undefined where there is none by itself. */
  pauseMs?: number | undefined
  /** The installation token that was refused. */
  refusedToken?: string | undefined
}

/** What a status is made from besides. Times are Unix milliseconds by our own clock; `aheadMs`: how far that of the cloud is ahead. */
type Facts = { cloud: string; thumbprint: string; joined: LinkState['joined']; askAgain: string | undefined; now: number; aheadMs: number }

/** The status of the Registration after a step. Pure. */
export function statusAfter(before: RegistrationStatus | undefined, told: Told, facts: Facts): RegistrationStatus {
  const { state, reason, message, action, pairing, heard, attempts = 0, pauseMs } = told
  const { cloud, thumbprint, askAgain, now, aheadMs } = facts
  const joined = facts.joined?.cloud === cloud ? facts.joined : undefined
  const isSame = before?.state === state && before.reason === reason
  const { renewAt, expiresAt } = joined?.credential ?? {}
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
    lastHeard: heard ? timeOf(now) : before?.lastHeard,
    name: heard?.name ?? before?.name,
    tags: heard?.tags ?? before?.tags,
    refusedToken: told.refusedToken ?? before?.refusedToken,
    askedAgain: askAgain,
  })
}

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
