import { backoff } from '../../shared/clock.ts'
import type { CloudFault } from './fault.ts'

/** The usual heartbeat: a cloud that bears the heartbeats of its regions bears them spread over as long. In milliseconds. */
const mostSpreadMs = 60_000

/** The longest pause, with what is added to what a cloud asks for. In milliseconds. */
const longestMs = 3_600_000

/** The longest pause that a cloud may ask for. In milliseconds. */
export const mostAskedMs = longestMs - mostSpreadMs

/**
 * How long to wait after an attempt in vain, in milliseconds: a random part of a window that doubles. A cloud that asks for patience is left alone
 * that long, and the random part comes on top: `Retry-After` may be the rest of a maintenance, the same moment for every region. Both together
 * are an hour at the most: of what is asked for, so much is obeyed that the last minute is left to spread.
 *
 * @param attempts in vain so far, from 1
 * @param random a number in [0, 1)
 */
export function pauseAfter(
  { retryAfterMs }: Pick<CloudFault, 'retryAfterMs'>,
  window: { baseMs: number; capMs: number },
  attempts: number,
  random: number,
): number {
  const tries = Math.min(attempts, 20)
  if (retryAfterMs === undefined) return backoff(window, tries, random)
  const askedMs = Math.min(retryAfterMs, mostAskedMs)
  const spreadMs = Math.max(backoff(window, tries, 1), Math.min(askedMs, mostSpreadMs))
  return askedMs + Math.floor(random * Math.min(spreadMs, longestMs - askedMs))
}
