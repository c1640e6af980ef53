import { type KubernetesObject, keyOf } from '../../shared/kubernetes/objects.ts'
import type { Part } from '../../shared/lifecycle.ts'
import type { AcceptedState } from '../operations/accepted.ts'
import type { Journal } from '../operations/journal.ts'
import type { Requests } from '../operations/own-request.ts'
import { type LeaderTools, Queue } from '../operations/queue.ts'
import type { Caches } from '../region/caches.ts'
import { type DatabaseTarget, projectOf } from '../resources/kind.ts'
import { label } from '../resources/labels.ts'
import { hasEnded, isDeletion, isRehearsal, type Operation, targetKey, targetOf } from '../resources/operation.ts'

const retry = { baseMs: 1_000, capMs: 60_000 }
/** After a deletion that failed, in milliseconds. */
const againMs = 60_000
/** Who asks, in the ledger. */
const requestedBy = 'clean-up of Skerry'

export type RehearsalsParts = LeaderTools & {
  caches: Pick<Caches, 'databases' | 'operations'>
  journal: Pick<Journal, 'all' | 'unended' | 'unendedTargets'>
  accepted: Pick<AcceptedState, 'database'>
  requests: Requests
}

/**
 * The controller of rehearsals: a database that a rehearsal made is deleted, with its volumes, as soon as the rehearsal has ended, however it
 * ended. It is found by what is accepted, too: a rehearsal may end before its database is created.
 */
export function createRehearsalController({ namespace }: { namespace: string }, parts: RehearsalsParts): Part {
  const { caches, journal, accepted, requests } = parts
  const log = parts.log.child({ controller: 'rehearsals' })
  const queue = new Queue({ name: 'rehearsal controller', parallelism: 1, retry, handle, subscribe, addAll }, { ...parts, log })

  async function handle(key: string): Promise<number | undefined> {
    const target = targetOf(key) as DatabaseTarget
    const present = accepted.database(target.project, target.database)
    if (!present?.spec.rehearsal || present.leaving) return undefined
    const { operation } = present.spec.rehearsal
    const owner = caches.operations.get(keyOf({ namespace, name: operation }))
    if (owner && !hasEnded(owner)) return undefined
    queue.mustAct()
    const before = journal.all().filter((each) => isDeletion(each) && targetKey(each.spec.target) === key)
    // A deletion that failed is asked for again, under another key.
    const attempt = [operation, ...before.map(({ metadata }) => metadata.name)].at(-1)
    const query = { retainVolumes: 'false' }
    await requests.accept({ operationId: 'deleteDatabase', target, query, requestedBy, key: `rehearsal of ${operation}, after ${attempt}` })
    log.info({ project: target.project, database: target.database, operation }, 'database of an ended rehearsal is deleted')
    return againMs
  }

  function add(target: DatabaseTarget): void {
    queue.add(targetKey(target))
  }

  /** The end of a rehearsal, and what else was asked for its database. */
  function hear(operation: Operation): void {
    const { target, parameters } = operation.spec
    if (target.kind !== 'database') return
    if (isRehearsal(operation) && hasEnded(operation) && typeof parameters?.database === 'string')
      add({ ...target, database: parameters.database })
    else if (accepted.database(target.project, target.database)?.spec.rehearsal) add(target)
  }

  function hearOf({ metadata }: KubernetesObject): void {
    const project = projectOf(metadata.namespace ?? '')
    if (project === undefined || metadata.labels?.[label.rehearsal] === undefined) return
    add({ kind: 'database', project, database: metadata.name })
  }

  function addAll(): void {
    for (const database of caches.databases.values()) hearOf(database)
    for (const target of journal.unendedTargets()) for (const operation of journal.unended(target)) hear(operation)
  }

  function subscribe() {
    return [caches.operations.subscribe(({ object }) => hear(object)), caches.databases.subscribe(({ object }) => hearOf(object))]
  }

  return queue
}
