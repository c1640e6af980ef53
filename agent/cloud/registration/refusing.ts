import { failures, ownFailures, sentenceOf } from '../contract/failures.ts'
import type { CloudFault } from '../fault.ts'
import { pauseAfter } from '../pause.ts'
import type { Attempt } from './decide.ts'
import type { RegistrationState, RegistrationStatus } from './status.ts'
import type { Told } from './telling.ts'

const pauses = { claim: { baseMs: 1_000, capMs: 300_000 }, renew: { baseMs: 1_000, capMs: 900_000 } }

/** Classes that wait for somebody else, and that are refusals all the same. */
const refusals: readonly (string | undefined)[] = ['unknown-region', 'invalid-signature']

/**
 * What is told after an attempt in vain: without a pause, only a person can help. Pure.
 * @param before the status before it
 * @param random a number in [0, 1)
 */
export function toldOf(fault: CloudFault, step: Attempt, before: RegistrationStatus | undefined, random: number): Told {
  const { failure, own = 'garbled' } = fault
  const row = failure && failures[failure]
  const { reason, message, action } = row ?? { ...ownFailures[own], message: sentenceOf(own, fault.message) }
  const told = { reason, message, action }
  if (row?.retry === 'person') {
    // A token that was only not heard of yet is tried again.
    const refusedToken = step.do === 'claim' ? step.token?.sha256 : undefined
    return { ...told, refusedToken, state: failure === 'deregistered' ? 'Deregistered' : 'Refused' }
  }
  const attempts = before?.reason === reason ? before.attempts + 1 : 1
  const pauseMs = pauseAfter(fault, step.do === 'claim' ? pauses.claim : pauses.renew, attempts, random)
  return { ...told, state: refusals.includes(failure) ? 'Refused' : stateOf(step, before?.state), attempts, pauseMs }
}

/** The state while a step is tried again. */
function stateOf(step: Attempt, present: RegistrationState | undefined): RegistrationState {
  switch (step.do) {
    case 'claim':
      if (step.token === undefined) return 'Unpaired'
      return present === 'AwaitingApproval' ? present : 'Claiming'
    case 'renew':
      return step.as
    case 'leave':
      return 'Deregistering'
  }
}
