import type { Change } from '../../shared/kubernetes/cache.ts'
import { createOperatorFailures } from '../region/operator-failures.ts'
import { projectOf, projectOfTarget, type Target } from '../resources/kind.ts'
import { hasEnded, isDeletionRecord, type Operation, targetKey, targetOf } from '../resources/operation.ts'
import { Deadlines } from './deadlines.ts'
import { Execution, type ExecutionConfig, type ExecutionParts } from './execution.ts'
import type { Journal } from './journal.ts'
import { Queue } from './queue.ts'

export type ExecutorConfig = ExecutionConfig & {
  /** Targets that are processed at the same time. */
  parallelism: number
}

export type ExecutorParts = Omit<ExecutionParts, 'failures' | 'deadlines'> & { journal: Journal }

const retry = { baseMs: 500, capMs: 30_000 }

/**
 * The executor carries out the operations of each target one at a time, in order of acceptance, and those of different targets in parallel.
 *
 * It acts only while the Lease is held. Every write of an operation's status requires the version that was read, so the API server stops a
 * former leader that has not noticed its successor.
 */
export function createExecutor(config: ExecutorConfig, parts: ExecutorParts): Queue {
  const { journal, caches } = parts
  const failures = createOperatorFailures(parts)
  const deadlines = new Deadlines(parts.clock)
  const { parallelism } = config
  const queue = new Queue({ name: 'executor', parallelism, retry, handle, subscribe, addAll }, parts)

  async function handle(key: string): Promise<number | undefined> {
    const target = targetOf(key)
    const open = journal.unended(target)
    // A cancellation does not wait for the operations before it, and a deletion outside Skerry is recorded at once.
    const isUrgent = (each: Operation) => each.status?.cancelRequested !== undefined || isDeletionRecord(each)
    const operation = open.find(isUrgent) ?? open[0]
    if (!operation) return undefined
    const later = open.filter(({ spec }) => spec.sequence > operation.spec.sequence)
    const ofProject = target.kind === 'database' ? journal.unended({ kind: 'project', project: target.project }) : []
    // The cache reports the end of the operation, and then the next operation of the target follows.
    return new Execution(operation, config, { ...parts, failures, deadlines }).run(later, ofProject)
  }

  /** Queues a target if it has open operations. */
  function wake(target: Target): void {
    if (journal.unended(target).length > 0) queue.add(targetKey(target))
  }

  function addAll(): void {
    for (const target of journal.unendedTargets()) queue.add(targetKey(target))
  }

  /** Relevant are operations that are new, have ended or are to be cancelled. The executor itself writes all other changes. */
  function wakeAfterOperation({ type, object: operation, previous }: Change<Operation>): void {
    const isNews = type !== 'changed' || hasEnded(operation) || (operation.status?.cancelRequested && !previous.status?.cancelRequested)
    if (!isNews) return
    const { target } = operation.spec
    wake(target)
    // An operation of the region follows those that it has asked for.
    if (target.kind !== 'region') wake({ kind: 'region' })
    if (target.kind !== 'project') return
    // Databases wait for their project's operations, and its deletion supersedes theirs.
    for (const open of journal.unendedTargets()) if (projectOfTarget(open) === target.project) wake(open)
  }

  function wakeDatabase(namespace: string | undefined, database: string | undefined): void {
    const project = projectOf(namespace ?? '')
    if (project === undefined) return
    if (database !== undefined) wake({ kind: 'database', project, database })
    wake({ kind: 'project', project })
  }

  function subscribe() {
    return [
      caches.operations.subscribe(wakeAfterOperation),
      caches.projects.subscribe(({ object }) => wake({ kind: 'project', project: object.metadata.name })),
      caches.databases.subscribe(({ object: { metadata } }) => wakeDatabase(metadata.namespace, metadata.name)),
      caches.pods.subscribe(({ object: { metadata, database } }) => wakeDatabase(metadata.namespace, database)),
      caches.services.subscribe(({ object: { metadata, database } }) => wakeDatabase(metadata.namespace, database)),
    ]
  }

  return queue
}
