import type { Clock } from '../../shared/clock.ts'
import type { Leadership } from '../../shared/kubernetes/lease.ts'
import type { Log } from '../../shared/log.ts'
import type { SparkplugCounters } from './counters.ts'
import { createItinerary, type ItineraryConfig } from './itinerary.ts'
import { type ServerConfig, serverName } from './mqtt-client.ts'
import type { QuietLog } from './quiet-log.ts'
import { runSession } from './session.ts'
import type { SessionContext, SessionEnd } from './session-context.ts'
import { messageOf } from './waits.ts'

/** What the loop works with. Without a `lease` the node always leads. */
export type SessionLoopParts = ItineraryConfig & {
  servers: readonly ServerConfig[]
  clientId: string
  /** The context of a session on the server with this index. */
  contextFor: (index: number) => SessionContext
  lease: Leadership | undefined
  /** Whether there was a session before this process. @throws when that is not known */
  wasUsed: (signal: AbortSignal) => Promise<boolean>
  counters: SparkplugCounters
  clock: Clock
  log: Log
  warn: QuietLog
  random: () => number
}

/** A replica that leads later was no part of a common start: after a loss of power, the Lease of the process before has run out by then. */
const longStartMs = 60_000

/**
 * Runs one session after the other, until the signal aborts, and only while this replica leads. The itinerary says on which server, and
 * after which pause. The first session of a new installation, and that of a replica that has waited for its turn, begins at once.
 */
export async function runSessions(parts: SessionLoopParts, signal: AbortSignal): Promise<void> {
  const { servers, counters, clock } = parts
  const itinerary = createItinerary(servers.length, parts, parts)
  const startedAt = clock.monotonic()
  if (await isLeading(parts, signal)) await spreadStart(parts, startedAt, signal)
  for (let sessions = 0; await isLeading(parts, signal); sessions++) {
    if (sessions > 0) counters.reconnects++
    const server = servers[itinerary.index()] as ServerConfig
    const end = await runOne(parts, itinerary.index(), signal)
    counters.server = undefined
    if (signal.aborted) return
    // Losing the Lease is not a failure: as soon as this replica leads again, which may be now, it connects.
    if (end.reason === 'stopped' || end.reason === 'not-leader') continue
    const { pauseMs, otherClient } = itinerary.next(end)
    logEnd(parts, end, serverName(server))
    if (otherClient !== undefined) logOtherClient(parts, otherClient, serverName(server))
    await pause(parts, pauseMs, signal)
  }
}

/**
 * Ten thousand monitors may start in the same second: the power is back, or all of them are upgraded. One that had a session before comes
 * back as if it had lost it just now, in a random part of the first window. A new installation has somebody who waits for it, and a replica that
 * succeeds a dead one has waited already.
 */
async function spreadStart(parts: SessionLoopParts, startedAt: number, signal: AbortSignal): Promise<void> {
  const { reconnect, wasUsed, lease, clock, random } = parts
  if (lease?.hasSucceeded?.() || clock.monotonic() - startedAt > longStartMs) return
  // Where that cannot be read now, it was written once.
  if (await wasUsed(signal).catch(() => true)) await pause(parts, Math.floor(random() * reconnect.baseMs), signal)
}

/** Ends early when this replica begins to lead. */
async function pause({ lease, clock }: SessionLoopParts, ms: number, signal: AbortSignal): Promise<void> {
  const over = new AbortController()
  const forget = lease?.onChange((leads) => {
    if (leads) over.abort()
  })
  await clock.sleep(ms, AbortSignal.any([signal, over.signal])).catch(() => {})
  forget?.()
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
    return { reason: 'refused', detail: messageOf(error), onlineMs: 0, isProven: false, endedBy: undefined }
  } finally {
    forget?.()
  }
}

function logEnd({ log, warn }: SessionLoopParts, { reason, detail, onlineMs }: SessionEnd, server: string): void {
  if (onlineMs > 0) log.warn({ server, reason, detail }, 'edge node is offline, changes are kept')
  // The same failure again is not news.
  else warn(`${server} ${reason}`, { server, reason, detail }, 'edge node cannot be born on this server')
}

function logOtherClient({ clientId, warn }: SessionLoopParts, otherClient: 'certain' | 'perhaps', server: string): void {
  const fields = { server, clientId }
  if (otherClient === 'certain')
    warn(`${server} taken over`, fields, 'another client uses this client id: are there two monitors with this group and node?')
  else
    warn(
      `${server} closes`,
      fields,
      'the server closes each session soon after its births: perhaps another client uses this client id, such as a second monitor with this group and node',
    )
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
