import { backoff, type Clock } from '../../shared/clock.ts'
import type { Leadership } from '../../shared/kubernetes/lease.ts'
import type { Log } from '../../shared/log.ts'
import type { SparkplugCounters } from './counters.ts'
import { type ServerConfig, serverName } from './mqtt-client.ts'
import type { QuietLog } from './quiet-log.ts'
import { runSession } from './session.ts'
import type { SessionContext, SessionEnd } from './session-context.ts'
import { messageOf } from './waits.ts'

/** What the loop works with. Without a `lease` the node always leads. */
export type SessionLoopParts = {
  servers: readonly ServerConfig[]
  reconnect: { baseMs: number; capMs: number }
  /** The context of a session on the server with this index. */
  contextFor: (index: number) => SessionContext
  lease: Leadership | undefined
  counters: SparkplugCounters
  clock: Clock
  log: Log
  warn: QuietLog
  random: () => number
}

/**
 * Runs one session after the other, until the signal aborts, and only while this replica leads. After the last server the first one
 * follows.
 *
 * Between two sessions it waits for a random part of a window that doubles with each failure (full jitter): 10,000 monitors that lose
 * one server come back spread over the window. Only the first session, and that of a new leader, begins at once.
 */
export async function runSessions(parts: SessionLoopParts, signal: AbortSignal): Promise<void> {
  const { servers, reconnect, counters, clock, random } = parts
  let index = 0
  let failures = 0
  for (let sessions = 0; await isLeading(parts, signal); sessions++) {
    if (sessions > 0) counters.reconnects++
    const end = await runOne(parts, index, signal)
    counters.server = undefined
    if (signal.aborted) return
    // Losing the Lease is not a failure: as soon as this replica leads again, which may be now, it connects.
    if (end.reason === 'stopped' || end.reason === 'not-leader') continue
    logEnd(parts, end, serverName(servers[index] as ServerConfig))
    index = (index + 1) % servers.length
    failures = end.isProven ? 0 : failures + 1
    // A first failure has the first window too.
    await clock.sleep(backoff(reconnect, Math.max(0, failures - 1), random()), signal).catch(() => {})
  }
}

async function runOne({ contextFor, lease, counters }: SessionLoopParts, index: number, signal: AbortSignal): Promise<SessionEnd> {
  const context = contextFor(index)
  counters.server = serverName(context.server)
  const deposed = new AbortController()
  const forget = lease?.onChange((leads) => {
    if (!leads) deposed.abort(new Error('another replica leads'))
  })
  try {
    return await runSession(context, AbortSignal.any([signal, deposed.signal]))
  } catch (error) {
    return { reason: 'refused', detail: messageOf(error), onlineMs: 0, isProven: false }
  } finally {
    forget?.()
  }
}

function logEnd({ log, warn }: SessionLoopParts, { reason, detail, onlineMs }: SessionEnd, server: string): void {
  if (onlineMs > 0) log.warn({ server, reason, detail }, 'edge node is offline, changes are kept')
  // The same failure again is not news.
  else warn(`${server} ${reason}`, { server, reason, detail }, 'edge node cannot be born on this server')
}

/** Waits until this replica leads. @returns false when the signal aborts first */
async function isLeading({ lease, clock }: SessionLoopParts, signal: AbortSignal): Promise<boolean> {
  while (!signal.aborted) {
    if (lease?.isLeader() ?? true) return true
    const changed = Promise.withResolvers<void>()
    const forget = lease?.onChange(() => changed.resolve())
    const done = new AbortController()
    // Looks at the clock too: a Lease can run out without an event.
    const limit = clock.sleep(1_000, AbortSignal.any([signal, done.signal])).catch(() => {})
    await Promise.race([changed.promise, limit])
    done.abort()
    forget?.()
  }
  return false
}
