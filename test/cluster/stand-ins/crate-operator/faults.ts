import type { Health } from '../databases.ts'

/** What the operator does wrong with one database, or one Secret, for as long as it is set. */
export type DatabaseFaults = {
  /**
   * Handlers that fail for good, with their message: by id, or by the end of it (`scale`, `before_cluster_update/disable_cronjob`).
   * With `retries` they first fail that many times for the time being.
   */
  fail?: Record<string, string | { message: string; retries: number }>
  /** An upgrade fails while pods restart, with this message, and is rolled back. */
  rollBackUpgrade?: string
  /** A restore fails with this message; `restoreSnapshot` is reset as always. */
  failRestore?: string
  /** A sub-handler that waits for longer than the operator lets it: at its next call it fails with a time-out. */
  timeOut?: string
  /** Nothing moves any more from this handler on: its progress stays as it stands. */
  stopAt?: string
  /** The object is not seen at all. */
  neverStart?: boolean
  holdFinalizer?: boolean
  /** Health is never written again; with a value, after that has been written. */
  staleHealth?: boolean | Health | 'UNREACHABLE' | 'SUSPENDED'
}

/** How webhooks arrive. */
export type WebhookFaults = {
  /** How often each is sent; 1 when left out. */
  copies?: number
  /** Those from now on wait until this is taken back; other processes see what they tell of before. */
  late?: boolean
  /** Holds this many back and sends them last to first. */
  reverseEvery?: number
}

export type Faults = {
  /** @param database `name`, or `namespace/name` */
  set(database: string, faults: DatabaseFaults): void
  /** Takes back what was set for one database, or everything. */
  clear(database?: string): void
  webhooks(faults: WebhookFaults): void
  /** What is set for an object at the moment. */
  of(key: string): DatabaseFaults
  readonly ofWebhooks: WebhookFaults
  /** Resolves once webhooks are not late, or no longer so. */
  punctual(): Promise<void>
  /** The message with which a handler is to fail now. */
  failureOf(key: string, handlerId: string): { message: string; retries: number } | undefined
  stopsAt(key: string, handlerId: string): boolean
  timesOut(key: string, handlerId: string): boolean
}

/** @param changed is told which database's faults have changed, undefined for all */
export function createFaults(changed: (database: string | undefined) => void): Faults {
  const all = new Map<string, DatabaseFaults>()
  let ofWebhooks: WebhookFaults = {}
  let lateness = Promise.withResolvers<void>()
  const of = (key: string): DatabaseFaults => all.get(key) ?? all.get(key.slice(key.indexOf('/') + 1)) ?? {}

  function setWebhooks(faults: WebhookFaults): void {
    ofWebhooks = faults
    if (faults.late) return
    lateness.resolve()
    lateness = Promise.withResolvers()
  }

  return {
    set(database, faults) {
      all.set(database, faults)
      changed(database)
    },
    clear(database) {
      if (database === undefined) {
        all.clear()
        setWebhooks({})
      } else all.delete(database)
      changed(database)
    },
    webhooks: setWebhooks,
    punctual: async () => (ofWebhooks.late ? lateness.promise : undefined),
    of,
    get ofWebhooks() {
      return ofWebhooks
    },
    failureOf(key, handlerId) {
      const { fail, rollBackUpgrade, failRestore } = of(key)
      const failing = {
        ...fail,
        ...(rollBackUpgrade !== undefined && { 'cluster_update/restart': rollBackUpgrade }),
        ...(failRestore !== undefined && { restore_backup_data: failRestore }),
      }
      const [, found] = Object.entries(failing).find(([end]) => endsWith(handlerId, end)) ?? []
      return typeof found === 'string' ? { message: found, retries: 0 } : found
    },
    stopsAt(key, handlerId) {
      const { stopAt } = of(key)
      return stopAt !== undefined && endsWith(handlerId, stopAt)
    },
    timesOut(key, handlerId) {
      const { timeOut } = of(key)
      return timeOut !== undefined && endsWith(handlerId, timeOut)
    },
  }
}

const endsWith = (handlerId: string, end: string) => handlerId === end || handlerId.endsWith(`/${end}`)
