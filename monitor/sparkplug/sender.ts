import type { Clock } from '../../shared/clock.ts'
import type { Change, ChangeBuffer } from './buffer.ts'
import type { SparkplugCounters } from './counters.ts'
import { fits } from './datatypes.ts'
import type { TrackedModel } from './model.ts'
import { type DataMetric, type Encode, encodeData } from './payload.ts'
import type { QuietLog } from './quiet-log.ts'
import type { Owner, TrackedMetric } from './tracked-metric.ts'

/** How much is sent at a time, and in which form. */
export type SenderSettings = {
  /** Whether each value names its type. */
  hasDatatypes: boolean
  /** The most metrics in one message. */
  maxMetricsPerMessage: number
  /** Historical values per second, so that a flush leaves the link and the historian room. */
  flushPerSecond: number
  /** Historical values sent without proof that they were read: an interrupted flush repeats no more than these. */
  maxUnproven: number
}

/** The result of a step. `throttled`: time must pass. `unproven`: proof must come. `over`: nothing can be sent any more. */
export type StepResult = 'idle' | 'sent' | 'throttled' | 'unproven' | 'congested' | 'over'

/** What `createSender` returns. */
export type Sender = ReturnType<typeof createSender>

type Group = { owner: Owner; isHistorical: boolean; metrics: DataMetric[] }

type SenderParts = {
  model: TrackedModel
  buffer: ChangeBuffer
  counters: SparkplugCounters
  clock: Clock
  warn: QuietLog
  /** Hands one NDATA or DDATA over; false when that is no longer possible, or when it was not encoded. */
  send: (owner: Owner, encode: Encode) => boolean
  isCongested: () => boolean
}

/**
 * Turns the buffer into data messages on one connection, in order, from the first unproven change on.
 *
 * Changes from before the birth of their owner on this connection are history: they go first, rate limited, with `is_historical` and their
 * own times. Changes from after the birth are live and wait behind them, so that no metric goes back in time; the present values were in the
 * birth. The change that the birth itself carried is not sent again.
 */
export function createSender(settings: SenderSettings, { model, buffer, counters, clock, warn, send, isCongested }: SenderParts) {
  let cursor = buffer.start
  // The most that is sent at once: as much as a tenth of a second allows.
  const burst = Math.max(1, settings.flushPerSecond / 10)
  let tokens = burst
  let refilledAt = clock.monotonic()

  function refill(): void {
    const now = clock.monotonic()
    tokens = Math.min(burst, tokens + ((now - refilledAt) / 1000) * settings.flushPerSecond)
    refilledAt = now
  }

  /** Sends metrics of one owner, in as many messages as the server's limit asks for. @returns false when nothing can be sent any more */
  function sendWithin(owner: Owner, metrics: readonly DataMetric[]): boolean {
    let excess: { bytes: number; room: number } | undefined
    const isSent = send(owner, (head, room) => {
      const payload = encodeData(metrics, head, settings)
      if (payload.length <= room) return payload
      excess = { bytes: payload.length, room }
      return undefined
    })
    if (isSent || excess === undefined) return isSent
    if (metrics.length > 1) {
      const half = Math.ceil(metrics.length / 2)
      return sendWithin(owner, metrics.slice(0, half)) && sendWithin(owner, metrics.slice(half))
    }
    counters.buffer.tooLarge++
    warn(
      'change-too-large',
      { device: owner.id, metric: metrics[0]?.name, ...excess },
      'a value is larger than the server takes, and is left out',
    )
    return true
  }

  /** Sends at most one batch. */
  function step(): StepResult {
    if (isCongested()) return 'congested'
    cursor = Math.max(cursor, buffer.start)
    const entries = buffer.read(cursor, settings.maxMetricsPerMessage)
    if (entries.length === 0) return 'idle'
    refill()
    const groups = new Map<string, Group>()
    let next = cursor
    let why: StepResult | undefined
    for (const { index, change } of entries) {
      const owner = model.ownerOf(change.device)
      const metric = owner?.metrics.get(change.name)
      const isBorn =
        owner?.bornAt !== undefined &&
        metric !== undefined &&
        !owner.leftOut.has(change.name) &&
        (change.value === null || fits(metric.datatype, change.value))
      // Only born metrics can be sent [tck-id-operational-behavior-data-publish-nbirth]; the history of a removed metric is lost.
      if (!isBorn) counters.buffer.unborn++
      else if (index !== metric.carriedIndex) {
        const isHistorical = change.isLate === true || index < (owner.bornAt as number)
        if (isHistorical) {
          why = tokens < 1 ? 'throttled' : index - buffer.start >= settings.maxUnproven ? 'unproven' : undefined
          if (why !== undefined) break
          tokens--
        }
        add(groups, owner, isHistorical, dataOf(metric, change, isHistorical))
      }
      next = index + 1
    }
    for (const { owner, isHistorical, metrics } of groups.values()) {
      // Live values are ordered by time [tck-id-operational-behavior-data-publish-dbirth-order]; history keeps the order of the buffer.
      if (!isHistorical) metrics.sort((a, b) => a.timestamp - b.timestamp)
      if (!sendWithin(owner, metrics)) return 'over'
      if (isHistorical) counters.buffer.historical += metrics.length
    }
    const hasMoved = next > cursor
    cursor = next
    return hasMoved ? 'sent' : (why ?? 'sent')
  }

  return {
    /** The buffer was handed over up to here. With proof it can be released up to here. */
    get cursor(): number {
      return cursor
    },
    step,
  }
}

function add(groups: Map<string, Group>, owner: Owner, isHistorical: boolean, metric: DataMetric): void {
  const key = `${isHistorical ? 'h' : 'l'}${owner.id === undefined ? '' : `/${owner.id}`}`
  const group = groups.get(key)
  if (group === undefined) groups.set(key, { owner, isHistorical, metrics: [metric] })
  else group.metrics.push(metric)
}

function dataOf({ name, alias, datatype }: TrackedMetric, { value, timestamp, quality }: Change, isHistorical: boolean): DataMetric {
  return { ...(alias === undefined ? { name } : { alias }), datatype, value, timestamp, quality, isHistorical }
}
