import type { Offset } from '../../shared/clock-offset.ts'
import { shown, sideOf } from '../../shared/clock-wording.ts'

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
export function datesMeaning(
  fault: DateFault,
  now: number,
  there: Offset | undefined,
): { own: 'wrong-clock' | 'certificate-dates'; message: string } {
  const isEarly = fault === 'CERT_NOT_YET_VALID'
  const state = isEarly ? 'it is not valid yet' : 'it has expired'
  const dates = (why: string) => ({
    own: 'certificate-dates' as const,
    message: `The dates of the certificate of the cloud do not fit: ${why}`,
  })
  if (there === undefined)
    return dates(`${state} by the clock of this machine, which says ${shown(now)}. The cloud could not be asked for its time.`)
  const { offsetMs, uncertaintyMs } = there
  const fits = isEarly ? offsetMs > 0 : offsetMs < 0
  if (!fits || Math.abs(offsetMs) <= worthTellingMs + uncertaintyMs)
    return dates(`${state}, and the clock of this machine is not why. It is ${shown(now + offsetMs)} there too.`)
  const counts = isEarly ? 'does not count as valid yet' : 'counts as expired'
  const times = `it is ${shown(now)} here, and ${shown(now + offsetMs)} there by its own word`
  const message = `The clock of this machine is wrong: it is ${sideOf(there)}, so the certificate of the cloud ${counts}. Now ${times}.`
  return { own: 'wrong-clock', message }
}
