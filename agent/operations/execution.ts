import { isDeepStrictEqual } from 'node:util'
import { backoff } from '../../shared/clock.ts'
import { asProblem, isProblem, Problem } from '../../shared/errors.ts'
import { keyOf } from '../../shared/kubernetes/objects.ts'
import type { Log } from '../../shared/log.ts'
import type { Caches } from '../region/caches.ts'
import type { OperatorFailures } from '../region/operator-failures.ts'
import type { DatabaseSql } from '../region/sql.ts'
import { describeTarget, type Secrets, type Target } from '../resources/kind.ts'
import { type Obstacle, type Operation, type OperationStatus, piecesOf } from '../resources/operation.ts'
import { type Actions, workOf } from './actions/action.ts'
import type { Deadlines } from './deadlines.ts'
import { OperationRecord } from './operation-record.ts'
import type { Requests } from './own-request.ts'
import { precedenceOf, type Standing } from './precedence.ts'
import type { LeaderTools } from './queue.ts'
import { discardSecrets, pieceIn, pieceName, secretsIn } from './request-secret.ts'
import { createWorkCluster, type WorkCluster } from './work/cluster.ts'
import type { Progress, Work, WorkContext } from './work/context.ts'
import { readCrateDB } from './work/database-steps.ts'
import { readMissingNodes } from './work/nodes-evidence.ts'

export type ExecutionConfig = {
  namespace: string
  /** Interval at which a waiting operation is checked without a change of its target, in milliseconds. */
  recheckMs: number
  imageRegistry: string
}

export type ExecutionParts = LeaderTools & {
  actions: Actions
  caches: Caches
  obstacles: { of(target: Target): Promise<Obstacle[]> }
  sql: DatabaseSql
  failures: OperatorFailures
  requests: Requests
  deadlines: Deadlines
  /** Called with each operation that ended. */
  ended?: (operation: Operation) => void
}

const retry = { baseMs: 500, capMs: 30_000 }
/** Attempts after which an unexpected error counts as permanent. */
const internalAttempts = 5
/** After this many conflicts in a row, the status shows them. */
const shownConflicts = 3

/**
 * Advances one operation: does the next part of its work, and writes the outcome into its status.
 *
 * | from                        | to         | who moves it, and when                                                         |
 * |-----------------------------|------------|--------------------------------------------------------------------------------|
 * |                             | Accepted   | the journal, at any replica: the entry is in the ledger                        |
 * | Accepted, Applying, Waiting | Applying   | the executor: a step begins                                                    |
 * | Accepted, Applying          | Waiting    | the executor: the operator, a volume or another object is not ready yet        |
 * | Accepted, Applying, Waiting | Succeeded  | the executor: nothing is left to do                                            |
 * | Accepted, Applying, Waiting | Failed     | the executor: the error does not pass by itself, or the deadline has passed    |
 * | Accepted, Applying, Waiting | Cancelled  | the executor, after `cancel` of the journal has set `cancelRequested`          |
 * | Accepted, Applying, Waiting | Superseded | the executor: a deletion, or a newer desired state, takes precedence           |
 *
 * ```
 * Accepted ──► Applying ◄──► Waiting
 *     │            │            │
 *     └────────────┴────────────┴──► Succeeded | Failed | Cancelled | Superseded ──► deleted by the collector
 * ```
 */
export class Execution {
  readonly #config: ExecutionConfig
  readonly #parts: ExecutionParts
  readonly #log: Log
  readonly #record: OperationRecord
  readonly #context: WorkContext

  constructor(operation: Operation, config: ExecutionConfig, parts: ExecutionParts) {
    const { lease, cluster, caches, clock } = parts
    const mustLead = () => {
      if (!lease.isLeader()) throw new Problem('not-ready', 'The Lease is no longer held.')
    }
    this.#config = config
    this.#parts = parts
    this.#log = parts.log.child({ operation: operation.metadata.name, target: describeTarget(operation.spec.target) })
    this.#record = new OperationRecord(operation, { cluster, operations: caches.operations, clock, mustLead, log: this.#log })
    this.#context = contextOf(this.#record, mustLead, config, parts)
  }

  /**
   * @param later the other open operations of the same target
   * @param ofProject the open operations of a database's project
   * @returns when to look again, in milliseconds; undefined when an event will say so
   */
  async run(later: Operation[], ofProject: Operation[]): Promise<number | undefined> {
    try {
      if (!(await this.#record.isCurrent())) return 0
      const { clock, deadlines } = this.#parts
      const moment = { now: clock.now(), isOutOfTime: deadlines.havePassed(this.#record.current) }
      const precedence = await precedenceOf(this.#record.current, later, ofProject, this.#standing, moment)
      if (precedence.kind === 'hold') return undefined
      if (precedence.kind === 'end') return await this.#end(precedence.status)
      if (precedence.kind === 'overtaken') return await this.#overtakenBy(precedence.by, later, ofProject)
      return await this.#after(await this.#work.advance(this.#context))
    } catch (error) {
      if (!this.#parts.lease.isLeader()) return undefined
      return await this.#afterError(error)
    }
  }

  async #overtakenBy(by: Operation, later: Operation[], ofProject: Operation[]): Promise<number | undefined> {
    const afterIt = later.filter(({ spec }) => spec.sequence > by.spec.sequence)
    return new Execution(by, this.#config, this.#parts).run(afterIt, ofProject)
  }

  get #work(): Work {
    return workOf(this.#parts.actions, this.#record.current)
  }

  get #standing(): Standing {
    const { target, cluster } = this.#context
    return {
      database: async () => (target.kind === 'database' ? readCrateDB({ cluster, target }) : undefined),
      nodes: (database) => readMissingNodes(cluster, database),
      afterCancel: (step) => this.#work.afterCancel?.(step),
    }
  }

  async #after(progress: Progress): Promise<number | undefined> {
    if (progress.next === 'again') return 0
    if (progress.next === 'done') {
      const { message = 'Done.', observed = this.#record.current.status?.observed } = progress
      return this.#end({ phase: 'Succeeded', reason: 'Done', message, ...(observed && { observed }) })
    }
    if (progress.next === 'failed') {
      const { reason, message, action } = progress
      return this.#end({ phase: 'Failed', reason, message, ...(action !== undefined && { action }), blockers: await this.#blockers() })
    }
    await this.#noteWaiting(progress)
    return progress.recheckMs ?? this.#config.recheckMs
  }

  /** Records what the operation waits for and its obstacles, if they have changed. */
  async #noteWaiting({ message, obstacle }: Extract<Progress, { next: 'wait' }>): Promise<void> {
    // Where those of the target cannot be determined, they are as before, with the one of the step.
    const others = (await this.#blockers()).filter(({ code }) => code !== obstacle?.code)
    const blockers = [...(obstacle ? [obstacle] : []), ...others]
    const [first] = blockers
    const { status } = this.#record.current
    const said = first?.message ?? message
    const isKnown = status?.phase === 'Waiting' && status.message === said && isDeepStrictEqual(status.blockers ?? [], blockers)
    if (!isKnown)
      await this.#record.write({ phase: 'Waiting', reason: first?.code ?? 'Waiting', message: said, action: first?.cure, blockers })
  }

  async #blockers(): Promise<Obstacle[]> {
    const { spec, status } = this.#record.current
    try {
      return await this.#parts.obstacles.of(spec.target)
    } catch (error) {
      this.#log.warn({ err: error }, 'blockers could not be determined')
      return status?.blockers ?? []
    }
  }

  async #afterError(error: unknown): Promise<number | undefined> {
    if (isProblem(error, 'conflict')) return this.#afterConflict(error)
    const problem = asProblem(error)
    if (problem.type === 'internal') this.#log.error({ err: error }, 'operation met an unexpected error')
    const attempts = this.#nextAttempt()
    const passes = problem.retry !== 'never' && !(problem.type === 'internal' && attempts >= internalAttempts)
    const told = { reason: reasonOf(problem), message: problem.detail, action: problem.action }
    if (!passes) return this.#end({ phase: 'Failed', ...told })
    await this.#record.write({ attempts, ...told }).catch(() => {
      this.#log.warn({ err: problem }, 'operation waits for the cluster') // the attempt cannot be recorded either
    })
    const { retryAfterSeconds } = problem
    return Math.max(1, retryAfterSeconds !== undefined ? retryAfterSeconds * 1000 : backoff(retry, attempts, Math.random()))
  }

  /**
   * Another writer, most often the operator, changed the object: the operation is retried soon. A persistent conflict, as in a namespace that
   * is being deleted, is retried less and less often.
   */
  async #afterConflict({ detail, action }: Problem): Promise<number> {
    const attempts = this.#nextAttempt()
    if (await this.#record.isCurrent())
      await this.#record.write({ attempts, ...(attempts > shownConflicts && { reason: 'Conflict', message: detail, action }) })
    return Math.ceil(backoff({ baseMs: 20, capMs: retry.capMs }, attempts, Math.random()))
  }

  #nextAttempt(): number {
    return (this.#record.current.status?.attempts ?? 0) + 1
  }

  async #end(status: Partial<OperationStatus>): Promise<undefined> {
    const { cluster, ended } = this.#parts
    const isUnfinished = this.#record.current.status?.step !== undefined && status.phase !== 'Succeeded'
    const left = isUnfinished ? await this.#work.leave?.(this.#context) : undefined
    const action = left === undefined ? status.action : [left, status.action].filter(Boolean).join(' ')
    await this.#record.write({ attempts: undefined, blockers: [], ...status, action, endedAt: this.#record.now() })
    ended?.(this.#record.current)
    const { spec } = this.#record.current
    if (spec.secretName === undefined) return
    await discardSecrets(cluster, this.#config.namespace, { name: spec.secretName, pieces: piecesOf(spec) })
  }
}

/** The tools for the work of an operation. */
function contextOf(record: OperationRecord, mustLead: () => void, config: ExecutionConfig, parts: ExecutionParts): WorkContext {
  const cluster = createWorkCluster(parts.cluster, { mustLead, caches: parts.caches })
  return {
    target: record.current.spec.target,
    get operation() {
      return record.current
    },
    cluster,
    sql: {
      async query(...statement) {
        mustLead()
        return parts.sql.query(...statement)
      },
    },
    failures: parts.failures,
    async ask({ key, ...request }) {
      mustLead()
      const { metadata, spec } = record.current
      const accepted = await parts.requests.accept({ ...request, requestedBy: spec.requestedBy, key: `${metadata.name} ${key}` })
      return accepted.outcome === 'unchanged' ? undefined : accepted.operation
    },
    known: (name) => parts.caches.operations.get(keyOf({ namespace: config.namespace, name })),
    clock: parts.clock,
    options: config,
    secrets: () => readSecrets(record.current.spec.secretName, config.namespace, cluster),
    piece: (index) => readPiece(record.current.spec.secretName, index, config.namespace, cluster),
    record: (change) => record.write(change),
    begin: (name, note) => record.begin(name, note),
    finish: (message) => record.finish(message),
  }
}

async function readSecrets(name: string | undefined, namespace: string, cluster: WorkCluster): Promise<Secrets> {
  if (name === undefined) return {}
  const secret = await cluster.read({ kind: 'Secret', namespace, name })
  if (!secret) throw new Problem('not-found', `The Secret ${namespace}/${name} that came with the request is gone.`)
  return secretsIn(secret)
}

async function readPiece(secret: string | undefined, index: number, namespace: string, cluster: WorkCluster): Promise<Buffer> {
  const name = pieceName(secret ?? '', index)
  const piece = pieceIn(secret === undefined ? undefined : await cluster.read({ kind: 'Secret', namespace, name }))
  if (!piece) throw new Problem('not-found', `The Secret ${namespace}/${name} with a part of the file that came with the request is gone.`)
  return piece
}

/** `quota-exceeded` as `QuotaExceeded`. */
function reasonOf(problem: Problem): string {
  return problem.type.replace(/(?:^|-)([a-z])/g, (_, letter: string) => letter.toUpperCase())
}
