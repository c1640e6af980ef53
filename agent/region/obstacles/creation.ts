import type { Obstacle } from '../../resources/operation.ts'
import { cures } from './cures.ts'
import { type Evidence, type Finding, gather, latestEvent } from './evidence.ts'

/** StatefulSets that lack pods, each with the API server's answer to the last attempt to create a pod or its volumes. */
function refusals({ statefulSets, events, pods }: Evidence): Finding[] {
  return statefulSets.flatMap((set) => {
    const own = pods.filter(({ metadata }) => metadata.ownerReferences?.some(({ uid }) => uid === set.metadata.uid))
    if (Math.max(own.length, set.status?.replicas ?? 0) >= (set.spec?.replicas ?? 0)) return []
    const event = latestEvent(events, set, ({ reason }) => reason === 'FailedCreate')
    if (!event) return []
    return [{ object: set, message: String(event.message), cures: [] }]
  })
}

/** Pods or volumes that are not created because they exceed the project's quota. The numbers are the API server's. */
export function quotaExceeded(evidence: Evidence): Obstacle[] {
  const { namespaceName, target } = evidence
  const findings = refusals(evidence)
    .filter(({ message }) => message.includes('exceeded quota'))
    .map(({ object, message }) => ({
      object,
      message: `It lacks pods: ${message.slice(message.indexOf('exceeded quota'))}`,
      cures: [cures.QuotaExceeded.describe({ project: target.project, namespace: namespaceName })],
    }))
  return gather('QuotaExceeded', findings)
}

/** Pods that the API server refuses for another reason: Pod Security, a LimitRange, an admission webhook. */
export function podRefused(evidence: Evidence): Obstacle[] {
  const findings = refusals(evidence)
    .filter(({ message }) => !message.includes('exceeded quota'))
    .map(({ object, message }) => ({
      object,
      message: `It lacks pods: ${message}`,
      cures: [cures.PodRefused.describe({ namespace: evidence.namespaceName, set: object.metadata.name })],
    }))
  return gather('PodRefused', findings)
}
