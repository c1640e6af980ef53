import type { Clock } from '../../../shared/clock.ts'
import type { Heard, Said } from './names.ts'
import type { RegistrationStatus } from './status.ts'
import { heardEveryMs, statusHeard } from './telling.ts'

/** What the cloud says outside the steps of the registration, in its answers to a status, until it is written down. */
export class Hearing {
  readonly #clock: Pick<Clock, 'now' | 'monotonic'>
  #heard: (Heard & { at: number }) | undefined
  #said = ''
  /** Until this monotonic moment it is not worth a write that the cloud was heard. */
  #writtenUntil = 0

  constructor(clock: Pick<Clock, 'now' | 'monotonic'>) {
    this.#clock = clock
  }

  /** Takes what an answer says. @returns whether that is worth a write */
  take({ name, tags, ledgerKnown = this.#heard?.ledgerKnown }: Heard): boolean {
    const isBehind = (ledgerKnown ?? 0) < (this.#heard?.ledgerKnown ?? 0)
    this.#heard = { name, tags, ledgerKnown, at: this.#clock.now() }
    const said = JSON.stringify([name, tags])
    if (said === this.#said && !isBehind && this.#clock.monotonic() < this.#writtenUntil) return false
    this.#said = said
    this.#writtenUntil = this.#clock.monotonic() + heardEveryMs
    return true
  }

  /** The status with what was heard, and what the site says now; undefined if nothing is worth a write. */
  writtenInto(status: RegistrationStatus, { site, isJoined }: { site: Said; isJoined: boolean }): RegistrationStatus | undefined {
    return statusHeard(status, { site, heard: isJoined ? this.#heard : undefined })
  }
}
