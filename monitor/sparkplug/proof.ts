import type { Clock } from '../../shared/clock.ts'
import type { Connection } from './connection.ts'
import { messageOf, within } from './waits.ts'

/**
 * Proof of delivery. A QoS 0 message has no receipt, but the server reads in order: once it answers a PINGREQ, it has read everything
 * that was sent before. The same PINGREQs keep the connection alive, and a connection whose server does not answer is cut.
 */
export class Proof {
  readonly #connection: Connection
  readonly #clock: Clock
  readonly #signal: AbortSignal
  /** The PINGREQ under way; it ends with its answer, or when the connection is cut. */
  #underway: Promise<void> | undefined
  #pingedAt: number
  /**
   * The longest time between two PINGREQs, and the longest wait for an answer: 0.75 of the keep-alive. A dead link is thus noticed within
   * 1.5 times the keep-alive.
   */
  readonly intervalMs: number

  constructor({
    connection,
    keepAliveSeconds,
    clock,
    signal,
  }: { connection: Connection; keepAliveSeconds: number; clock: Clock; signal: AbortSignal }) {
    this.#connection = connection
    this.#clock = clock
    this.#signal = signal
    this.#pingedAt = clock.monotonic()
    this.intervalMs = keepAliveSeconds * 750
  }

  /** The keep-alive asks for a PINGREQ now. */
  get isDue(): boolean {
    return this.#clock.monotonic() - this.#pingedAt >= this.intervalMs
  }

  /**
   * Sends a PINGREQ and waits for its answer, or for that of the PINGREQ under way.
   * @param prepare called when a PINGREQ is sent; the function that it returns is called with the answer
   */
  prove(prepare: () => () => void): Promise<void> {
    this.#underway ??= this.#ping(prepare).finally(() => {
      this.#underway = undefined
    })
    return this.#underway
  }

  async #ping(prepare: () => () => void): Promise<void> {
    const proven = prepare()
    this.#pingedAt = this.#clock.monotonic()
    try {
      await this.#answered(this.#connection.ping())
    } catch (error) {
      if (!this.#signal.aborted) this.#connection.destroy(messageOf(error))
      throw error
    }
    proven()
  }

  /** On a slow link a large birth is ahead of the PINGREQ. As long as some of it goes out, the limit starts again. */
  async #answered(answer: Promise<void>): Promise<void> {
    let { given, gone } = this.#connection.flow()
    for (;;) {
      try {
        return await within(answer, this.intervalMs, 'no answer to PINGREQ', this.#clock, this.#signal)
      } catch (error) {
        const now = this.#connection.flow().gone
        if (this.#signal.aborted || gone >= given || now <= gone) throw error
        gone = now
      }
    }
  }
}
