import { deleteObject } from '../../shared/kubernetes/delete.ts'
import type { EventRecorder } from '../../shared/kubernetes/event-recorder.ts'
import { type KubernetesObject, keyOf, kinds, pathOf, pathOfObject } from '../../shared/kubernetes/objects.ts'
import { readObject } from '../../shared/kubernetes/read.ts'
import type { Journal } from '../operations/journal.ts'
import type { LeaderTools } from '../operations/queue.ts'
import type { Caches } from '../region/caches.ts'
import { type DatabaseTarget, namespaceOf } from '../resources/kind.ts'
import { fieldManager } from '../resources/labels.ts'
import type {
  RetainedDatabase,
  RetainedDatabaseSpec,
  RetainedDatabaseStatus,
  RetainedDatabaseVolume,
} from '../resources/retained-database.ts'
import { dueAt, type Finding, findingOf, isTakenOver, keptStatus, type VolumeState } from '../resources/retained-keeping.ts'
import { readRetained } from '../resources/retained-reading.ts'
import { type ExpiryParts, expire } from './expiry.ts'

export type RecordParts = ExpiryParts &
  Omit<LeaderTools, 'lease'> & {
    caches: Pick<Caches, 'retained' | 'volumes' | 'databases'>
    journal: Pick<Journal, 'unended' | 'all'>
    recorder: Pick<EventRecorder, 'record'>
  }

/** One look at the record of a deleted database. Resolves with the time until the next one, in milliseconds; undefined if an event wakes it. */
export async function keepRecord(record: RetainedDatabase, parts: RecordParts): Promise<number | undefined> {
  const { spec, fault } = readRetained(record)
  if (!spec) {
    await writeStatus(record, { phase: 'Kept', message: `The record cannot be read, so nothing is deleted: ${fault}.` }, parts)
    return undefined
  }
  const target: DatabaseTarget = { kind: 'database', project: spec.project, database: spec.database }
  // An operation on the database changes what its volumes do, and one on the record says so itself. Its end is heard of.
  if (parts.journal.unended(target).length > 0) return undefined
  // The deletion of a project writes the records of its databases before they go.
  if (parts.journal.unended({ kind: 'project', project: spec.project }).length > 0) return undefined
  const states: VolumeState[] = []
  for (const volume of spec.volumes) states.push(await stateOf(volume, spec, parts))
  const finding = isTakenOver({ record, spec }, parts.caches.retained.values()) ? 'replaced' : findingOf(states)
  if (finding !== 'stays') {
    await drop(record, finding, parts)
    return undefined
  }
  const due = dueAt(record, spec)
  if (due !== undefined && due <= parts.now() && !(await isAsItStands(record, parts))) return 1
  const { nextMs, trouble } = await expire(record, { target, dueAt: due }, parts)
  await writeStatus(record, keptStatus(record, { states, dueAt: due, trouble }), parts)
  return nextMs
}

/** A date may have been moved, and a watch may lag: nothing is deleted by an old record. */
async function isAsItStands(record: RetainedDatabase, { cluster, caches }: RecordParts): Promise<boolean> {
  const standing = (await readObject(cluster, pathOfObject(record))) as RetainedDatabase | undefined
  if (standing?.metadata.resourceVersion === record.metadata.resourceVersion) return true
  if (standing) caches.retained.put(standing)
  return false
}

/** By the cache if that says that nothing uses it; else by the API server, since a record may be deleted because of it. */
async function stateOf(
  { volume: name, uid, claim }: RetainedDatabaseVolume,
  { project, database: id }: RetainedDatabaseSpec,
  { cluster, caches }: RecordParts,
): Promise<VolumeState> {
  if (caches.volumes.get(name)?.found?.uid === uid) return 'kept'
  const volume = await readObject(cluster, pathOf(kinds.PersistentVolume, undefined, name))
  if (volume?.metadata.uid !== uid) return 'gone'
  const { claimRef } = volume.spec
  if (volume.status?.phase !== 'Bound' || `${claimRef?.namespace}/${claimRef?.name}` !== claim) return 'kept'
  const database = caches.databases.get(keyOf({ namespace: namespaceOf(project), name: id }))
  return database && database.metadata.deletionTimestamp === undefined ? 'serves' : 'kept'
}

const reasons = {
  replaced: 'its volumes are in a newer record',
  serves: 'its volumes serve the database again',
  gone: 'none of its volumes exists any more',
} as const

/** Its Secret goes with it, by the owner reference. */
async function drop(
  record: RetainedDatabase,
  finding: Exclude<Finding, 'stays'> | 'replaced',
  { cluster, mustAct, recorder, log }: RecordParts,
): Promise<void> {
  mustAct()
  if (!(await deleteObject(cluster, pathOfObject(record), record.metadata.uid))) return
  log.info({ record: record.metadata.name, why: reasons[finding] }, 'record of a deleted database dropped')
  if (finding !== 'gone') return
  const message = 'None of its volumes exists any more, so it cannot be had back. Its record was deleted.'
  recorder.record({ about: record, type: 'Warning', reason: 'VolumesGone', message })
}

async function writeStatus(
  record: RetainedDatabase,
  { phase, message }: RetainedDatabaseStatus,
  { cluster, caches, mustAct }: RecordParts,
): Promise<void> {
  if (record.status?.phase === phase && record.status.message === message) return
  mustAct()
  const { resourceVersion } = record.metadata
  const written = await cluster.request<KubernetesObject>({
    method: 'PATCH',
    path: `${pathOfObject(record)}/status`,
    query: { fieldManager },
    contentType: 'application/merge-patch+json',
    body: { metadata: { resourceVersion }, status: { phase, message: message ?? null } },
  })
  caches.retained.put(written)
}
