import { cloudKeyOf } from '../trust.ts'
import type { JoinSecret, KnownTrust, LinkState } from './state.ts'

/*
 * What a step makes of the state that the region must not lose. All of it is pure.
 */

/** What stays of a registration that the cloud has refused: enough to ask for another credential. */
export function withoutCredential(state: LinkState): LinkState {
  if (state.joined === undefined) return state
  const { credential: _credential, ...joined } = state.joined
  return { ...state, joined }
}

/** The trust in a cloud, with its keys; those that are known already stay. */
export function trustWith(keys: NonNullable<KnownTrust['keys']>, cloud: string, known: KnownTrust | undefined): KnownTrust {
  return { sequence: 0, anchors: [], keys, ...(known?.cloud === cloud && known), cloud }
}

/** The key of the cloud that came with the token counts from the first word on. @throws Error if it is none */
export function withKeyOf(token: JoinSecret | undefined, cloud: string, state: LinkState): LinkState {
  return token?.cloudKey === undefined ? state : { ...state, trust: trustWith([cloudKeyOf(token.cloudKey)], cloud, state.trust) }
}
