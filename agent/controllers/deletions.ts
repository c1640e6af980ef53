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
import type { Journal } from '../operations/journal.ts'
import type { Caches } from '../region/caches.ts'
import { describeTarget, namespaceOf, projectOf, type Target } from '../resources/kind.ts'
import { annotation } from '../resources/labels.ts'
import { deletedWith, hasEnded, type Operation, targetKey } from '../resources/operation.ts'

export type DeletionControllerParts = {
  cluster: Cluster
  caches: Pick<Caches, 'projects' | 'databases' | 'operations'>
  journal: Pick<Journal, 'accept' | 'all' | 'lastSucceeded' | 'unended'>
  lease: Leadership
  clock: Clock
  log: Log
}

/** Who asked, where nobody did. No identity has this name: a blank is not allowed in one. */
export const outside = 'outside Skerry'

const retry = { baseMs: 200, capMs: 30_000 }
/** It only writes down what has happened. */
const timeoutSeconds = 600

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
      if (acts() && !isExplained(deleted) && (await isDeleted(deleted))) await record(deleted)
    } catch (error) {
      if (acts()) throw error
    }
    // Where this replica does not lead, the one that does finds it by itself.
    found.delete(uid)
    return undefined
  }

  /** Whether an operation has deleted that object, is about to, or has it written down. */
  function isExplained({ target, uid }: Deleted): boolean {
    const about = new Set([targetKey(target), targetKey({ kind: 'project', project: target.project })])
    return journal.all().some((operation) => {
      const { action, target: its, parameters } = operation.spec
      if (!about.has(targetKey(its))) return false
      if (action === 'record-deletion') return parameters?.uid === uid
      if (action !== 'delete') return false
      const { observed } = operation.status ?? {}
      return !hasEnded(operation) || observed?.uid === uid || deletedWith(operation).some((database) => database.uid === uid)
    })
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

  async function record(deleted: Deleted): Promise<void> {
    const { target, uid, resourceVersion, allowedBy } = deleted
    const parameters = { uid, resourceVersion, ...(allowedBy !== undefined && { allowedBy }) }
    log.warn({ target: describeTarget(target), uid, allowedBy }, 'deleted outside Skerry')
    const accepted = await journal.accept({
      target,
      requestedBy: outside,
      requestId: `deletion-${uid}`,
      idempotencyKey: uid, // one entry for each object, also where two replicas take themselves for the leader
      canonical: `deletion ${uid}`,
      decide: () => (isExplained(deleted) ? undefined : { action: 'record-deletion', target, parameters, timeoutSeconds, tryOut: [] }),
    })
    if (accepted.outcome === 'unchanged') return
    const { apiVersion, kind, metadata } = accepted.operation
    await tellEvent(cluster, {
      name: `skerry-deletion.${uid}`,
      namespace: home,
      about: { apiVersion, kind, metadata },
      type: 'Warning',
      reason: 'DeletedOutside',
      message: `Somebody deleted the ${describeTarget(target)} without the API${allowedBy === undefined ? '' : `, allowed by "${allowedBy}"`}. The volumes of databases are kept.`,
      component: 'skerry-agent',
      now: clock.now(),
    })
  }

  function add(target: Target, { metadata }: KubernetesObject): void {
    const { uid = '', resourceVersion = '', annotations } = metadata
    found.set(uid, { target, uid, resourceVersion, allowedBy: annotations?.[annotation.allowDeletion] })
    queue.add(uid)
  }

  /** News is that an object is on its way out, or is gone without having been so. */
  function hear({ type, object, previous }: Change<KubernetesObject>): void {
    const leaves = object.metadata.deletionTimestamp !== undefined
    const isNews = type === 'removed' ? !leaves : leaves && previous?.metadata.deletionTimestamp === undefined
    const target = targetOfObject(object)
    if (isNews && target) add(target, object)
  }

  function addAll(): void {
    for (const object of [...caches.projects.values(), ...caches.databases.values()]) hear({ type: 'added', key: '', object })
    for (const operation of lastOfTargets()) addIfAbsent(operation)
  }

  /** Of each target the operation that says last which object it saw. */
  function lastOfTargets(): Operation[] {
    const targets = new Map(journal.all().map(({ spec }) => [targetKey(spec.target), spec.target]))
    return [...targets.values()].flatMap((target) => journal.lastSucceeded(target) ?? [])
  }

  function addIfAbsent({ spec, status }: Operation): void {
    const { target, action } = spec
    const { uid, resourceVersion } = status?.observed ?? {}
    if (action === 'delete' || action === 'record-deletion' || uid === undefined || resourceVersion === undefined) return
    const there = target.kind === 'project' ? caches.projects.get(target.project) : caches.databases.get(keyOfDatabase(target))
    if (there?.metadata.uid === uid || wentWithProject(target, spec.sequence)) return
    found.set(uid, { target, uid, resourceVersion, allowedBy: undefined })
    queue.add(uid)
  }

  /** Its project was deleted by an operation later, which took its databases along. */
  function wentWithProject({ kind, project }: Target, since: number): boolean {
    const last = journal.lastSucceeded({ kind: 'project', project })
    return kind === 'database' && last?.spec.action === 'delete' && last.spec.sequence > since
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

function targetOfObject({ kind, metadata }: KubernetesObject): Target | undefined {
  if (kind === 'Project') return { kind: 'project', project: metadata.name }
  const project = projectOf(metadata.namespace ?? '')
  return project === undefined ? undefined : { kind: 'database', project, database: metadata.name }
}

const keyOfDatabase = ({ project, database }: DatabaseTarget) => keyOf({ namespace: namespaceOf(project), name: database })
const pathOfDatabase = ({ project, database }: DatabaseTarget) => pathOf(kinds.CrateDB, namespaceOf(project), database)
