import { isProblem } from '../../shared/errors.ts'
import { tellEvent } from '../../shared/kubernetes/events.ts'
import { type KubernetesObject, kinds, pathOf } from '../../shared/kubernetes/objects.ts'
import { readObject } from '../../shared/kubernetes/read.ts'
import { type DeletedObject, deletionRecordOf } from '../operations/actions/record-deletion.ts'
import type { Journal } from '../operations/journal.ts'
import type { LeaderTools } from '../operations/queue.ts'
import type { Caches } from '../region/caches.ts'
import { describeTarget, namespaceOf, type Target, type TargetInProject } from '../resources/kind.ts'
import { deletedWith, hasEnded, isDeletion, isDeletionRecord, type Operation } from '../resources/operation.ts'

/** A project or a database that was deleted: the object with this uid, even if another one has its name by now. */
export type Deleted = { target: TargetInProject; allowedBy: string | undefined } & Omit<DeletedObject, 'allowedBy'>

/** The name for whoever deleted it. No identity has this name, since identities contain no blanks. */
const outside = 'outside Skerry'

export type DeletionRecordParts = Omit<LeaderTools, 'lease'> & {
  /** The agent's own. */
  namespace: string
  caches: Pick<Caches, 'operations'>
  journal: Pick<Journal, 'accept'>
}

/** Writes a deletion into the ledger unless an operation explains it, and creates an Event. */
export async function recordDeletion(deleted: Deleted, parts: DeletionRecordParts): Promise<void> {
  const explanation = explanationOf(deleted, parts)
  const isNew = explanation === undefined && (await isDeleted(deleted, parts)) && !(await isTakenAlong(deleted, parts))
  const operation = isNew ? await accept(deleted, parts) : explanation
  if (operation && isDeletionRecord(operation)) await emitEvent(operation, deleted, parts)
}

/** The operation that deleted that object, will delete it, or records its deletion. */
function explanationOf({ target, uid }: Deleted, { caches }: DeletionRecordParts): Operation | undefined {
  for (const operation of caches.operations.values()) {
    if (isDeletionRecord(operation) && operation.spec.parameters?.uid === uid) return operation
    if (!isDeletion(operation) || !covers(operation.spec.target, target)) continue
    const { observed } = operation.status ?? {}
    // The deletion of a project notes each database that it deletes. What somebody else deletes meanwhile, it knows nothing of.
    const willDelete = !hasEnded(operation) && operation.spec.target.kind === target.kind
    if (willDelete || observed?.uid === uid || deletedWith(operation).some((database) => database.uid === uid)) return operation
  }
  return undefined
}

/** Whether the open deletion of its project has deleted it. By the API server: of its status and the database, a watch may bring the latter first. */
async function isTakenAlong({ target, uid }: Deleted, { cluster, caches, namespace }: DeletionRecordParts): Promise<boolean> {
  const open = [...caches.operations.values()].filter(
    (operation) => isDeletion(operation) && !hasEnded(operation) && covers(operation.spec.target, target),
  )
  const standing = await Promise.all(open.map(({ metadata }) => readObject(cluster, pathOf(kinds.Operation, namespace, metadata.name))))
  return standing.some((operation) => operation && deletedWith(operation as Operation).some((database) => database.uid === uid))
}

/** By the API server, since a watch may lag: no standing object is recorded as deleted. */
async function isDeleted({ target, uid }: Deleted, { cluster }: DeletionRecordParts): Promise<boolean> {
  const path =
    target.kind === 'project'
      ? pathOf(kinds.Project, undefined, target.project)
      : pathOf(kinds.CrateDB, namespaceOf(target.project), target.database)
  try {
    const { metadata } = await cluster.request<KubernetesObject>({ method: 'GET', path })
    return metadata.uid !== uid || metadata.deletionTimestamp !== undefined
  } catch (error) {
    if (isProblem(error, 'not-found', 'not-served')) return true
    throw error
  }
}

async function accept(deleted: Deleted, parts: DeletionRecordParts): Promise<Operation | undefined> {
  const { target, allowedBy, ...object } = deleted
  const { uid } = object
  const parameters = { ...object, ...(allowedBy !== undefined && { allowedBy }) }
  parts.log.warn({ target: describeTarget(target), uid, allowedBy }, 'deleted outside Skerry')
  const proposal = deletionRecordOf(target, parameters)
  const accepted = await parts.journal.accept({
    target,
    requestedBy: outside,
    requestId: `deletion-${uid}`,
    idempotencyKey: uid, // one entry for each object, even if two replicas believe that they lead
    canonical: `deletion ${uid}`,
    decide: () => (explanationOf(deleted, parts) ? undefined : proposal),
  })
  return accepted.outcome === 'unchanged' ? undefined : accepted.operation
}

async function emitEvent(
  { apiVersion, kind, metadata }: Operation,
  { target, uid, allowedBy }: Deleted,
  { cluster, clock }: DeletionRecordParts,
): Promise<void> {
  const allowed = allowedBy === undefined ? '' : `, allowed by "${allowedBy}"`
  await tellEvent(cluster, {
    name: `skerry-deletion.${uid}`,
    about: { apiVersion, kind, metadata },
    type: 'Warning',
    reason: 'DeletedOutside',
    message: `Somebody deleted the ${describeTarget(target)} without the API${allowed}. The operation lists the volumes that are kept.`,
    component: 'skerry-agent',
    now: clock.now(),
  })
}

/** Whether deleting the one deletes the other: the same target, or a database and its project. */
function covers(one: Target, other: TargetInProject): boolean {
  if (one.kind === 'region' || one.project !== other.project) return false
  return one.kind === 'project' || (other.kind === 'database' && one.database === other.database)
}
