import type { Clock } from '../../../shared/clock.ts'
import type { Leadership } from '../../../shared/kubernetes/lease.ts'
import type { Log } from '../../../shared/log.ts'
import type { Pusher } from './pusher.ts'

export type TellingOnParts = {
  pusher: Pick<Pusher, 'push' | 'isHeard'>
  lease: Leadership
  clock: Clock
  ending: AbortSignal
  log: Log
}

/**
 * Whoever led goes on telling after the Lease ran out: with an API server that is away nobody else can lead, and the cloud would take the
 * region for dead instead of hearing that its facts are stale. Safe without the Lease: it only changes the status that the cloud acknowledged
 * to this process last (If-Match). Another leader has told a whole one with another sequence: then the cloud refuses, and this one is silent, as after
 * any other failure. It renews nothing, so it also ends with the credential.
 */
export class TellingOn {
  readonly #parts: TellingOnParts
  #last: Promise<unknown> = Promise.resolve()
  #running: Promise<void> | undefined
  #leadsAgain = new AbortController()

  constructor(parts: TellingOnParts) {
    this.#parts = parts
  }

  /** As `Pusher.push`, one after the other. */
  push(): Promise<number | undefined> {
    const next = this.#last.then(() => this.#parts.pusher.push())
    this.#last = next.catch(() => {})
    return next
  }

  /** Follows the Lease. Returns the function that unsubscribes. */
  follow(): () => void {
    return this.#parts.lease.onChange((leads) => {
      if (leads || this.#running !== undefined) return
      this.#leadsAgain = new AbortController()
      this.#running = this.#tell(AbortSignal.any([this.#parts.ending, this.#leadsAgain.signal]))
        .catch((error: unknown) => this.#parts.log.warn({ err: error }, 'the status could not be told without the Lease'))
        .finally(() => {
          this.#running = undefined
        })
    })
  }

  /** Calls as soon as this one tells nothing more without the Lease: at once, unless a request is under way. */
  end(then: () => void): void {
    this.#leadsAgain.abort()
    if (this.#running === undefined) then()
    else void this.#running.then(then)
  }

  async #tell(signal: AbortSignal): Promise<void> {
    const { pusher, lease, clock } = this.#parts
    await this.#last
    while (!signal.aborted && !lease.isLeader() && pusher.isHeard) {
      const pauseMs = await this.push()
      if (pauseMs === undefined) return
      await clock.sleep(Math.max(1, pauseMs), signal).catch(() => {})
    }
  }
}
