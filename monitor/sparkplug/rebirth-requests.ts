import type { Clock } from '../../shared/clock.ts'

/**
 * Requests for rebirths, of the node and of each device. A storm of them is harmless: the first one is served at once, and all that come
 * within `intervalMs` of it are served by one more rebirth. Everything ends with the signal.
 */
export class RebirthRequests {
  readonly #serve: (device: string | undefined) => void
  readonly #limits: { intervalMs: number; clock: Clock; signal: AbortSignal }
  readonly #requests = new Map<string | undefined, { servedAt: number; isWaiting: boolean }>()

  /** @param serve gives birth to a device, or to the node and all devices when it is undefined */
  constructor(serve: (device: string | undefined) => void, limits: { intervalMs: number; clock: Clock; signal: AbortSignal }) {
    this.#serve = serve
    this.#limits = limits
  }

  request(device: string | undefined): void {
    const { intervalMs, clock, signal } = this.#limits
    if (signal.aborted) return
    const now = clock.monotonic()
    const request = this.#requests.get(device) ?? { servedAt: now - intervalMs, isWaiting: false }
    this.#requests.set(device, request)
    if (request.isWaiting) return
    const run = () => {
      request.isWaiting = false
      request.servedAt = clock.monotonic()
      this.#serve(device)
    }
    const left = request.servedAt + intervalMs - now
    if (left <= 0) run()
    else {
      request.isWaiting = true
      clock.sleep(left, signal).then(run, () => {})
    }
  }

  /** The device is gone. */
  forget(device: string): void {
    this.#requests.delete(device)
  }
}
