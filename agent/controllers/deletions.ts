import type { Clock } from '../../shared/clock.ts'
import { isProblem } from '../../shared/errors.ts'
import type { Change } from '../../shared/kubernetes/cache.ts'
import type { Cluster } from '../../shared/kubernetes/connection.ts'
import { tellEvent } from '../../shared/kubernetes/events.ts'
import type { Leadership } from '../../shared/kubernetes/lease.ts'
import { type KubernetesObject, keyOf, kinds, pathOf } from '../../shared/kubernetes/objects.ts'
import type { Part } from '../../shared/lifecycle.ts'
import type { Log } from '../../shared/log.ts'
import { createQueue } from '../../shared/queue.ts'
import { deletionRecordOf } from '../operations/actions/record-deletion.ts'
import type { Journal } from '../operations/journal.ts'
import type { Caches } from '../region/caches.ts'
import { describeTarget, isKnownKind, namespaceOf, projectOf, type Target } from '../resources/kind.ts'
import { annotation } from '../resources/labels.ts'
import { deletedWith, hasEnded, isDeletion, isDeletionRecord, type Operation, targetKey } from '../resources/operation.ts'

export type DeletionControllerParts = {
  cluster: Cluster
  caches: Pick<Caches, 'projects' | 'databases' | 'operations'>
  journal: Pick<Journal, 'accept' | 'all' | 'lastSucceeded'>
  lease: Leadership
  clock: Clock
  log: Log
}

/** Who asked, where nobody did. No identity has this name: a blank is not allowed in one. */
const outside = 'outside Skerry'

const retry = { baseMs: 200, capMs: 30_000 }

/** A project or a database that somebody deleted: that very object, whatever bears its name now. */
type Deleted = { target: Target; uid: string; resourceVersion: string; allowedBy: string | undefined }

/**
 * The controller of deletions: one that no operation explains, of a project or a database, becomes an entry of the ledger, a warning in
 * the log and an Event. Kubernetes does not say who it was; that is in the audit log of the API server, where one is kept.
 *
 * It hears of deletions by the watches, and finds those that nobody watched when it takes the lead: the operation that made or changed a
 * target last is kept, and the target is not there. It acts only while the Lease is held.
 */
export function createDeletionController(
  { namespace: home }: { namespace: string },
  { cluster, caches, journal, lease, clock, log: parentLog }: DeletionControllerParts,
): Part {
  const log = parentLog.child({ controller: 'deletions' })
  const found = new Map<string, Deleted>()
  const queue = createQueue({ name: 'deletions', parallelism: 1, retry }, handle, { clock, log })
  const subscriptions: (() => void)[] = []
  let stopping = false
  const acts = () => lease.isLeader() && !stopping

  async function handle(uid: string): Promise<number | undefined> {
    const deleted = found.get(uid)
    if (!deleted) return undefined
    try {
      if (acts()) await lookAt(deleted)
    } catch (error) {
      if (acts()) throw error
    }
    // Where this replica does not lead, the one that does finds it by itself.
    found.delete(uid)
    return undefined
  }

  async function lookAt(deleted: Deleted): Promise<void> {
    const by = explanationOf(deleted)
    const record = by === undefined && (await isDeleted(deleted)) ? await write(deleted) : by
    if (record && isDeletionRecord(record)) await tell(record, deleted)
  }

  /** The operation that has deleted that object, is about to, or has it written down. */
  function explanationOf({ target, uid }: Deleted): Operation | undefined {
    for (const operation of caches.operations.values()) {
      if (isDeletionRecord(operation) && operation.spec.parameters?.uid === uid) return operation
      if (!isDeletion(operation) || !covers(operation.spec.target, target)) continue
      const isToCome = !hasEnded(operation)
      const { observed } = operation.status ?? {}
      if (isToCome || observed?.uid === uid || deletedWith(operation).some((database) => database.uid === uid)) return operation
    }
    return undefined
  }

  /** Asked of the API server itself: a watch may lag, and what stands is not told to be deleted. */
  async function isDeleted({ target, uid }: Deleted): Promise<boolean> {
    const path = target.kind === 'project' ? pathOf(kinds.Project, undefined, target.project) : pathOfDatabase(target)
    try {
      const { metadata } = await cluster.request<KubernetesObject>({ method: 'GET', path })
      return metadata.uid !== uid || metadata.deletionTimestamp !== undefined
    } catch (error) {
      if (isProblem(error, 'not-found', 'not-served')) return true
      throw error
    }
  }

  async function write(deleted: Deleted): Promise<Operation | undefined> {
    const { target, uid, resourceVersion, allowedBy } = deleted
    const parameters = { uid, resourceVersion, ...(allowedBy !== undefined && { allowedBy }) }
    log.warn({ target: describeTarget(target), uid, allowedBy }, 'deleted outside Skerry')
    const proposal = deletionRecordOf(target, parameters)
    const accepted = await journal.accept({
      target,
      requestedBy: outside,
      requestId: `deletion-${uid}`,
      idempotencyKey: uid, // one entry for each object, also where two replicas take themselves for the leader
      canonical: `deletion ${uid}`,
      decide: () => (explanationOf(deleted) ? undefined : proposal),
    })
    return accepted.outcome === 'unchanged' ? undefined : accepted.operation
  }

  async function tell({ apiVersion, kind, metadata }: Operation, { target, uid, allowedBy }: Deleted): Promise<void> {
    const allowed = allowedBy === undefined ? '' : `, allowed by "${allowedBy}"`
    await tellEvent(cluster, {
      name: `skerry-deletion.${uid}`,
      namespace: home,
      about: { apiVersion, kind, metadata },
      type: 'Warning',
      reason: 'DeletedOutside',
      message: `Somebody deleted the ${describeTarget(target)} without the API${allowed}. The operation says which volumes are kept.`,
      component: 'skerry-agent',
      now: clock.now(),
    })
  }

  function add(deleted: Deleted): void {
    found.set(deleted.uid, deleted)
    queue.add(deleted.uid)
  }

  function addObject(object: KubernetesObject): void {
    const { uid = '', resourceVersion = '', annotations } = object.metadata
    const target = targetOfObject(object)
    if (target) add({ target, uid, resourceVersion, allowedBy: annotations?.[annotation.allowDeletion] })
  }

  /** News is that an object is on its way out, or is gone without having been so. */
  function hear({ type, object, previous }: Change<KubernetesObject>): void {
    if (type === 'removed' ? !leaves(object) : leaves(object) && !(previous && leaves(previous))) addObject(object)
  }

  function addAll(): void {
    for (const object of [...caches.projects.values(), ...caches.databases.values()]) if (leaves(object)) addObject(object)
    for (const operation of lastOfTargets()) addIfAbsent(operation)
  }

  /** Of each target of a kind that this version knows, the operation that says last which object it saw. */
  function lastOfTargets(): Operation[] {
    const targets = new Map(journal.all().map(({ spec }) => [targetKey(spec.target), spec.target]))
    const known = [...targets.values()].filter(({ kind }) => isKnownKind(kind))
    return known.flatMap((target) => journal.lastSucceeded(target) ?? [])
  }

  function addIfAbsent(operation: Operation): void {
    const { target, sequence } = operation.spec
    const { uid, resourceVersion } = operation.status?.observed ?? {}
    if (isDeletion(operation) || isDeletionRecord(operation) || uid === undefined || resourceVersion === undefined) return
    const there = target.kind === 'project' ? caches.projects.get(target.project) : caches.databases.get(keyOfDatabase(target))
    if (there?.metadata.uid === uid || wentWithProject(target, sequence)) return
    add({ target, uid, resourceVersion, allowedBy: undefined })
  }

  /** Its project was deleted by an operation later, which took its databases along. */
  function wentWithProject({ kind, project }: Target, since: number): boolean {
    const last = journal.lastSucceeded({ kind: 'project', project })
    return kind === 'database' && last !== undefined && isDeletion(last) && last.spec.sequence > since
  }

  return {
    name: 'deletion controller',
    async start(signal) {
      subscriptions.push(
        caches.projects.subscribe(hear),
        caches.databases.subscribe(hear),
        lease.onChange((leads) => leads && addAll()),
      )
      await queue.start(signal)
      addAll()
    },
    async stop(deadline) {
      stopping = true
      for (const unsubscribe of subscriptions) unsubscribe()
      await queue.stop(deadline)
    },
  }
}

type DatabaseTarget = Extract<Target, { kind: 'database' }>

function leaves({ metadata }: KubernetesObject): boolean {
  return metadata.deletionTimestamp !== undefined
}

/** Whether what happens to the one happens to the other: to a target itself, or to a database with its project. */
function covers(one: Target, other: Target): boolean {
  if (one.project !== other.project) return false
  return one.kind === 'project' || (other.kind === 'database' && one.database === other.database)
}

function targetOfObject({ kind, metadata }: KubernetesObject): Target | undefined {
  if (kind === 'Project') return { kind: 'project', project: metadata.name }
  const project = projectOf(metadata.namespace ?? '')
  return project === undefined ? undefined : { kind: 'database', project, database: metadata.name }
}

const keyOfDatabase = ({ project, database }: DatabaseTarget) => keyOf({ namespace: namespaceOf(project), name: database })
const pathOfDatabase = ({ project, database }: DatabaseTarget) => pathOf(kinds.CrateDB, namespaceOf(project), database)
