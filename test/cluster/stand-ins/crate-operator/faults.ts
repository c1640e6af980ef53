import type { Health } from '../databases.ts'

/** Faults of the operator for one database or one Secret. */
export type DatabaseFaults = {
  /**
   * Handlers that fail permanently, with their message, by id or the end of it (`scale`, `before_cluster_update/disable_cronjob`).
   * With `retries`, they first fail temporarily that many times.
   */
  fail?: Record<string, string | { message: string; retries: number }>
  /** An upgrade fails while pods restart, with this message, and is rolled back. */
  rollBackUpgrade?: string
  /** A restore fails with this message; `restoreSnapshot` is reset as always. */
  failRestore?: string
  /** A sub-handler that exceeds its time: it fails with a time-out at its next call. */
  timeOut?: string
  /** The handler at which everything hangs: its progress no longer changes. */
  stopAt?: string
  /** The operator never notices the object. */
  neverStart?: boolean
  /** The operator never removes its finalizer. */
  holdFinalizer?: boolean
  /** Health is never written again, after this value if one is given. */
  staleHealth?: boolean | Health | 'UNREACHABLE' | 'SUSPENDED'
}

/** How webhooks arrive. */
export type WebhookFaults = {
  /** How often each is sent; 1 by default. */
  copies?: number
  /** Webhooks wait until this is cleared, so that others see the change in the cluster first. */
  late?: boolean
  /** Collects this many and sends them in reverse order. */
  reverseEvery?: number
}

/** The faults of the operator. */
export type Faults = {
  /** @param database `name`, or `namespace/name` */
  set(database: string, faults: DatabaseFaults): void
  /** Clears the faults of one database, or all faults. */
  clear(database?: string): void
  webhooks(faults: WebhookFaults): void
  /** The faults that are in effect for an object. */
  of(key: string): DatabaseFaults
  readonly ofWebhooks: WebhookFaults
  /** Resolves as soon as webhooks are not late. */
  punctual(): Promise<void>
  /** The failure that a handler reports now. */
  failureOf(key: string, handlerId: string): { message: string; retries: number } | undefined
  stopsAt(key: string, handlerId: string): boolean
  timesOut(key: string, handlerId: string): boolean
}

/** @param changed called with the database whose faults have changed, or undefined for all */
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
