import type { Obstacle } from '../../resources/operation.ts'
import { type Evidence, type Finding, gather, latestEvent } from './evidence.ts'

/** StatefulSets that lack pods, each with what the API server said to the last attempt to create one (or its volumes). */
function refusals({ statefulSets, events, pods }: Evidence): Finding[] {
  return statefulSets.flatMap((set) => {
    const own = pods.filter(({ metadata }) => metadata.ownerReferences?.some(({ uid }) => uid === set.metadata.uid))
    if (Math.max(own.length, set.status?.replicas ?? 0) >= (set.spec?.replicas ?? 0)) return []
    const event = latestEvent(events, set, ({ reason }) => reason === 'FailedCreate')
    if (!event) return []
    return [{ object: set, message: String(event.message), cure: '' }]
  })
}

/** Pods or volumes that are not created since the project's quota is used up. The numbers are the API server's. */
export function quotaExceeded(evidence: Evidence): Obstacle[] {
  const { namespaceName, target } = evidence
  const findings = refusals(evidence)
    .filter(({ message }) => message.includes('exceeded quota'))
    .map(({ object, message }) => ({
      object,
      message: `It cannot have all its pods: ${message.slice(message.indexOf('exceeded quota'))}`,
      cure: `Raise the quota of project ${target.project}, or ask for less: kubectl --namespace ${namespaceName} describe resourcequota`,
    }))
  return gather('QuotaExceeded', findings)
}

/** Pods that the API server refuses for another reason: Pod Security, a LimitRange, an admission webhook. */
export function podRefused(evidence: Evidence): Obstacle[] {
  const findings = refusals(evidence)
    .filter(({ message }) => !message.includes('exceeded quota'))
    .map(({ object, message }) => ({
      object,
      message: `It cannot have all its pods: ${message}`,
      cure: `Change what refuses them, which the message names: kubectl --namespace ${evidence.namespaceName} describe statefulset ${object.metadata.name}`,
    }))
  return gather('PodRefused', findings)
}
