import { deleteObject } from '../../shared/kubernetes/delete.ts'
import { kinds, pathOf } from '../../shared/kubernetes/objects.ts'
import { listObjects } from '../../shared/kubernetes/read.ts'
import type { Part } from '../../shared/lifecycle.ts'
import type { Journal } from '../operations/journal.ts'
import type { LedgerKeeper } from '../operations/ledger-keeper.ts'
import type { LeaderTools } from '../operations/queue.ts'
import { requestSecretOf } from '../operations/request-secret.ts'
import { label } from '../resources/labels.ts'
import { hasEnded, type Operation } from '../resources/operation.ts'

export type CollectorConfig = {
  /** The agent's own, where the operations are. */
  namespace: string
  /** Ended operations are kept for this long, in milliseconds. */
  keepMs: number
  /** The maximum number of operations that are kept, if enough of them have ended. */
  keepCount: number
  /** Between two collections, in milliseconds. */
  intervalMs: number
}

/** A request is accepted within seconds after its Secret is created. A Secret of this age, in milliseconds, that no operation refers to is orphaned. */
const orphanAgeMs = 10 * 60_000

/** Deletes operations that ended long ago, and Secrets of operations that no longer exist. */
export function createCollector(
  config: CollectorConfig,
  {
    cluster,
    journal,
    keeper,
    lease,
    clock,
    log: parentLog,
  }: LeaderTools & { journal: Pick<Journal, 'all'>; keeper: Pick<LedgerKeeper, 'collect'> },
): Part {
  const log = parentLog.child({ controller: 'collector' })
  const ending = new AbortController()
  let running: Promise<void> | undefined
  let wake = new AbortController()
  let unsubscribe = () => {}

  async function run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      if (lease.isLeader()) {
        await collect(signal).catch((error: unknown) => {
          if (!signal.aborted) log.warn({ err: error }, 'collecting failed, trying again')
        })
      }
      // Jitter, so that regions set up together do not collect together.
      wake = new AbortController()
      await clock.sleep(config.intervalMs * (0.75 + Math.random() / 2), AbortSignal.any([signal, wake.signal])).catch(() => {})
    }
  }

  async function collect(signal: AbortSignal): Promise<void> {
    const gone = collectable(journal.all(), config, clock.now())
    const upTo = gone.at(-1)?.spec.sequence
    if (upTo !== undefined) await keeper.collect(upTo)
    for (const { metadata } of gone) {
      // One by one, the oldest first: wherever this is cut off, the ledger has no gaps.
      if (signal.aborted || !lease.isLeader()) return
      await deleteObject(cluster, pathOf(kinds.Operation, config.namespace, metadata.name), metadata.uid)
    }
    if (gone.length > 0) log.info({ count: gone.length, upTo: gone.at(-1)?.metadata.name }, 'ended operations collected')
    await collectSecrets(signal)
  }

  async function collectSecrets(signal: AbortSignal): Promise<void> {
    const { namespace } = config
    const query = { labelSelector: `${label.operationSecret}=true` }
    const secrets = await listObjects(cluster, kinds.Secret, { namespace, query, signal })
    const old = secrets
      .map(({ metadata }) => metadata)
      .filter(({ creationTimestamp = '' }) => clock.now() - Date.parse(creationTimestamp) > orphanAgeMs)
    if (old.length === 0) return
    // From the API server: the cache may lack a new operation, whose secrets would be lost for good.
    const operations = await listObjects<Operation>(cluster, kinds.Operation, { namespace, signal })
    const needed = new Set(operations.filter((operation) => !hasEnded(operation)).map(({ spec }) => spec.secretName))
    const orphans = old.filter(({ name }) => !needed.has(requestSecretOf(name)))
    for (const metadata of orphans) {
      if (signal.aborted || !lease.isLeader()) return
      await deleteObject(cluster, pathOf(kinds.Secret, namespace, metadata.name), metadata.uid)
    }
    if (orphans.length > 0) log.info({ count: orphans.length }, 'orphaned secrets of operations collected')
  }

  return {
    name: 'collector',
    async start() {
      unsubscribe = lease.onChange((leads) => leads && wake.abort())
      running = run(ending.signal)
    },
    async stop() {
      unsubscribe()
      ending.abort()
      await running
    },
  }
}

/**
 * The operations to delete, the oldest first. Pure.
 *
 * They are consecutive from the oldest on, so that the ledger has no gaps, and never include the newest: the next one is chained to it.
 * An operation that has not ended, or is to be kept, also keeps all later ones.
 *
 * @param operations all that are kept, by sequence
 * @param now Unix milliseconds
 */
export function collectable(
  operations: readonly Operation[],
  { keepMs, keepCount }: Pick<CollectorConfig, 'keepMs' | 'keepCount'>,
  now: number,
): readonly Operation[] {
  const candidates = operations.slice(0, -1)
  const tooMany = operations.length - keepCount
  const firstKept = candidates.findIndex((operation, index) => {
    const endedAt = operation.status?.endedAt
    if (!hasEnded(operation)) return true
    const isOld = endedAt !== undefined && now - Date.parse(endedAt) > keepMs
    return !isOld && index >= tooMany
  })
  return firstKept === -1 ? candidates : candidates.slice(0, firstKept)
}
