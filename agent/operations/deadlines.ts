import type { Clock } from '../../shared/clock.ts'
import type { Operation } from '../resources/operation.ts'

/** The end of the time that an operation has, by the clock in the cluster and by our monotonic one. */
type Deadline = { written: string; dueAt: number }

/** More are forgotten, the oldest first: their time then begins to be measured again, from what is written. */
const mostRemembered = 10_000

/**
 * Whether the time of operations is up. What is left of it is taken from the time of day once, at the first look of this process, and measured with
 * the monotonic clock from then on: a clock that is set forward by three hours ends no operation, and one that is set back lets none live on.
 */
export class Deadlines {
  readonly #clock: Clock
  readonly #known = new Map<string, Deadline>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Whether the deadline of the operation has passed; false while it has none. */
  havePassed({ metadata, status }: Pick<Operation, 'metadata' | 'status'>): boolean {
    const { deadline } = status ?? {}
    if (deadline === undefined) return false
    const { uid = metadata.name } = metadata
    let known = this.#known.get(uid)
    if (known?.written !== deadline) {
      known = { written: deadline, dueAt: this.#clock.monotonic() + Date.parse(deadline) - this.#clock.now() }
      this.#known.set(uid, known)
      for (const oldest of this.#known.keys()) {
        if (this.#known.size <= mostRemembered) break
        this.#known.delete(oldest)
      }
    }
    return known.dueAt <= this.#clock.monotonic()
  }
}
