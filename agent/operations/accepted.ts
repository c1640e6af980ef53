import { type Cache, isNewer } from '../../shared/kubernetes/cache.ts'
import { type KubernetesObject, keyOf } from '../../shared/kubernetes/objects.ts'
import type { Caches } from '../region/caches.ts'
import { readDatabase } from '../resources/cratedb.ts'
import type { StoredDatabaseSpec } from '../resources/database.ts'
import { namespaceOf, type Target } from '../resources/kind.ts'
import { isDeletion, type Operation } from '../resources/operation.ts'
import { type ProjectSpec, readProject } from '../resources/project.ts'
import type { Journal } from './journal.ts'

/**
 * A resource as last requested: requests are checked against it, and patches are merged into it. An open operation takes precedence over
 * the cluster.
 */
export type AcceptedResource<Spec> = {
  spec: Spec
  /** The object in the cluster; undefined until the creation has been applied. */
  object: KubernetesObject | undefined
  /** The newest operation of the resource that has not ended. */
  operation: Operation | undefined
  /** Whether its deletion has been accepted. */
  leaving: boolean
}

export type AcceptedState = {
  project(id: string): AcceptedResource<ProjectSpec> | undefined
  projects(): AcceptedResource<ProjectSpec>[]
  database(project: string, id: string): AcceptedResource<StoredDatabaseSpec> | undefined
  databases(project: string): AcceptedResource<StoredDatabaseSpec>[]
}

/**
 * The spec of each version of a CrateDB. It is read once, since the usage of a quota is the sum over all databases of a project, and reading
 * a thousand takes 17 ms. Only for objects of a cache, which never change.
 */
const readings = new WeakMap<KubernetesObject, StoredDatabaseSpec>()

function readOnce(object: KubernetesObject): StoredDatabaseSpec {
  let spec = readings.get(object)
  if (!spec) {
    spec = readDatabase(object)
    readings.set(object, spec)
  }
  return spec
}

/** A view of the journal and the caches. Nothing is copied: every call reads their present state. */
export function createAcceptedState({
  journal,
  caches,
}: {
  journal: Pick<Journal, 'unended' | 'unendedTargets' | 'lastSucceeded'>
  caches: Pick<Caches, 'projects' | 'databases'>
}): AcceptedState {
  function see<Spec>(target: Target, cache: Cache<KubernetesObject>, key: string, read: (object: KubernetesObject) => Spec) {
    const unended = journal.unended(target)
    const wanting = unended.findLast(({ spec }) => spec.wanted !== undefined)
    const { object, ahead } = reconcileCaches(journal.lastSucceeded(target), cache, key)
    if (!object && !wanting && !ahead) return undefined
    return {
      spec: wanting || ahead ? ((wanting ?? ahead)?.spec.wanted as Spec) : read(object as KubernetesObject),
      object,
      operation: unended.at(-1),
      leaving: object?.metadata.deletionTimestamp !== undefined || unended.some(isDeletion),
    }
  }

  const state: AcceptedState = {
    project: (id) => see({ kind: 'project', project: id }, caches.projects, id, readProject),
    projects: () =>
      projectIds()
        .map((id) => state.project(id))
        .filter((project) => project !== undefined),
    database: (project, id) => {
      const key = keyOf({ namespace: namespaceOf(project), name: id })
      return see({ kind: 'database', project, database: id }, caches.databases, key, readOnce)
    },
    databases: (project) =>
      databaseIds(project)
        .map((id) => state.database(project, id))
        .filter((database) => database !== undefined),
  }

  function projectIds(): string[] {
    const asked = journal.unendedTargets().flatMap((target) => (target.kind === 'project' ? [target.project] : []))
    return sorted([...[...caches.projects.values()].map(({ metadata }) => metadata.name), ...asked])
  }

  function databaseIds(project: string): string[] {
    const asked = journal
      .unendedTargets()
      .flatMap((target) => (target.kind === 'database' && target.project === project ? [target.database] : []))
    const standing = caches.databases.in(namespaceOf(project)).map(({ metadata }) => metadata.name)
    return sorted([...standing, ...asked])
  }

  return state
}

/**
 * Two watches follow operations and their targets, and each may lag behind the other. The last operation that succeeded recorded the version
 * of its target that it saw:
 *
 * | the operation | the cache of targets               | the present state                    |
 * |---------------|------------------------------------|--------------------------------------|
 * | deleted       | still has the same object          | the object is gone                   |
 * | changed       | has not reached that version yet   | the desired state of the operation   |
 * | either        | anything else                      | the object in the cache              |
 */
function reconcileCaches(
  last: Operation | undefined,
  cache: Cache<KubernetesObject>,
  key: string,
): { object: KubernetesObject | undefined; ahead?: Operation } {
  const object = cache.get(key)
  const observed = last?.status?.observed
  if (!last || !observed) return { object }
  if (isDeletion(last)) return { object: object?.metadata.uid === observed.uid ? undefined : object }
  const known = object ? object.metadata.resourceVersion : cache.seen
  const isBehind = last.spec.wanted !== undefined && isNewer(observed.resourceVersion, known)
  return isBehind ? { object, ahead: last } : { object }
}

/** Whether an accepted operation removes the protection, but has not been carried out yet. */
export function isUnprotected({ object, spec }: AcceptedResource<StoredDatabaseSpec>): boolean {
  return object !== undefined && !spec.deletionProtection && readOnce(object).deletionProtection
}

function sorted(names: string[]): string[] {
  return [...new Set(names)].sort()
}
