import type { Clock } from '../../shared/clock.ts'
import type { Log } from '../../shared/log.ts'
import { createBuckets } from './limits.ts'

/** One request in the audit: who, what, and with which result. Never a secret, a query or a body. */
export type AuditRecord = {
  requestId: string
  /** undefined when the request was not authenticated. */
  identity: string | undefined
  remote: string
  method: string
  /** The route's template, such as `/v1/projects/{project}`; undefined when no route has the path. */
  route: string | undefined
  /** The values of the path's parameters. */
  target: Record<string, string>
  status: number
  /** The type of the problem, if the request was refused. */
  problem: string | undefined
  /** The operation that was accepted. */
  operation: string | undefined
  dryRun: boolean
}

export type Audit = { record(record: AuditRecord): void }

/** Whether a request leaves a record: every request that may have changed something, and every refusal because of the caller. */
export function isAudited(method: string, status: number): boolean {
  const isRead = method === 'GET' || method === 'HEAD' || method === 'OPTIONS'
  return !isRead || status === 401 || status === 403 || status === 429
}

/** An unauthenticated caller could fill the disk with refusals: only this many in a second have a record each; the rest are counted. */
const anonymous = { perSecond: 10, burst: 50 }

/** Writes audit records to the log, as lines with `audit: true`. */
export function createAudit({ log, clock }: { log: Log; clock: Clock }): Audit {
  const lines = log.child({ audit: true })
  const buckets = createBuckets(anonymous, clock)
  let untold = 0
  return {
    record({ target, operation, problem, ...rest }) {
      if (rest.identity === undefined && buckets.take('anonymous') > 0) {
        untold++
        return
      }
      const fields = {
        ...rest,
        target: Object.fromEntries(Object.entries(target).map(([name, value]) => [name, value.slice(0, 100)])),
        ...(operation !== undefined && { operation }),
        ...(problem !== undefined && { problem }),
        ...(untold > 0 && { untold }),
      }
      untold = 0
      if (rest.status >= 400) lines.warn(fields, 'request refused')
      else lines.info(fields, 'request answered')
    },
  }
}
