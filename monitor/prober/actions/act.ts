import type { Secret } from '../../../shared/fields.ts'
import type { CheckStatus } from '../check.ts'

/** What may be done when a check goes down. Off unless a check names it; never more often than once in `everyMs`. */
export type Action =
  /** POSTs what is known of the check as JSON. The address is a Secret where it holds a key, as many chat services have it. */
  | { type: 'webhook'; url: string | Secret; headers?: Readonly<Record<string, Secret>>; everyMs: number }
  /** Deletes the pods that the selector finds, so that what owns them makes new ones. */
  | { type: 'restart-pod'; namespace: string; selector: string; everyMs: number }
  /** Has systemd restart a unit of this machine. */
  | { type: 'restart-unit'; unit: string; everyMs: number }

/** Where an action goes, for the log: without what may be secret in it, so two actions may have the same. */
export function targetOfAction(action: Action): string {
  if (action.type === 'restart-unit') return action.unit
  if (action.type === 'restart-pod') return `${action.namespace}/${action.selector}`
  return typeof action.url === 'string' ? new URL(action.url).origin : '(secret address)'
}

/** `limited`: it was done so recently that it was not done again. `refused`: another replica is to act, or none is now. */
export type ActionOutcome = 'done' | 'failed' | 'limited' | 'refused'

/** Why an action is taken. */
export type ActionCause = Readonly<CheckStatus>

/** Takes an action, if it may be taken now. It never rejects; what came of it has been logged. */
export type Act = (action: Action, cause: ActionCause, signal: AbortSignal) => Promise<ActionOutcome>
