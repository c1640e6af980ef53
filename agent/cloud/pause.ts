import { backoff } from '../../shared/clock.ts'
import type { CloudFault } from './fault.ts'

/** The usual heartbeat: a cloud that bears the heartbeats of its regions bears them spread over as long. In milliseconds. */
const mostSpreadMs = 60_000

/**
 * How long to wait after an attempt in vain, in milliseconds: a random part of a window that doubles. A cloud that asks for patience is left alone
 * that long, and the random part comes on top: `Retry-After` may be the rest of a maintenance, the same moment for every region.
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
  const usualMs = backoff(window, Math.min(attempts, 20), random)
  if (retryAfterMs === undefined) return usualMs
  return retryAfterMs + Math.max(usualMs, Math.floor(random * Math.min(retryAfterMs, mostSpreadMs)))
}
