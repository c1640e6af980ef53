import type { Change } from '../../shared/kubernetes/cache.ts'
import { type KubernetesObject, keyOf } from '../../shared/kubernetes/objects.ts'
import type { Part } from '../../shared/lifecycle.ts'
import type { Journal } from '../operations/journal.ts'
import { type LeaderTools, Queue } from '../operations/queue.ts'
import type { Caches } from '../region/caches.ts'
import type { StoredDatabaseSpec } from '../resources/database.ts'
import { type DatabaseTarget, isKnownKind, namespaceOf, projectOf, type TargetInProject } from '../resources/kind.ts'
import { annotation } from '../resources/labels.ts'
import { isDeletion, isDeletionRecord, type Operation, targetKey } from '../resources/operation.ts'
import { asEntryHasIt } from '../resources/retained-record.ts'
import { type Deleted, recordDeletion } from './deletion-record.ts'

const retry = { baseMs: 200, capMs: 30_000 }

/**
 * The deletion controller: a deletion of a project or a database that no operation explains becomes an entry of the ledger, a warning in
 * the log and an Event. Kubernetes does not say who deleted it; the audit log of the API server does, where there is one.
 *
 * The watches report deletions. A new leader also finds those that no watch reported: the last operation of a target is kept, but the target
 * is gone.
 */
export function createDeletionController(
  { namespace }: { namespace: string },
  parts: LeaderTools & {
    caches: Pick<Caches, 'projects' | 'databases' | 'operations'>
    journal: Pick<Journal, 'accept' | 'all' | 'lastSucceeded'>
  },
): Part {
  const { caches, journal } = parts
  const log = parts.log.child({ controller: 'deletions' })
  /** By uid. */
  const found = new Map<string, Deleted>()
  const queue = new Queue({ name: 'deletion controller', parallelism: 1, retry, handle, subscribe, addAll }, { ...parts, log })

  async function handle(uid: string): Promise<undefined> {
    const deleted = found.get(uid)
    if (deleted) await recordDeletion(deleted, { ...parts, namespace, log })
    found.delete(uid)
  }

  function add(deleted: Deleted): void {
    if (!queue.acts()) return
    found.set(deleted.uid, deleted)
    queue.add(deleted.uid)
  }

  function addObject(object: KubernetesObject): void {
    const { uid = '', resourceVersion = '', annotations } = object.metadata
    const target = targetOfObject(object)
    if (target) add({ target, uid, resourceVersion, allowedBy: annotations?.[annotation.allowDeletion], ...lastSeen(target, object) })
  }

  /** Relevant are objects whose deletion begins, and objects that disappear without that. */
  function hear({ type, object, previous }: Change<KubernetesObject>): void {
    if (type === 'removed' ? !isLeaving(object) : isLeaving(object) && !(previous && isLeaving(previous))) addObject(object)
  }

  function addAll(): void {
    for (const object of [...caches.projects.values(), ...caches.databases.values()]) if (isLeaving(object)) addObject(object)
    for (const operation of lastOfTargets()) addIfAbsent(operation)
  }

  /** For each target of a kind that this version knows, the last operation that recorded which object it saw. */
  function lastOfTargets(): Operation[] {
    const targets = new Map(journal.all().map(({ spec }) => [targetKey(spec.target), spec.target]))
    const known = [...targets.values()].filter(({ kind }) => isKnownKind(kind))
    return known.flatMap((target) => journal.lastSucceeded(target) ?? [])
  }

  function addIfAbsent(operation: Operation): void {
    const { target, sequence } = operation.spec
    const { uid, resourceVersion } = operation.status?.observed ?? {}
    if (isDeletion(operation) || isDeletionRecord(operation) || uid === undefined || resourceVersion === undefined) return
    if (target.kind === 'region' || standing(target)?.metadata.uid === uid || wentWithProject(target, sequence)) return
    const wanted = target.kind === 'database' ? (operation.spec.wanted as StoredDatabaseSpec | undefined) : undefined
    add({ target, uid, resourceVersion, allowedBy: undefined, ...(wanted && { wanted }) })
  }

  function standing(target: TargetInProject): KubernetesObject | undefined {
    return target.kind === 'project' ? caches.projects.get(target.project) : caches.databases.get(keyOfDatabase(target))
  }

  /** Whether an operation deleted the project later, and the database with it. */
  function wentWithProject({ kind, project }: TargetInProject, since: number): boolean {
    const last = journal.lastSucceeded({ kind: 'project', project })
    return kind === 'database' && last !== undefined && isDeletion(last) && last.spec.sequence > since
  }

  function subscribe() {
    return [caches.projects.subscribe(hear), caches.databases.subscribe(hear)]
  }

  return queue
}

/** What the deleted database was. */
function lastSeen({ kind }: TargetInProject, object: KubernetesObject): Pick<Deleted, 'cratedb'> {
  if (kind !== 'database') return {}
  const cratedb = asEntryHasIt(object)
  return cratedb ? { cratedb } : {}
}

function isLeaving({ metadata }: KubernetesObject): boolean {
  return metadata.deletionTimestamp !== undefined
}

function targetOfObject({ kind, metadata }: KubernetesObject): TargetInProject | undefined {
  if (kind === 'Project') return { kind: 'project', project: metadata.name }
  const project = projectOf(metadata.namespace ?? '')
  return project === undefined ? undefined : { kind: 'database', project, database: metadata.name }
}

function keyOfDatabase({ project, database }: DatabaseTarget): string {
  return keyOf({ namespace: namespaceOf(project), name: database })
}
