import type { Offset } from '../../shared/clock-offset.ts'
import { clockCure, clockCureIfWrong, shown, sideOf } from '../../shared/clock-wording.ts'

/** A certificate whose dates do not fit our clock, by the code of the fault. */
export type DateFault = 'CERT_NOT_YET_VALID' | 'CERT_HAS_EXPIRED'

/** A smaller difference of the clocks is not why. */
const worthTellingMs = 5_000

/**
 * Why a certificate of the cloud does not count as valid, and what to do: its dates are wrong, or our clock is. Pure.
 *
 * @param now our clock, in Unix milliseconds
 * @param there what the server says of its clock, over a connection that nobody vouches for: good for a sentence, and for nothing else
 */
export function datesMeaning(fault: DateFault, now: number, there: Offset | undefined): string {
  const isEarly = fault === 'CERT_NOT_YET_VALID'
  const state = isEarly ? 'is not valid yet' : 'has expired'
  if (there === undefined)
    return `The certificate of the cloud ${state} by the clock of this machine, which says ${shown(now)}. ${clockCureIfWrong}`
  const { offsetMs, uncertaintyMs } = there
  const fits = isEarly ? offsetMs > 0 : offsetMs < 0
  if (fits && Math.abs(offsetMs) > worthTellingMs + uncertaintyMs) {
    const counts = isEarly ? 'does not count as valid yet' : 'counts as expired'
    const times = `it is ${shown(now)} here, and ${shown(now + offsetMs)} there by its own word`
    return `The clock of this machine is ${sideOf(there)}, so the certificate of the cloud ${counts}: ${times}. ${clockCure}`
  }
  return `The certificate of the cloud ${state}, and the clock of this machine is not why: it is ${shown(now + offsetMs)} there too. Renew it at the cloud.`
}
