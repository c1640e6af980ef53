import type { Clock } from '../../shared/clock.ts'
import type { Connection } from './connection.ts'
import { messageOf, within } from './waits.ts'

/** What `createProof` returns. */
export type Proof = ReturnType<typeof createProof>

/**
 * Proof of delivery. A QoS 0 message has no receipt, but the server reads in order: once it answers a PINGREQ, it has read everything
 * that was sent before. The same PINGREQs keep the connection alive, and a connection whose server does not answer is cut.
 */
export function createProof(
  connection: Connection,
  { intervalMs, answerMs, clock, signal }: { intervalMs: number; answerMs: number; clock: Clock; signal: AbortSignal },
) {
  /** The PINGREQ under way; it ends with its answer, or when the connection is cut. */
  let underway: Promise<void> | undefined
  let pingedAt = clock.monotonic()

  async function ping(prepare: () => () => void): Promise<void> {
    const proven = prepare()
    pingedAt = clock.monotonic()
    try {
      await answered(connection.ping())
    } catch (error) {
      if (!signal.aborted) connection.destroy(messageOf(error))
      throw error
    }
    proven()
  }

  /** On a slow link a large birth is ahead of the PINGREQ. As long as some of it goes out, the limit starts again. */
  async function answered(answer: Promise<void>): Promise<void> {
    let { given, gone } = connection.flow()
    for (;;) {
      try {
        return await within(answer, answerMs, 'no answer to PINGREQ', clock, signal)
      } catch (error) {
        const now = connection.flow().gone
        if (signal.aborted || gone >= given || now <= gone) throw error
        gone = now
      }
    }
  }

  return {
    /** The last PINGREQ is `intervalMs` ago: the keep-alive asks for another. */
    isDue: () => clock.monotonic() - pingedAt >= intervalMs,
    /**
     * Sends a PINGREQ and waits for its answer, or for that of the PINGREQ under way.
     * @param prepare called when a PINGREQ is sent; the function that it returns is called with the answer
     */
    prove(prepare: () => () => void): Promise<void> {
      underway ??= ping(prepare).finally(() => {
        underway = undefined
      })
      return underway
    },
  }
}
