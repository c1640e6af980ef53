import type { CheckStatus } from '../check.ts'
import type { Action, Occasion } from './action.ts'

/** `limited`: it was taken so recently that it was not repeated. `refused`: another replica acts, or none does now. */
export type ActionOutcome = 'done' | 'failed' | 'limited' | 'refused'

/** Why an action is taken. */
export type ActionCause = Readonly<CheckStatus>

/** Takes an action, if it may be taken now. It never rejects; the outcome has been logged. */
export type Act = (action: Action, cause: ActionCause, given: { signal: AbortSignal; occasion: Occasion }) => Promise<ActionOutcome>
