import { isProblem } from '../../shared/errors.ts'
import { unlessGone } from '../../shared/kubernetes/failures.ts'
import { type KubernetesObject, kinds, pathOf } from '../../shared/kubernetes/objects.ts'
import { mergePatch } from '../../shared/kubernetes/patch.ts'
import { readObject } from '../../shared/kubernetes/read.ts'
import type { Part } from '../../shared/lifecycle.ts'
import { failureOf, scheduleOf, uncountedFailures } from '../backups/failures.ts'
import { type BackupState, backupStatePatch, readBackupState, shortened } from '../backups/state.ts'
import type { Journal } from '../operations/journal.ts'
import { type LeaderTools, Queue } from '../operations/queue.ts'
import type { Caches } from '../region/caches.ts'
import { readOperatorRun } from '../resources/cratedb-run.ts'
import { type DatabaseTarget, namespaceOf } from '../resources/kind.ts'
import { fieldManager } from '../resources/labels.ts'
import { isBackup, isRehearsal, type Operation, phaseOf, targetKey, targetOf } from '../resources/operation.ts'

const retry = { baseMs: 200, capMs: 30_000 }
/** While the operator works on the database, in milliseconds. An edit in the middle of its run would change what it waits for. */
const busyMs = 5_000

/**
 * Records on a database how its last rehearsal has ended, and its backups that could not record their failure themselves, since operations
 * are collected. One that was cancelled, or gave way to another request, says nothing about the backup.
 */
export function createBackupRecords(
  parts: LeaderTools & { caches: Pick<Caches, 'databases' | 'operations'>; journal: Pick<Journal, 'all'> },
): Part {
  const { cluster, caches, journal } = parts
  const log = parts.log.child({ controller: 'backup records' })
  const queue = new Queue({ name: 'backup records', parallelism: 1, retry, handle, subscribe, addAll }, { ...parts, log })

  async function handle(key: string): Promise<number | undefined> {
    const target = targetOf(key) as DatabaseTarget
    const path = pathOf(kinds.CrateDB, namespaceOf(target.project), target.database)
    const database = await unlessGone(readObject(cluster, path))
    if (!database) return undefined
    const all = journal.all().filter(({ spec }) => targetKey(spec.target) === key)
    const change = { ...rehearsalChange(database, all), ...backupChange(database, all) }
    if (Object.keys(change).length === 0) return undefined
    if (readOperatorRun(database).state !== 'ended') return busyMs
    queue.mustAct()
    try {
      const written = await unlessGone(mergePatch(cluster, path, backupStatePatch(database, change), { fieldManager }))
      if (written) caches.databases.put(written)
    } catch (error) {
      if (isProblem(error, 'conflict')) return retry.baseMs
      throw error
    }
    return undefined
  }

  function hear(operation: Operation): void {
    if (isVerdict(operation) || isFailedBackup(operation)) queue.add(targetKey(operation.spec.target))
  }

  function addAll(): void {
    for (const operation of journal.all()) hear(operation)
  }

  function subscribe() {
    return [caches.operations.subscribe(({ object }) => hear(object))]
  }

  return queue
}

/** Whether it is a rehearsal that says something about the backup. */
function isVerdict(operation: Operation): boolean {
  return isRehearsal(operation) && ['Succeeded', 'Failed'].includes(phaseOf(operation))
}

function isFailedBackup(operation: Operation): boolean {
  return isBackup(operation) && phaseOf(operation) === 'Failed'
}

/** What is to be written of failed backups; nothing if all are counted. */
function backupChange(database: KubernetesObject, operations: readonly Operation[]): Partial<BackupState> {
  const uncounted = uncountedFailures(operations, database)
  const last = uncounted.at(-1)
  if (!last) return {}
  const { failures = 0 } = readBackupState(database)
  return { ...scheduleOf(last, database), lastFailure: failureOf(last), failures: failures + uncounted.length }
}

/** What is to be written of rehearsals; nothing if the last one, or a later one, is recorded already. */
function rehearsalChange(database: KubernetesObject, operations: readonly Operation[]): Partial<BackupState> {
  const last = operations.findLast(isVerdict)
  if (!last) return {}
  const { metadata, status } = last
  const { rehearsal = {} } = readBackupState(database)
  const operation = metadata.name
  const at = status?.endedAt ?? ''
  const known = [rehearsal.lastSuccess, rehearsal.lastFailure]
  if (known.some((each) => each && (each.at > at || (each.at === at && each.operation === operation)))) return {}
  // A new database of that name has nothing to do with rehearsals of the former one.
  if (at < (database.metadata.creationTimestamp ?? '')) return {}
  const { reason = '', message = '', result } = status ?? {}
  const verdict =
    status?.phase === 'Succeeded'
      ? { lastSuccess: { at, operation, snapshot: String(result?.snapshot) } }
      : { lastFailure: { at, operation, reason, message: shortened(message) } }
  return { rehearsal: { ...rehearsal, ...verdict } }
}
