import { isDeepStrictEqual } from 'node:util'
import type { KubernetesObject } from '../../shared/kubernetes/objects.ts'
import type { Obstacle } from '../resources/operation.ts'
import type { ShownRetained } from '../resources/retained-keeping.ts'

/** The outcome of one look at a project. */
export type ProjectOutcome = {
  ready: boolean
  /** One CamelCase word for programs. */
  reason: string
  /** A sentence for people, with the action if one is needed. */
  message: string
}

export type ProjectFacts = {
  outcome: ProjectOutcome
  namespace: string
  databases: number
  /** `status.used` of the quota that Skerry made. */
  used: Record<string, string> | undefined
  /** What its deleted databases still hold. */
  retained: ShownRetained
  /** Names of the pull secrets that are copied into the namespace. */
  pullSecrets: string[]
  blockers: Obstacle[]
  /** RFC 3339 */
  now: string
}

/** The status of a project. Pure; the present one itself, times included, when nothing has changed. */
export function projectStatus(project: KubernetesObject, facts: ProjectFacts): Record<string, unknown> {
  const { outcome, namespace, databases, used = {}, retained, pullSecrets, blockers } = facts
  const status = {
    observedGeneration: project.metadata.generation ?? 0,
    namespace,
    conditions: [readyCondition(project, facts)],
    usage: {
      databases,
      ...(used['requests.cpu'] !== undefined && { cpu: used['requests.cpu'] }),
      ...(used['requests.memory'] !== undefined && { memory: used['requests.memory'] }),
      ...(used['requests.storage'] !== undefined && { storage: used['requests.storage'] }),
    },
    ...(retained.databases > 0 && { retained }),
    ...(pullSecrets.length > 0 && { pullSecrets }),
    ...(blockers.length > 0 && !outcome.ready && { blockers }),
  }
  return isDeepStrictEqual(project.status, status) ? project.status : status
}

function readyCondition(project: KubernetesObject, { outcome, now }: ProjectFacts) {
  const { ready, reason, message } = outcome
  const status = ready ? 'True' : 'False'
  const before = (project.status?.conditions as Record<string, unknown>[] | undefined)?.find(({ type }) => type === 'Ready')
  const lastTransitionTime = before?.status === status ? before.lastTransitionTime : now
  return { type: 'Ready', status, reason, message, lastTransitionTime, observedGeneration: project.metadata.generation ?? 0 }
}
