import type { KubernetesObject, ObjectMeta } from '../../shared/kubernetes/objects.ts'
import { identityOf } from '../region/caches.ts'
import { isReady } from '../region/obstacles/evidence.ts'
import { annotation } from '../resources/labels.ts'
import { isTakenUp } from './desired.ts'

/** What makes the pods of cloudflared. */
type Maker = { metadata: Pick<ObjectMeta, 'name' | 'namespace'>; matchLabels: Record<string, string>; revision: string | undefined }

/** The fields of a pod that are kept. */
export type PodOfTunnel = {
  metadata: Pick<ObjectMeta, 'name' | 'namespace' | 'resourceVersion' | 'uid' | 'deletionTimestamp'>
  labels: Record<string, string>
  /** The ReplicaSet that made it. */
  madeBy: string | undefined
  isReady: boolean
  /** A container has started. Until then the pod may still wait for its configuration. */
  isStarted: boolean
}

export function podOfTunnel(pod: KubernetesObject): PodOfTunnel {
  const { uid, deletionTimestamp, labels = {}, ownerReferences = [] } = pod.metadata
  return {
    metadata: { ...identityOf(pod), ...(uid !== undefined && { uid }), ...(deletionTimestamp !== undefined && { deletionTimestamp }) },
    labels,
    madeBy: ownerReferences.find(({ kind, controller }) => kind === 'ReplicaSet' && controller)?.name,
    isReady: isReady(pod),
    isStarted: (pod.status?.phase ?? 'Pending') !== 'Pending',
  }
}

/** The pods of cloudflared that are not about to end. A ReplicaSet has the name of its Deployment, and a hash without a dash. */
export function podsOf(deployment: Maker | undefined, pods: Iterable<PodOfTunnel>): PodOfTunnel[] {
  if (deployment === undefined) return []
  const wanted = Object.entries(deployment.matchLabels)
  return [...pods]
    .filter(({ metadata, labels, madeBy }) => {
      if (metadata.deletionTimestamp !== undefined || metadata.namespace !== deployment.metadata.namespace) return false
      if (madeBy?.slice(0, madeBy.lastIndexOf('-')) !== deployment.metadata.name) return false
      return wanted.every(([key, value]) => labels[key] === value)
    })
    .toSorted((a, b) => a.metadata.name.localeCompare(b.metadata.name))
}

/**
 * Which pods are outdated, as it is written beside each configuration: the uids of those that may have read an earlier one. In the moment
 * between the two writings, it says which ones are to be noted.
 */
export const toBeNoted = {
  /** Nothing could be read before, so only pods that run have an earlier configuration. */
  started: 'started',
  all: 'all',
} as const

/** The uids of the outdated pods, or how to determine them. */
export function outdatedIn(
  configuration: KubernetesObject | undefined,
  deployment: Maker | undefined,
): { uids: readonly string[] } | { note: keyof typeof toBeNoted } {
  const { [annotation.tunnelRevision]: written, [annotation.tunnelOutdatedPods]: outdated } = configuration?.metadata.annotations ?? {}
  if (outdated === toBeNoted.all || outdated === toBeNoted.started) return { note: outdated }
  if (outdated !== undefined) return { uids: outdated.split(' ').filter((uid) => uid !== '') }
  // Written by a version that changed the template of the pods.
  return isTakenUp(written, deployment?.revision) ? { uids: [] } : { note: toBeNoted.all }
}

/**
 * The next pod to be replaced: one that is not ready at once, and one that is ready only while there are as many ready pods as there shall
 * be. So there is at most one less, as long as its replacement starts.
 */
export function nextReplaced(pods: readonly PodOfTunnel[], uids: readonly string[], replicas: number): PodOfTunnel | undefined {
  const outdated = pods.filter(({ metadata }) => uids.includes(metadata.uid ?? ''))
  const ready = pods.filter(({ isReady }) => isReady).length
  return outdated.find(({ isReady }) => !isReady) ?? (ready >= replicas ? outdated[0] : undefined)
}
