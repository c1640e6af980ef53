import type { Part } from '../../shared/lifecycle.ts'
import type { LeaderTools } from '../operations/queue.ts'

/**
 * A part that looks every `tickMs` milliseconds at what is due, while the Lease is held. A look that fails is logged and made again.
 * @param what is looked for, in the words of the log: `due backups`
 * @param look ends soon once the signal is aborted; a stop waits for it
 */
export function lookWhileLeading(
  { name, what, tickMs, look }: { name: string; what: string; tickMs: number; look: (signal: AbortSignal) => Promise<void> },
  { lease, clock, log }: Omit<LeaderTools, 'cluster'>,
): Part {
  const ending = new AbortController()
  let running: Promise<void> | undefined

  async function run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      if (lease.isLeader())
        await look(signal).catch((error: unknown) => {
          if (!signal.aborted) log.warn({ err: error }, `looking for ${what} failed, trying again`)
        })
      await clock.sleep(tickMs, signal).catch(() => {})
    }
  }

  return {
    name,
    async start() {
      running = run(ending.signal)
    },
    async stop() {
      ending.abort()
      await running
    },
  }
}
