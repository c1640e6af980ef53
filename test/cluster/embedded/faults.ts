import { seeded } from '../seeded.ts'
import type { Faults } from '../test-cluster.ts'
import { ApiError } from './status.ts'

type Settings = Required<Parameters<Faults['set']>[0]>

const none: Settings = { latencyMs: 0, errorRate: 0, lostAnswerRate: 0, conflictRate: 0 }

const serverErrors = [
  () => new ApiError(500, 'InternalError', 'Internal error occurred: injected fault'),
  () =>
    new ApiError(503, 'ServiceUnavailable', 'the server is currently unable to handle the request: injected fault', {
      retryAfterSeconds: 1,
    }),
  () => new ApiError(429, 'TooManyRequests', 'too many requests, please try again later: injected fault', { retryAfterSeconds: 1 }),
]

/** The faults in effect. */
export class FaultPlan {
  #settings = none
  #random: () => number
  readonly #seed: number

  constructor(seed = 1) {
    this.#seed = seed
    this.#random = seeded(seed)
  }

  set(settings: Partial<Settings>): void {
    this.#settings = { ...none, ...settings }
    this.#random = seeded(this.#seed)
  }

  clear(): void {
    this.#settings = none
  }

  get latencyMs(): number {
    return this.#settings.latencyMs
  }

  /** The error with which this request fails before it has any effect. */
  refusal(method: string): ApiError | undefined {
    const { errorRate, conflictRate } = this.#settings
    if (this.#draw(errorRate)) return serverErrors[Math.floor(this.#random() * serverErrors.length)]?.()
    if ((method === 'PUT' || method === 'PATCH') && this.#draw(conflictRate)) {
      const message =
        'Operation cannot be fulfilled: the object has been modified; please apply your changes to the latest version and try again'
      return new ApiError(409, 'Conflict', message, {})
    }
    return undefined
  }

  /** Whether the answer to this write, which took effect, is lost. */
  losesAnswer(method: string): boolean {
    return method !== 'GET' && this.#draw(this.#settings.lostAnswerRate)
  }

  #draw(rate: number): boolean {
    return rate > 0 && this.#random() < rate
  }
}
