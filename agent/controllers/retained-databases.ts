import { isProblem } from '../../shared/errors.ts'
import type { EventRecorder } from '../../shared/kubernetes/event-recorder.ts'
import { keyOf } from '../../shared/kubernetes/objects.ts'
import type { Part } from '../../shared/lifecycle.ts'
import type { Journal } from '../operations/journal.ts'
import type { Requests } from '../operations/own-request.ts'
import { type LeaderTools, Queue } from '../operations/queue.ts'
import type { Caches } from '../region/caches.ts'
import { isFollowed } from '../region/where-served.ts'
import { type DatabaseTarget, projectOf } from '../resources/kind.ts'
import { hasEnded } from '../resources/operation.ts'
import type { RetainedDatabaseSpec } from '../resources/retained-database.ts'
import { recordFound, unrecorded } from './found-databases.ts'
import { keepRecord } from './retained-record.ts'

export type RetainedControllerConfig = {
  /** The agent's own. */
  namespace: string
  /**
   * How long a volume must have been without a claim before it counts as found, in milliseconds: a deletion that becomes known meanwhile has a
   * record that says more.
   */
  foundAfterMs: number
}

export type RetainedControllerParts = LeaderTools & {
  caches: Pick<Caches, 'retained' | 'volumes' | 'databases' | 'operations'>
  journal: Pick<Journal, 'unended' | 'all'>
  requests: Requests
  recorder: Pick<EventRecorder, 'record'>
  /** The time by which data expires, in Unix milliseconds. */
  expiryTime: () => number
}

const retry = { baseMs: 500, capMs: 60_000 }

/** Before a database whose volumes may have been found, among the names of records. */
const found = 'found '

/**
 * The controller of deleted databases that can be had back. Whatever woke it, it looks at the whole present state.
 *
 * | a record                                  | what becomes of it                                                |
 * |-------------------------------------------|-------------------------------------------------------------------|
 * | cannot be read                            | stays, and its status says why: nothing is deleted by it          |
 * | an operation on the database is open      | stays: that operation says in its status what it does with it     |
 * | its volumes are in a newer record         | is deleted                                                        |
 * | its volumes serve a database that stands  | is deleted                                                        |
 * | no volume of it exists any more           | is deleted, with an Event                                         |
 * | its time has come                         | the agent asks itself for a purge, an entry of the ledger         |
 *
 * Volumes that are in no record become one (`found-databases.ts`). Without the CRD, or the permission, it does nothing.
 */
export function createRetainedController({ namespace, foundAfterMs }: RetainedControllerConfig, parts: RetainedControllerParts): Part {
  const { caches, lease, clock } = parts
  const log = parts.log.child({ controller: 'deleted databases' })
  const queue = new Queue({ name: 'deleted database controller', parallelism: 2, retry, handle, subscribe, addAll }, { lease, clock, log })
  const tools = { ...parts, namespace, log, now: parts.expiryTime, mustAct: queue.mustAct }

  async function handle(key: string): Promise<number | undefined> {
    if (!isFollowed(caches.retained)) return undefined
    try {
      if (key.startsWith(found)) return await recordFound(targetOfKey(key), tools)
      const record = caches.retained.get(keyOf({ namespace, name: key }))
      return record && record.metadata.deletionTimestamp === undefined ? await keepRecord(record, tools) : undefined
    } catch (error) {
      if (isProblem(error, 'conflict')) return 50 // an operation or a person wrote at the same time
      throw error
    }
  }

  function addFound({ project, database }: Omit<DatabaseTarget, 'kind'>): void {
    queue.add(`${found}${project}/${database}`, foundAfterMs)
  }

  function addRecords(fits: (spec: RetainedDatabaseSpec) => boolean): void {
    for (const { metadata, spec } of caches.retained.values()) if (fits(spec)) queue.add(metadata.name)
  }

  /** Other records too: one that is new may have taken over their volumes, and the volumes of one that is gone may be in none. */
  function addOf({ project, database }: Omit<DatabaseTarget, 'kind'>): void {
    addRecords((spec) => spec.project === project && spec.database === database)
    addFound({ project, database })
  }

  function addHolders(volume: string): void {
    addRecords(({ volumes }) => volumes.some((each) => each.volume === volume))
  }

  function addAll(): void {
    addRecords(() => true)
    for (const key of unrecorded(caches).keys()) queue.add(`${found}${key}`, foundAfterMs)
  }

  function subscribe() {
    return [
      caches.retained.subscribe(({ type, object }) => (type === 'changed' ? queue.add(object.metadata.name) : addOf(object.spec))),
      caches.retained.onTrouble(() => isFollowed(caches.retained) && addAll()),
      caches.volumes.subscribe(({ type, object: { metadata, found }, previous }) => {
        if (type !== 'removed' && found && !previous?.found) addFound(found)
        if (type === 'removed' || Boolean(found) !== Boolean(previous?.found)) addHolders(metadata.name)
      }),
      caches.databases.subscribe(({ type, object: { metadata } }) => {
        const project = projectOf(metadata.namespace ?? '')
        if (type !== 'changed' && project !== undefined) addOf({ project, database: metadata.name })
      }),
      caches.operations.subscribe(({ type, object }) => {
        const { target } = object.spec
        if (target.kind === 'database' && (type === 'added' || (type === 'changed' && hasEnded(object)))) addOf(target)
        if (target.kind === 'project' && type === 'changed' && hasEnded(object)) addAll()
      }),
    ]
  }

  return queue
}

function targetOfKey(key: string): DatabaseTarget {
  const [project = '', database = ''] = key.slice(found.length).split('/')
  return { kind: 'database', project, database }
}
