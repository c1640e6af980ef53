import { isProblem } from '../../shared/errors.ts'
import type { Log } from '../../shared/log.ts'
import type { Journal } from '../operations/journal.ts'
import type { Requests } from '../operations/own-request.ts'
import type { DatabaseTarget } from '../resources/kind.ts'
import { hasEnded, type Operation } from '../resources/operation.ts'
import type { RetainedDatabase } from '../resources/retained-database.ts'
import { leftBy } from '../resources/retained-keeping.ts'
import { isPurgeOf, purge } from '../resources/retained-work.ts'

export type ExpiryParts = {
  requests: Requests
  journal: Pick<Journal, 'all'>
  /** The time by which data expires, in Unix milliseconds. */
  now: () => number
  mustAct: () => void
  log: Log
}

/** Who asks for a purge when the time has come, in the ledger. */
const expiry = 'expiry of Skerry'

/** Between two looks at a date, in milliseconds: which clock is believed may change. */
const longestMs = 60 * 60_000
/** Before a purge that failed is repeated, in milliseconds: the first time, and at most. */
const repeat = { baseMs: 60_000, capMs: 6 * 60 * 60_000 }
/** Before a purge is repeated that left volumes which the storage did not delete, in milliseconds. */
const incompleteMs = 24 * 60 * 60_000
/** After a refusal, in milliseconds. */
const refusedMs = 10 * 60_000

/** When to look again, in milliseconds, and what keeps the purge from being accepted. */
export type Expiry = { nextMs?: number; trouble?: string }

/**
 * Asks for the purge of a deleted database when its time has come. A purge that failed is repeated, later each time; one that left volumes, once a
 * day. Several leaders ask for the same entry of the ledger.
 *
 * @param dueAt Unix milliseconds; undefined if nobody has decided that the data may go
 */
export async function expire(
  record: RetainedDatabase,
  { target, dueAt }: { target: DatabaseTarget; dueAt: number | undefined },
  parts: ExpiryParts,
): Promise<Expiry> {
  if (dueAt === undefined) return {}
  const failed = purgesOf(record, target, parts)
  const last = failed.at(-1)
  const at = Math.max(dueAt, last ? Date.parse(last.status?.endedAt ?? '') + pauseAfter(failed.length, record) : 0)
  const leftMs = at - parts.now()
  const trouble = last && leftBy(record.status).length === 0 ? failureOf(last) : undefined
  if (leftMs > 0) return { nextMs: Math.min(leftMs, longestMs), ...(trouble !== undefined && { trouble }) }
  const { name, uid = '' } = record.metadata
  parts.mustAct()
  try {
    const { project } = target
    const key = `${uid}.${last?.metadata.name ?? 'first'}`
    await parts.requests.accept({ operationId: purge.operationId, target, params: { project, deleted: name }, requestedBy: expiry, key })
    parts.log.info({ record: name, ...target, dueAt: new Date(dueAt).toISOString() }, 'deleted database has expired')
    return {}
  } catch (error) {
    if (!isProblem(error, 'wrong-state', 'not-found', 'unsupported-edit', 'invalid-fields')) throw error
    return { nextMs: refusedMs, trouble: `Its purge was refused: ${error.detail}` }
  }
}

/** Those that have ended although the record still stands, by sequence. */
function purgesOf(record: RetainedDatabase, target: DatabaseTarget, { journal }: ExpiryParts): Operation[] {
  return journal.all().filter((operation) => hasEnded(operation) && isPurgeOf(operation, target, record))
}

function pauseAfter(times: number, { status }: RetainedDatabase): number {
  return leftBy(status).length > 0 ? incompleteMs : Math.min(repeat.capMs, repeat.baseMs * 2 ** (times - 1))
}

function failureOf({ metadata, status }: Operation): string {
  return `Its purge by ${metadata.name} ended as ${status?.phase}: ${status?.message ?? 'nothing is known of why'}`
}
