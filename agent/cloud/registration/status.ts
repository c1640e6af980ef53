import type { Said } from './names.ts'

/** The names of the objects of the link, in the namespace of the agent. */
export const linkObjects = { identity: 'skerry-identity', join: 'skerry-join', registration: 'cloud' } as const

/** Every state of a registration. */
export const registrationStates = [
  'Unpaired',
  'Claiming',
  'AwaitingApproval',
  'Ready',
  'Renewing',
  'Recovering',
  'Refused',
  'Deregistering',
  'Deregistered',
] as const
export type RegistrationState = (typeof registrationStates)[number]

/** How the region stands with its cloud, for everybody: the `status` of the Registration. Times are RFC 3339, by our own clock. */
export type RegistrationStatus = {
  state: RegistrationState
  /** One CamelCase word for programs: of a refusal, its class. */
  reason: string
  /** A sentence for people, and what to do if something is to be done. */
  message: string
  action?: string
  /** Since when the state and the reason are the same. */
  since: string
  /** Attempts in vain since then. */
  attempts: number
  /** When the region asks next; absent where only a person can help. */
  nextAttempt?: string
  cloud: string
  /** The registration, as the cloud calls it. */
  id?: string
  thumbprint: string
  pairing?: { code: string; expires: string }
  credential?: { renews: string; expires: string }
  /** When the cloud last answered as agreed. */
  lastHeard?: string
  /** The last operation of the region that the cloud says it knows, about as old as `lastHeard`. */
  ledgerKnown?: number
  /** Those that count, of the site's and the cloud's. */
  name?: string
  tags?: Record<string, string>
  /** What the cloud says about the region. */
  cloudSays?: Said
  /** The installation token that was answered with a refusal, and the word `askAgain` that was followed. */
  refusedToken?: string
  askedAgain?: string
}
