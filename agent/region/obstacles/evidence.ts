import type { KubernetesObject } from '../../../shared/kubernetes/objects.ts'
import { type Cure, renderCures } from '../../resources/cure.ts'
import type { DataVolume } from '../../resources/kept-volume.ts'
import type { TargetInProject } from '../../resources/kind.ts'
import type { Obstacle } from '../../resources/operation.ts'

export { listed } from '../../resources/wording.ts'

/**
 * The state of a target, and of everything that it depends on, at one moment. Lists hold only objects that belong to the target.
 *
 * `null` means that the object does not exist. `undefined` means that it could not be read: no rule may conclude anything from that.
 */
export type Evidence = {
  target: TargetInProject
  /** The agent's clock in Unix milliseconds when the reading began. */
  now: number
  operatorName: { namespace: string; name: string }
  namespaceName: string
  namespace: KubernetesObject | null | undefined
  project: KubernetesObject | null | undefined
  /** The Deployment of the Crate Operator. */
  operator: KubernetesObject | null | undefined
  /** The CrateDB of the database, or all of the project. */
  databases: KubernetesObject[]
  statefulSets: KubernetesObject[]
  pods: KubernetesObject[]
  claims: KubernetesObject[]
  /** The volumes with data that serve these claims or are reserved for them. */
  volumes: DataVolume[] | undefined
  services: KubernetesObject[]
  /** All in the cluster. */
  nodes: KubernetesObject[] | undefined
  /** All in the cluster. */
  storageClasses: KubernetesObject[] | undefined
  /** The attachments of the volumes of `claims`. Read only when a pod that has a node does not start. */
  attachments: KubernetesObject[]
  /** Events about the objects above that have a problem, the latest last. */
  events: KubernetesObject[]
  missingSecrets: MissingSecret[]
  unread: Unread[]
}

/** A Secret that something refers to and that does not exist. */
export type MissingSecret = {
  namespace: string
  name: string
  usedFor: string
  /** The keys that are read, if they are known. */
  keys?: string[]
  isPullSecret?: boolean
}

/** A part of the evidence that could not be read, and why. */
export type Unread = { what: string; path: string; reason: 'forbidden' | 'unreachable'; detail: string }

/** Looks for one kind of obstacle. Pure. Returns an empty list if there is none. */
export type Rule = (evidence: Evidence) => Obstacle[]

/** An object with a problem. `message` must not name the object, so that the same finding on several objects becomes one obstacle. */
export type Finding = { object: KubernetesObject; message: string; cures: Cure[] }

/** The obstacle with its cures as one text added. */
export function tell(found: Omit<Obstacle, 'cure'>): Obstacle {
  const { code, message, evidence, cures } = found
  return { code, message, evidence, cure: renderCures(cures), cures }
}

/** One obstacle for each different message. Its evidence is the first object and the number of others. */
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

/** Whether a moment, as text, is more than `ms` milliseconds before `now`. False if there is no moment. */
export function isPast(moment: string | undefined, ms: number, now: number): boolean {
  return moment !== undefined && now - Date.parse(moment) > ms
}

/** When an Event last occurred. Which field holds that depends on the version of the recorder. */
export function momentOfEvent({ series, lastTimestamp, eventTime, metadata }: KubernetesObject): string | undefined {
  return series?.lastObservedTime ?? lastTimestamp ?? eventTime ?? metadata.creationTimestamp
}

/** The latest Event about an object for which `fits` is true. */
export function latestEvent(
  events: KubernetesObject[],
  { kind, metadata }: KubernetesObject,
  fits: (event: KubernetesObject) => boolean,
): KubernetesObject | undefined {
  return events.findLast(({ involvedObject: about, ...event }) => {
    return about?.kind === kind && about.name === metadata.name && fits(event as KubernetesObject)
  })
}
