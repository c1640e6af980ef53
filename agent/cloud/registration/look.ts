import type { Clock } from '../../../shared/clock.ts'
import type { Log } from '../../../shared/log.ts'
import { thumbprintOf } from '../../../shared/signing/key.ts'
import type { CloudClock } from '../cloud-clock.ts'
import type { Said } from './names.ts'
import type { LinkState, LinkStore } from './state.ts'
import type { RegistrationStatus } from './status.ts'
import { statusAfter, type Told } from './telling.ts'

export type LookParts = {
  store: LinkStore
  cloudClock: CloudClock
  clock: Clock
  /** Called whenever the state was read or written. */
  known: (state: LinkState | undefined) => void
  log: Log
}

/** What was read, and what every status says. */
type Seen = { state: LinkState; status: RegistrationStatus | undefined; askAgain: string | undefined; cloud: string; site: Said }

/** One look at the registration, for one step: what the store says, and what is written over it. */
export class Look {
  readonly #seen: Seen
  readonly #parts: LookParts

  constructor(seen: Seen, parts: LookParts) {
    this.#seen = { ...seen }
    this.#parts = parts
  }

  get state(): LinkState {
    return this.#seen.state
  }

  /** As it was read, or written last. */
  get status(): RegistrationStatus | undefined {
    return this.#seen.status
  }

  /** Changes what the region must not lose. @throws Problem `conflict` if somebody else has written meanwhile */
  async change(edit: (present: LinkState) => LinkState): Promise<void> {
    this.#seen.state = await this.#parts.store.change(edit)
    this.#parts.known(this.#seen.state)
  }

  /** Tells that a step begins; of one that is tried again, why it failed stays in sight. */
  async enter(told: Told): Promise<void> {
    if (this.status?.state !== told.state) await this.tell(told)
  }

  /** Writes how things stand, for everybody. */
  async tell(told: Told): Promise<void> {
    const { store, clock, cloudClock, log } = this.#parts
    const { state, status: before, ...facts } = this.#seen
    const now = clock.now()
    const times = { now, aheadMs: cloudClock.now() - now }
    const status = statusAfter(before, told, { ...facts, ...times, joined: state.joined, thumbprint: thumbprintOf(state.key) })
    this.#seen.status = status
    await store.publish(status)
    const { state: to, reason, message } = told
    if (before?.state !== to || before.reason !== reason || before.message !== message) {
      log.info({ from: before?.state, to, reason, message }, 'registration advanced')
    }
  }
}
