import type { KubernetesObject } from '../../../shared/kubernetes/objects.ts'
import { type Cure, renderCures } from '../../resources/cure.ts'
import type { Target } from '../../resources/kind.ts'
import type { Obstacle } from '../../resources/operation.ts'

/**
 * What was seen of a target and of what it stands on, at one moment. Lists hold what belongs to the target only.
 *
 * `null` says that it was looked for and is not there, `undefined` that it could not be read: no rule may conclude anything from that.
 */
export type Evidence = {
  target: Target
  /** Unix milliseconds of the agent's clock when the reading began. */
  now: number
  operatorName: { namespace: string; name: string }
  namespaceName: string
  namespace: KubernetesObject | null | undefined
  project: KubernetesObject | null | undefined
  /** The Deployment of the Crate Operator. */
  operator: KubernetesObject | null | undefined
  /** The CrateDB of a database; all of a project's. */
  databases: KubernetesObject[]
  statefulSets: KubernetesObject[]
  pods: KubernetesObject[]
  claims: KubernetesObject[]
  services: KubernetesObject[]
  /** All of the cluster. */
  nodes: KubernetesObject[] | undefined
  /** All of the cluster. */
  storageClasses: KubernetesObject[] | undefined
  /** Where the volumes of `claims` are attached. Read only when a pod waits on its node. */
  attachments: KubernetesObject[]
  /** Of objects above that are not as they should be, the latest last. */
  events: KubernetesObject[]
  missingSecrets: MissingSecret[]
  unread: Unread[]
}

/** A Secret that something refers to and that does not exist. */
export type MissingSecret = {
  namespace: string
  name: string
  usedFor: string
  /** The keys that are read of it, where they are known. */
  keys?: string[]
  isPullSecret?: boolean
}

/** A part of the evidence that could not be read, and why. */
export type Unread = { what: string; path: string; reason: 'forbidden' | 'unreachable'; detail: string }

/** Judges one kind of thing that may be wrong. Pure; an empty list when it is not. */
export type Rule = (evidence: Evidence) => Obstacle[]

/** One object on which something is wrong; `message` must not name it, so that the same finding on another one is told with it. */
export type Finding = { object: KubernetesObject; message: string; cures: Cure[] }

/** An obstacle with its cures as one text besides. */
export function tell(found: Omit<Obstacle, 'cure'>): Obstacle {
  const { code, message, evidence, cures } = found
  return { code, message, evidence, cure: renderCures(cures), cures }
}

/** One obstacle for each different message. Its evidence is the first object, and how many more there are. */
export function gather(code: string, findings: Finding[]): Obstacle[] {
  const groups = Map.groupBy(findings, ({ message }) => message)
  return [...groups].map(([message, [first, ...others]]) => {
    const { object, cures } = first as Finding
    const evidence = describeObject(object) + (others.length > 0 ? ` (and ${others.length} more)` : '')
    return tell({ code, message, evidence, cures })
  })
}

/** `Pod project-harbour/crate-data-hot-tidal-gauge-0` */
export function describeObject({ kind, metadata: { namespace, name } }: KubernetesObject): string {
  return `${kind} ${namespace === undefined ? name : `${namespace}/${name}`}`
}

export type Condition = {
  type: string
  status: string
  reason?: string
  message?: string
  lastTransitionTime?: string
  observedGeneration?: number
}

/** The condition of that type in an object's status. */
export function conditionOf(object: KubernetesObject, type: string): Condition | undefined {
  return (object.status?.conditions as Condition[] | undefined)?.find((condition) => condition.type === type)
}

/** Whether the condition `Ready` of a node, a pod or a project is true. */
export function isReady(object: KubernetesObject): boolean {
  return conditionOf(object, 'Ready')?.status === 'True'
}

/** Whether a moment, in any form that JSON carries one in, is more than `ms` milliseconds before `now`. False for no moment. */
export function isPast(moment: string | undefined, ms: number, now: number): boolean {
  return moment !== undefined && now - Date.parse(moment) > ms
}

/** When an event was last repeated: its fields depend on which generation of recorders wrote it. */
export function momentOfEvent({ series, lastTimestamp, eventTime, metadata }: KubernetesObject): string | undefined {
  return series?.lastObservedTime ?? lastTimestamp ?? eventTime ?? metadata.creationTimestamp
}

/** The latest event about an object that fits. */
export function latestEvent(
  events: KubernetesObject[],
  { kind, metadata }: KubernetesObject,
  fits: (event: KubernetesObject) => boolean,
): KubernetesObject | undefined {
  return events.findLast(({ involvedObject: about, ...event }) => {
    return about?.kind === kind && about.name === metadata.name && fits(event as KubernetesObject)
  })
}

/** `a, b and c`, the rest counted beyond `most`. */
export function listed(words: string[], most = 5): string {
  const shown = words.length > most ? [...words.slice(0, most), `${words.length - most} more`] : words
  return shown.length < 2 ? shown.join('') : `${shown.slice(0, -1).join(', ')} and ${shown.at(-1)}`
}
