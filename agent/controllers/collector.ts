import type { Clock } from '../../shared/clock.ts'
import { isProblem } from '../../shared/errors.ts'
import type { Cluster } from '../../shared/kubernetes/connection.ts'
import type { Leadership } from '../../shared/kubernetes/lease.ts'
import { type KubernetesObject, kinds, type ObjectMeta, pathOf } from '../../shared/kubernetes/objects.ts'
import type { Part } from '../../shared/lifecycle.ts'
import type { Log } from '../../shared/log.ts'
import type { Journal } from '../operations/journal.ts'
import { label } from '../resources/labels.ts'
import { hasEnded, type Operation } from '../resources/operation.ts'

export type CollectorConfig = {
  /** The agent's own, where the operations are. */
  namespace: string
  /** Ended operations are kept for this long, in milliseconds. */
  keepMs: number
  /** No more than this many operations are kept, if enough of them have ended. */
  keepCount: number
  /** Between two looks, in milliseconds. */
  intervalMs: number
}

/** A request is accepted within seconds of its Secret being written; after this long, in milliseconds, nobody will refer to it. */
const orphanAgeMs = 10 * 60_000

/** Takes away what has had its time: operations that ended long ago, and Secrets of operations that are no more. */
export function createCollector(
  config: CollectorConfig,
  {
    cluster,
    journal,
    lease,
    clock,
    log: parentLog,
  }: { cluster: Cluster; journal: Pick<Journal, 'all'>; lease: Leadership; clock: Clock; log: Log },
): Part {
  const log = parentLog.child({ controller: 'collector' })
  const ending = new AbortController()
  let running: Promise<void> | undefined
  let wake = new AbortController()
  let unsubscribe = () => {}
  const secrets = pathOf(kinds.Secret, config.namespace)

  async function run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      if (lease.isLeader()) {
        await collect(signal).catch((error: unknown) => {
          if (!signal.aborted) log.warn({ err: error }, 'collecting failed, trying again')
        })
      }
      // Spread, so that regions set up together do not collect together.
      wake = new AbortController()
      await clock.sleep(config.intervalMs * (0.75 + Math.random() / 2), AbortSignal.any([signal, wake.signal])).catch(() => {})
    }
  }

  async function collect(signal: AbortSignal): Promise<void> {
    const gone = collectable(journal.all(), config, clock.now())
    for (const { metadata } of gone) {
      // One after the other, the oldest first: what is kept is without gaps wherever this is cut off.
      if (signal.aborted || !lease.isLeader()) return
      await remove(pathOf(kinds.Operation, config.namespace, metadata.name), metadata)
    }
    if (gone.length > 0) log.info({ count: gone.length, upTo: gone.at(-1)?.metadata.name }, 'ended operations collected')
    await collectSecrets(signal)
  }

  async function collectSecrets(signal: AbortSignal): Promise<void> {
    const { items } = await cluster.request<{ items: KubernetesObject[] }>({
      method: 'GET',
      path: secrets,
      query: { labelSelector: `${label.operationSecret}=true` },
      signal,
    })
    const old = items
      .map(({ metadata }) => metadata)
      .filter(({ creationTimestamp = '' }) => clock.now() - Date.parse(creationTimestamp) > orphanAgeMs)
    if (old.length === 0) return
    // Asked of the API server itself: of an operation that the cache has not seen yet, the secrets would be lost for good.
    const operations = await cluster.request<{ items: Operation[] }>({
      method: 'GET',
      path: pathOf(kinds.Operation, config.namespace),
      signal,
    })
    const needed = new Set(operations.items.filter((operation) => !hasEnded(operation)).map(({ spec }) => spec.secretName))
    const orphans = old.filter(({ name }) => !needed.has(name))
    for (const metadata of orphans) {
      if (signal.aborted || !lease.isLeader()) return
      await remove(pathOf(kinds.Secret, config.namespace, metadata.name), metadata)
    }
    if (orphans.length > 0) log.info({ count: orphans.length }, 'orphaned secrets of operations collected')
  }

  async function remove(path: string, { uid }: Pick<ObjectMeta, 'uid'>): Promise<void> {
    try {
      await cluster.request({ method: 'DELETE', path, body: { apiVersion: 'v1', kind: 'DeleteOptions', preconditions: { uid } } })
    } catch (error) {
      if (!isProblem(error, 'not-found')) throw error
    }
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
 * The operations that have had their time, the oldest first. Pure.
 *
 * Only from the oldest on, so that the numbers kept have no gap, and never the newest: it is the head that the next one is
 * chained to. One that has not ended, or that is to be kept, keeps all that came after it.
 *
 * @param operations all that are kept, by sequence
 * @param now Unix milliseconds
 */
export function collectable(
  operations: Operation[],
  { keepMs, keepCount }: Pick<CollectorConfig, 'keepMs' | 'keepCount'>,
  now: number,
): Operation[] {
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
