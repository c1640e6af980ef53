import { asProblem, isProblem } from '../../shared/errors.ts'
import { type KubernetesObject, pathOfObject } from '../../shared/kubernetes/objects.ts'
import { readObject } from '../../shared/kubernetes/read.ts'
import type { Log } from '../../shared/log.ts'
import type { Caches } from '../region/caches.ts'
import type { Obstacles } from '../region/obstacles/index.ts'
import { namespaceOf } from '../resources/kind.ts'
import { fieldManager, finalizer } from '../resources/labels.ts'
import { shownRetained } from '../resources/retained-keeping.ts'
import { secretsFreshMs } from './managed-objects.ts'
import {
  furnishNamespace,
  type ProjectNamespaceParts,
  presentPullSecrets,
  removeNamespace,
  rightsPending,
  waitedForRights,
} from './project-namespace.ts'
import { type ProjectOutcome, projectStatus } from './project-status.ts'

export type ReconcilerParts = ProjectNamespaceParts & {
  caches: Pick<Caches, 'projects' | 'databases' | 'retained'>
  obstacles: Obstacles
  /** Interval at which a project that is not ready is checked without a change, in milliseconds. */
  recheckMs: number
  mustAct: () => void
  log: Log
}

/**
 * Does the work that is left for a project, and writes the outcome into its status. Resolves with the time until the next check, in
 * milliseconds.
 */
export async function reconcileProject(id: string, parts: ReconcilerParts): Promise<number | undefined> {
  const project = parts.caches.projects.get(id)
  if (!project) return undefined
  const leaves = project.metadata.deletionTimestamp !== undefined
  if (leaves && !hasFinalizer(project)) return undefined
  try {
    const outcome = leaves ? await dismantle(project, parts) : await furnish(project, parts)
    if (outcome === 'gone') return undefined
    await writeStatus(project, outcome, parts)
    if (outcome.reason !== rightsPending) parts.withoutRights.delete(id)
    return outcome.ready ? secretsFreshMs : untilNextLook(id, outcome, parts)
  } catch (error) {
    await noteFailure(project, error, parts)
    throw error
  }
}

/** A RoleBinding mostly takes effect within milliseconds, and nothing reports that. The pause is as long as the wait so far, at most `recheckMs`. */
function untilNextLook(id: string, { reason }: ProjectOutcome, parts: ReconcilerParts): number {
  return reason === rightsPending ? Math.min(parts.recheckMs, Math.max(20, waitedForRights(id, parts))) : parts.recheckMs
}

/** The finalizer comes first: everything that is created afterwards must be deleted before the project. */
async function furnish(project: KubernetesObject, parts: ReconcilerParts): Promise<ProjectOutcome> {
  const { finalizers = [] } = project.metadata
  const held = hasFinalizer(project) ? project : await setFinalizers(project, [...finalizers, finalizer], parts)
  return furnishNamespace(held, parts)
}

/** The databases end before the namespace does, and the namespace before the project. */
async function dismantle(project: KubernetesObject, parts: ReconcilerParts): Promise<ProjectOutcome | 'gone'> {
  const { name, uid, finalizers = [] } = project.metadata
  // By a stale cache, the namespace could be that of a project that was created again under the name.
  const standing = await readObject(parts.cluster, pathOfObject(project))
  if (standing?.metadata.uid !== uid) return 'gone'
  const left = await removeNamespace(project, parts)
  if (left) return left
  const others = finalizers.filter((each) => each !== finalizer)
  await setFinalizers(project, others, parts)
  parts.log.info({ project: name }, 'project dismantled')
  return 'gone'
}

async function setFinalizers(
  project: KubernetesObject,
  finalizers: string[],
  { cluster, caches, mustAct }: ReconcilerParts,
): Promise<KubernetesObject> {
  mustAct()
  const { resourceVersion } = project.metadata
  const changed = await cluster.request<KubernetesObject>({
    method: 'PATCH',
    path: pathOfObject(project),
    query: { fieldManager },
    contentType: 'application/merge-patch+json',
    body: { metadata: { resourceVersion, finalizers } }, // a list is replaced as a whole, so only in the version that was read
  })
  if (changed.metadata.deletionTimestamp === undefined || finalizers.length > 0) caches.projects.put(changed)
  return changed
}

/** @param seen the project that the outcome is about; if it has changed since, the outcome is stale */
async function writeStatus({ metadata: seen }: KubernetesObject, outcome: ProjectOutcome, parts: ReconcilerParts): Promise<void> {
  const { cluster, caches, managed, obstacles, mustAct, clock, log } = parts
  const id = seen.name
  const project = caches.projects.get(id)
  if (!project || project.metadata.uid !== seen.uid || project.metadata.generation !== seen.generation) return
  const namespace = namespaceOf(id)
  const blockers = outcome.ready ? [] : await obstacles.of({ kind: 'project', project: id })
  const status = projectStatus(project, {
    outcome,
    namespace,
    databases: caches.databases.in(namespace).length,
    used: managed.quota(namespace)?.used,
    retained: shownRetained([...caches.retained.values()].filter(({ spec }) => spec.project === id)),
    pullSecrets: presentPullSecrets(project, parts),
    // That obstacle is read from this very status.
    blockers: blockers.filter(({ code }) => code !== 'ProjectNotReady'),
    now: `${new Date(clock.now()).toISOString().slice(0, 19)}Z`,
  })
  if (status === project.status) return
  mustAct()
  const path = `${pathOfObject(project)}/status`
  const body = { ...project, status }
  caches.projects.put(await cluster.request<KubernetesObject>({ method: 'PUT', path, query: { fieldManager }, body }))
  const before = project.status?.conditions?.[0]?.reason
  if (before !== outcome.reason) log.info({ project: id, from: before, to: outcome.reason, message: outcome.message }, 'project advanced')
}

/** Writes a failure into the status, where people look for it, if the status can be written at all. */
async function noteFailure(project: KubernetesObject, error: unknown, parts: ReconcilerParts): Promise<void> {
  if (isProblem(error, 'conflict', 'not-ready', 'cluster-unreachable')) return
  const { detail, action } = asProblem(error)
  await writeStatus(project, { ready: false, reason: 'NotApplied', message: `${detail} ${action}` }, parts).catch((reason: unknown) =>
    parts.log.debug({ project: project.metadata.name, err: reason }, 'status not written'),
  )
}

function hasFinalizer({ metadata }: KubernetesObject): boolean {
  return metadata.finalizers?.includes(finalizer) ?? false
}
