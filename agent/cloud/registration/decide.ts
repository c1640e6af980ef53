import type { JoinSecret, LinkState, Wanted } from './state.ts'
import type { RegistrationStatus } from './status.ts'

/** Everything that the next step depends on. */
export type Situation = {
  /** The origin of the configured cloud. */
  cloud: string
  state: LinkState | undefined
  status: RegistrationStatus | undefined
  join: JoinSecret | undefined
  wanted: Wanted
  /** The cloud has refused the credential before its time. */
  doubted: boolean
  /** Unix milliseconds by the clock of the cloud. */
  now: number
}

/** The next step of the region on its way to its cloud. `until`: Unix milliseconds by the clock of the cloud; undefined until something changes. */
export type Step =
  | Attempt
  | { do: 'make-key' }
  | { do: 'catch-up' }
  | { do: 'tell-left'; over: RegistrationStatus }
  | { do: 'rest'; until: number | undefined }

/** A step that needs the cloud. */
export type Attempt = { do: 'claim'; token: JoinSecret | undefined } | { do: 'renew'; as: 'Renewing' | 'Recovering' } | { do: 'leave' }

/** Pure, and made from the present state alone: whoever leads goes on where the one before stopped. */
export function decide({ cloud, state, status, join, wanted, doubted, now }: Situation): Step {
  if (state === undefined) return wanted.joined ? { do: 'make-key' } : withoutKey(status)
  const joined = state.joined?.cloud === cloud ? state.joined : undefined
  if (!wanted.joined) return { do: 'leave' }
  if (!doubted && isBehind(status, joined, now)) return { do: 'catch-up' }
  const isKnown = joined?.joinState !== undefined
  // Only a registration that is lost is given up for another token. To whoever is registered, that says nothing.
  const fresh = (!isKnown || loses(status)) && isFresh(join, joined?.token, status) ? join : undefined
  if (rests(status) && status.cloud === cloud && fresh === undefined && wanted.askAgain === status.askedAgain) {
    return { do: 'rest', until: undefined }
  }
  if (!isKnown) return { do: 'claim', token: join }
  if (fresh !== undefined) return { do: 'claim', token: fresh }
  const { credential } = joined
  if (credential === undefined || credential.expiresAt <= now) return { do: 'renew', as: 'Recovering' }
  return doubted || credential.renewAt <= now ? { do: 'renew', as: 'Renewing' } : { do: 'rest', until: credential.renewAt }
}

/**
 * The region has joined, and the status does not say so: the process died between the two writes. What a refusal says about a region that had
 * a credential by then stays.
 */
function isBehind(status: RegistrationStatus | undefined, joined: LinkState['joined'], now: number): boolean {
  if (joined?.credential === undefined || joined.credential.renewAt <= now) return false
  if (status === undefined || status.credential === undefined) return true
  return status.state !== 'Ready' && status.state !== 'Refused'
}

/** A region that is to leave, and whose key somebody has deleted: it has left, whatever its status still says. */
function withoutKey(status: RegistrationStatus | undefined): Step {
  const isTold = status === undefined || status.state === 'Deregistered'
  return isTold ? { do: 'rest', until: undefined } : { do: 'tell-left', over: status }
}

/** A token that the cloud has neither taken nor refused. */
function isFresh(join: JoinSecret | undefined, taken: string | undefined, status: RegistrationStatus | undefined): boolean {
  return join !== undefined && join.sha256 !== taken && join.sha256 !== status?.refusedToken
}

/** States in which the region asks nothing by itself. A region that the site took out comes back when the site wants it to. */
function rests(status: RegistrationStatus | undefined): status is RegistrationStatus {
  if (status === undefined || status.nextAttempt !== undefined || status.reason === leftReason) return false
  return status.state === 'Refused' || status.state === 'Deregistered'
}

/** The reason of a region that has left on the word of the site. */
export const leftReason = 'Left'

const lost = new Set(['UnknownRegion', 'Revoked', 'Deregistered'])

function loses(status: RegistrationStatus | undefined): boolean {
  return status !== undefined && lost.has(status.reason)
}
