import { isDeepStrictEqual } from 'node:util'
import { backoff, type Clock } from '../../shared/clock.ts'
import { asProblem, isProblem, Problem } from '../../shared/errors.ts'
import type { Change } from '../../shared/kubernetes/cache.ts'
import type { Cluster } from '../../shared/kubernetes/connection.ts'
import type { Leadership } from '../../shared/kubernetes/lease.ts'
import { type KubernetesObject, kinds, pathOf } from '../../shared/kubernetes/objects.ts'
import type { Part } from '../../shared/lifecycle.ts'
import type { Log } from '../../shared/log.ts'
import { createQueue } from '../../shared/queue.ts'
import type { Caches } from '../region/caches.ts'
import { createOperatorFailures, type OperatorFailures } from '../region/operator-failures.ts'
import type { DatabaseSql } from '../region/sql.ts'
import { describeTarget, projectOf, type Secrets, type Target } from '../resources/kind.ts'
import {
  hasEnded,
  isDeletionRecord,
  type Obstacle,
  type Operation,
  type OperationStatus,
  phaseOf,
  targetKey,
  targetOf,
} from '../resources/operation.ts'
import { type Actions, workOf } from './actions/action.ts'
import type { Journal } from './journal.ts'
import { turnOf } from './turn.ts'
import { createWorkCluster } from './work/cluster.ts'
import type { Progress, WorkContext } from './work/context.ts'
import { readCrateDB } from './work/database-steps.ts'

export type ExecutorConfig = {
  namespace: string
  /** Targets worked on at once. */
  parallelism: number
  /** How often a waiting operation is looked at although nothing was heard of its target, in milliseconds. */
  recheckMs: number
  imageRegistry: string
}

export type ExecutorParts = {
  actions: Actions
  journal: Journal
  caches: Caches
  cluster: Cluster
  lease: Leadership
  obstacles: { of(target: Target): Promise<Obstacle[]> }
  sql: DatabaseSql
  clock: Clock
  log: Log
  /** Told of each operation that ended. */
  ended?: (operation: Operation) => void
}

/** Makes accepted operations real. `depth` is how many targets wait for a free hand. */
export type Executor = Part & { readonly depth: number }

const retry = { baseMs: 500, capMs: 30_000 }

/**
 * The executor: one operation at a time for each target, in order of acceptance; different targets side by side.
 *
 * It acts only while the Lease is held, and every write of an operation's status must meet the version it was read at, so
 * that a leader that does not know yet that it was succeeded is stopped by the API server.
 */
export function createExecutor(config: ExecutorConfig, parts: ExecutorParts): Executor {
  const { journal, caches, lease, clock, log } = parts
  const failures = createOperatorFailures(parts)
  const queue = createQueue({ name: 'executor', parallelism: config.parallelism, retry }, handle, { clock, log })
  const subscriptions: (() => void)[] = []

  async function handle(key: string): Promise<number | undefined> {
    const target = targetOf(key)
    const open = journal.unended(target)
    // One that is to be cancelled does not wait for its turn to hear of it, and what has happened is written down at once.
    const isUrgent = (each: Operation) => each.status?.cancelRequested !== undefined || isDeletionRecord(each)
    const operation = open.find(isUrgent) ?? open[0]
    if (!operation || !lease.isLeader()) return undefined
    const later = open.filter(({ spec }) => spec.sequence > operation.spec.sequence)
    const ofProject = target.kind === 'database' ? journal.unended({ kind: 'project', project: target.project }) : []
    // An operation that ended makes way for the next one of its target, which the cache tells of.
    return createExecution(config, { ...parts, failures }, operation).run(later, ofProject)
  }

  /** Looks at a target if anything is open for it. */
  function wake(target: Target): void {
    if (journal.unended(target).length > 0) queue.add(targetKey(target))
  }

  function wakeAll(): void {
    for (const target of journal.unendedTargets()) queue.add(targetKey(target))
  }

  /** A new operation, one that ended and one that is to be cancelled are news; how the others come along was written here. */
  function wakeAfterOperation({ type, object: operation, previous }: Change<Operation>): void {
    const isNews = type !== 'changed' || hasEnded(operation) || (operation.status?.cancelRequested && !previous.status?.cancelRequested)
    if (!isNews) return
    wake(operation.spec.target)
    if (operation.spec.target.kind !== 'project') return
    // Databases wait for their project's operations, and yield to its deletion.
    for (const target of journal.unendedTargets()) if (target.project === operation.spec.target.project) wake(target)
  }

  function wakeDatabase(namespace: string | undefined, database: string | undefined): void {
    const project = projectOf(namespace ?? '')
    if (project === undefined) return
    if (database !== undefined) wake({ kind: 'database', project, database })
    wake({ kind: 'project', project })
  }

  return {
    name: 'executor',
    get depth() {
      return queue.depth
    },
    async start(signal) {
      subscriptions.push(
        caches.operations.subscribe(wakeAfterOperation),
        caches.projects.subscribe(({ object }) => wake({ kind: 'project', project: object.metadata.name })),
        caches.databases.subscribe(({ object: { metadata } }) => wakeDatabase(metadata.namespace, metadata.name)),
        caches.pods.subscribe(({ object: { metadata, database } }) => wakeDatabase(metadata.namespace, database)),
        caches.services.subscribe(({ object: { metadata, database } }) => wakeDatabase(metadata.namespace, database)),
        lease.onChange((leads) => leads && wakeAll()),
      )
      await queue.start(signal)
      wakeAll()
    },
    async stop(deadline) {
      for (const unsubscribe of subscriptions) unsubscribe()
      await queue.stop(deadline)
    },
  }
}

/** One look at one operation: what it comes to is written into its status. */
function createExecution(config: ExecutorConfig, parts: ExecutorParts & { failures: OperatorFailures }, given: Operation) {
  const { caches, cluster, lease, clock } = parts
  const log = parts.log.child({ operation: given.metadata.name, target: describeTarget(given.spec.target) })
  const path = pathOf(kinds.Operation, config.namespace, given.metadata.name)
  let operation = given

  const now = () => new Date(clock.now()).toISOString()

  async function run(later: Operation[], ofProject: Operation[]): Promise<number | undefined> {
    try {
      if (!(await isCurrent())) return 0
      const turn = await turnOf(operation, later, ofProject, standing, clock.now())
      if (turn.kind === 'hold') return undefined
      if (turn.kind === 'end') return await end(turn.status)
      return await after(await workOf(parts.actions, operation).advance(context))
    } catch (error) {
      if (!lease.isLeader()) return undefined
      return await failed(error)
    }
  }

  /** Whether the operation is as it was looked up. Another replica may have led meanwhile, and the watch may be behind. */
  async function isCurrent(): Promise<boolean> {
    const there = await cluster.request<Operation>({ method: 'GET', path })
    caches.operations.put(there)
    return there.metadata.resourceVersion === operation.metadata.resourceVersion
  }

  async function after(progress: Progress): Promise<number | undefined> {
    if (progress.next === 'again') return 0
    if (progress.next === 'done') {
      const { message = 'Done.', observed = operation.status?.observed } = progress
      return end({ phase: 'Succeeded', reason: 'Done', message, ...(observed && { observed }) })
    }
    if (progress.next === 'failed') {
      const { reason, message, action } = progress
      return end({ phase: 'Failed', reason, message, ...(action !== undefined && { action }), blockers: await obstacles() })
    }
    await noteWaiting(progress.message)
    return progress.recheckMs ?? config.recheckMs
  }

  /** Writes what is waited for and what stands in the way, if that is news. */
  async function noteWaiting(message: string | undefined): Promise<void> {
    const blockers = await obstacles()
    const { status } = operation
    const said = blockers[0]?.message ?? message
    if (phaseOf(operation) === 'Waiting' && status?.message === said && isDeepStrictEqual(status?.blockers ?? [], blockers)) return
    await record({ phase: 'Waiting', reason: blockers[0]?.code ?? 'Waiting', message: said, action: blockers[0]?.cure, blockers })
  }

  async function obstacles(): Promise<Obstacle[]> {
    try {
      return await parts.obstacles.of(operation.spec.target)
    } catch (error) {
      log.warn({ err: error }, 'could not find out what stands in the way')
      return operation.status?.blockers ?? []
    }
  }

  async function failed(error: unknown): Promise<number | undefined> {
    if (isProblem(error, 'conflict')) return conflicted(error)
    const problem = asProblem(error)
    if (problem.type === 'internal') log.error({ err: error }, 'operation failed in a way nobody designed')
    const attempts = (operation.status?.attempts ?? 0) + 1
    const passes = problem.retry !== 'never' && !(problem.type === 'internal' && attempts >= 5)
    if (!passes) return end({ phase: 'Failed', reason: reasonOf(problem), message: problem.detail, action: problem.action })
    const delay = problem.retryAfterSeconds !== undefined ? problem.retryAfterSeconds * 1000 : backoff(retry, attempts, Math.random())
    await record({ attempts, reason: reasonOf(problem), message: problem.detail, action: problem.action }).catch(() => {
      log.warn({ err: problem }, 'operation waits for the cluster') // the record of it waits as well
    })
    return Math.max(1, delay)
  }

  /**
   * Somebody else wrote what was to be changed, most often the operator: look again at what it is now. A conflict that stays, as in
   * a namespace that is being deleted, is looked at ever less often.
   */
  async function conflicted({ detail, action }: Problem): Promise<number> {
    const there = await cluster.request<Operation>({ method: 'GET', path })
    caches.operations.put(there)
    const attempts = (operation.status?.attempts ?? 0) + 1
    if (there.metadata.resourceVersion === operation.metadata.resourceVersion)
      await record({ attempts, ...(attempts > 3 && { reason: 'Conflict', message: detail, action }) })
    return Math.ceil(backoff({ baseMs: 20, capMs: retry.capMs }, attempts, Math.random()))
  }

  async function record(change: { [Field in keyof OperationStatus]?: OperationStatus[Field] | undefined }): Promise<void> {
    const from = phaseOf(operation)
    const status = { phase: from, ...start(), ...operation.status, ...change } as OperationStatus
    mustLead()
    const body = { ...operation, status }
    operation = await cluster.request<Operation>({ method: 'PUT', path: `${path}/status`, body })
    caches.operations.put(operation)
    if (status.phase !== from) log.info({ from, to: status.phase, step: status.step?.name, reason: status.reason }, 'operation advanced')
  }

  function start(): Pick<OperationStatus, 'startedAt' | 'deadline'> {
    return { startedAt: now(), deadline: new Date(clock.now() + operation.spec.timeoutSeconds * 1000).toISOString() }
  }

  async function end(status: Partial<OperationStatus>): Promise<undefined> {
    const isLeft = operation.status?.step !== undefined && status.phase !== 'Succeeded'
    const left = isLeft ? await workOf(parts.actions, operation).leave?.(context) : undefined
    const action = left === undefined ? status.action : [left, status.action].filter(Boolean).join(' ')
    await record({ attempts: undefined, blockers: [], ...status, action, endedAt: now() })
    parts.ended?.(operation)
    const { secretName } = operation.spec
    if (secretName === undefined) return
    // The collector takes away what is left behind here.
    await cluster.request({ method: 'DELETE', path: pathOf(kinds.Secret, config.namespace, secretName) }).catch(() => {})
  }

  function mustLead(): void {
    if (!lease.isLeader()) throw new Problem('not-ready', 'The Lease is no longer held.')
  }

  /** Only an operation on a database asks for it. */
  async function standing(): Promise<KubernetesObject | undefined> {
    const { target, cluster } = context
    return target.kind === 'database' ? readCrateDB({ cluster, target }) : undefined
  }

  const context: WorkContext = {
    target: given.spec.target,
    get operation() {
      return operation
    },
    cluster: createWorkCluster(cluster, { mustLead, caches }),
    sql: {
      async query(...statement) {
        mustLead()
        return parts.sql.query(...statement)
      },
    },
    failures: parts.failures,
    clock,
    options: config,
    async secrets() {
      const { secretName } = operation.spec
      if (secretName === undefined) return {}
      const secret = await context.cluster.read({ kind: 'Secret', namespace: config.namespace, name: secretName })
      if (!secret) throw new Problem('not-found', `The Secret ${config.namespace}/${secretName} that came with the request is gone.`)
      const values = Object.entries((secret.data ?? {}) as Record<string, string>)
      return Object.fromEntries(values.map(([key, value]) => [key, Buffer.from(value, 'base64').toString('utf8')])) as Secrets
    },
    record,
    async begin(name, note = {}) {
      const step = { name, startedAt: now(), note }
      // Begun anew because its change could not be written: what was counted and told of that stands.
      const isAgain = operation.status?.step?.name === name
      const fresh = { attempts: undefined, reason: undefined, action: undefined, message: `Step ${name} begins.` }
      await record({ phase: 'Applying', step, ...(isAgain ? {} : fresh) })
      return step
    },
    async finish(message) {
      const { step, done = [] } = operation.status ?? {}
      if (!step) return
      const ended = { name: step.name, startedAt: step.startedAt, endedAt: now(), ...(message !== undefined && { message }) }
      await record({
        step: undefined,
        done: [...done, ended],
        attempts: undefined,
        reason: undefined,
        message: `Step ${step.name} has ended.`,
      })
    },
  }

  return { run }
}

/** `quota-exceeded` as `QuotaExceeded`. */
function reasonOf(problem: Problem): string {
  return problem.type.replace(/(?:^|-)([a-z])/g, (_, letter: string) => letter.toUpperCase())
}
