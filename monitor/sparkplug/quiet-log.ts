import type { Clock } from '../../shared/clock.ts'
import type { Log } from '../../shared/log.ts'

/**
 * Logs warnings that others can cause at will: once per reason and period, with the number suppressed since. A storm of hostile messages
 * then costs one line, not a full disk.
 */
export function createQuietLog({ log, clock, periodMs = 300_000 }: { log: Log; clock: Clock; periodMs?: number }) {
  const last = new Map<string, { at: number; unsaid: number }>()
  return (reason: string, fields: Record<string, unknown>, message: string): void => {
    const now = clock.monotonic()
    const before = last.get(reason)
    if (before !== undefined && now - before.at < periodMs) {
      before.unsaid++
      return
    }
    last.set(reason, { at: now, unsaid: 0 })
    log.warn({ reason, ...fields, ...(before !== undefined && before.unsaid > 0 ? { alsoSince: before.unsaid } : {}) }, message)
  }
}

/** What `createQuietLog` returns. Reasons come from a fixed set, so that its memory stays small. */
export type QuietLog = ReturnType<typeof createQuietLog>
