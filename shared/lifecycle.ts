import type { Clock } from './clock.ts'
import type { Log } from './log.ts'

/** Something that runs for as long as the process does. Creating it starts nothing. */
export type Part = {
  name: string
  /** Resolves when the part is ready. `signal` aborts when the process is told to stop: a start in progress gives up then. */
  start(signal: AbortSignal): Promise<void>
  /** Finishes what is in hand and resolves; what is not finished at `deadline` (of `clock.monotonic()`) is cut off. */
  stop(deadline: number): Promise<void>
}

/** What `runParts` needs. */
export type RunOptions = { stopping: AbortSignal; graceMs: number; log: Log; clock?: Clock }

/**
 * Starts the parts from left to right, waits until `stopping` aborts, and stops them from right to left.
 * A part that fails to start stops those already started, and its error is thrown.
 */
export async function runParts(parts: readonly Part[], { stopping, graceMs, log, clock }: RunOptions): Promise<void> {
  throw new Error(`not yet: ${parts.length} ${stopping.aborted} ${graceMs} ${typeof log} ${typeof clock}`)
}
