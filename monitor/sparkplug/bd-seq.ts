import type { Clock } from '../../shared/clock.ts'
import { isProblem } from '../../shared/errors.ts'
import type { Cluster } from '../../shared/kubernetes/connection.ts'
import { unlessGone } from '../../shared/kubernetes/failures.ts'
import { type KubernetesObject, kinds, pathOf } from '../../shared/kubernetes/objects.ts'
import { bdSeqAfter } from './sequence.ts'

/** Keeps the bdSeq of the last CONNECT, so that no session has the number of an earlier one whose will may still come. */
export type BdSeqStore = {
  /**
   * The number for the next CONNECT. It is kept safe before this resolves.
   * @throws when it cannot be kept; try again later
   */
  next(signal: AbortSignal): Promise<number>
  /** Whether there was a CONNECT before the first `next` of this process. @throws when that cannot be read */
  wasUsed(signal: AbortSignal): Promise<boolean>
  /** Why the last number could not be kept, and what to do; undefined if it could. */
  trouble?(): string | undefined
}

/** The ConfigMap that the replicas of a monitor share. */
export const sessionConfigMap = 'skerry-monitor-session'

/** Keeps it in a ConfigMap, by compare-and-swap on its resourceVersion: two replicas never get the same number. */
export function createClusterBdSeq(
  { namespace, key = 'bdSeq' }: { namespace: string; key?: string },
  { cluster, clock }: { cluster: Pick<Cluster, 'request'>; clock: Clock },
): BdSeqStore {
  const path = pathOf(kinds.ConfigMap, namespace, sessionConfigMap)
  const collection = pathOf(kinds.ConfigMap, namespace)

  async function attempt(signal: AbortSignal): Promise<number> {
    const found = await unlessGone(cluster.request<KubernetesObject>({ method: 'GET', path, signal }))
    const kept = Number(found?.data?.[key] ?? Number.NaN)
    const next = bdSeqAfter(Number.isInteger(kept) && kept >= 0 && kept < 256 ? kept : undefined)
    const data = { ...found?.data, [key]: String(next) }
    const labels = { 'app.kubernetes.io/managed-by': 'skerry', 'app.kubernetes.io/component': 'monitor' }
    const body = found
      ? { ...found, data }
      : { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: sessionConfigMap, namespace, labels }, data }
    await cluster.request({ method: found ? 'PUT' : 'POST', path: found ? path : collection, body, signal })
    return next
  }

  return {
    async wasUsed(signal) {
      const found = await unlessGone(cluster.request<KubernetesObject>({ method: 'GET', path, signal }))
      return found?.data?.[key] !== undefined
    },
    async next(signal) {
      for (let tries = 0; ; tries++) {
        try {
          return await attempt(signal)
        } catch (error) {
          // Another replica was faster: read again. A lost answer costs a number, which does no harm.
          if (!isProblem(error, 'conflict', 'already-exists') || tries >= 9) throw error
          await clock.sleep(20 * (tries + 1), signal)
        }
      }
    },
  }
}
