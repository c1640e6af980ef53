import type { Clock } from '../../shared/clock.ts'
import type { Cache } from '../../shared/kubernetes/cache.ts'
import type { Cluster } from '../../shared/kubernetes/connection.ts'
import { kinds, pathOf } from '../../shared/kubernetes/objects.ts'
import type { Log } from '../../shared/log.ts'
import { isWaitingNote, type Operation, type OperationStatus, phaseOf, type StepRecord } from '../resources/operation.ts'

export type OperationRecordParts = { cluster: Cluster; operations: Cache<Operation>; clock: Clock; mustLead: () => void; log: Log }

/** A change of the status; `undefined` removes a field. */
export type StatusChange = { [Field in keyof OperationStatus]?: OperationStatus[Field] | undefined }

/** One operation as the executor reads and writes it. Every write requires the version that was read. */
export class OperationRecord {
  readonly #parts: OperationRecordParts
  readonly #path: string
  #operation: Operation

  constructor(operation: Operation, parts: OperationRecordParts) {
    this.#operation = operation
    this.#parts = parts
    this.#path = pathOf(kinds.Operation, operation.metadata.namespace, operation.metadata.name)
  }

  get current(): Operation {
    return this.#operation
  }

  /** Whether the API server still has this version. Another replica may have led meanwhile, and the watch may lag. */
  async isCurrent(): Promise<boolean> {
    const standing = await this.#parts.cluster.request<Operation>({ method: 'GET', path: this.#path })
    this.#parts.operations.put(standing)
    return standing.metadata.resourceVersion === this.#operation.metadata.resourceVersion
  }

  /** Makes a change of the status durable. @throws Problem `conflict` when another writer came first, `not-ready` without the Lease */
  async write(change: StatusChange): Promise<void> {
    const { cluster, operations, clock, mustLead, log } = this.#parts
    const from = phaseOf(this.#operation)
    const { timeoutSeconds } = this.#operation.spec
    const start = { startedAt: this.now(), deadline: new Date(clock.now() + timeoutSeconds * 1000).toISOString() }
    const status = { phase: from, ...start, ...workedOn(this.#operation.status), ...change } as OperationStatus
    mustLead()
    const body = { ...this.#operation, status }
    this.#operation = await cluster.request<Operation>({ method: 'PUT', path: `${this.#path}/status`, body })
    operations.put(this.#operation)
    if (status.phase !== from) log.info({ from, to: status.phase, step: status.step?.name, reason: status.reason }, 'operation advanced')
  }

  /** Records the start of a step, before any of its work is done. */
  async begin(name: string, note: Record<string, unknown> = {}): Promise<StepRecord> {
    const step = { name, startedAt: this.now(), note }
    // A step that begins again, because its change could not be written, keeps its attempts and the reason of the last failure.
    const isAgain = this.#operation.status?.step?.name === name
    const fresh = { attempts: undefined, reason: undefined, action: undefined, message: `Step ${name} begins.` }
    await this.write({ phase: 'Applying', step, ...(isAgain ? {} : fresh) })
    return step
  }

  /** Records the end of the current step. */
  async finish(message?: string): Promise<void> {
    const { step, done = [] } = this.#operation.status ?? {}
    if (!step) return
    const ended = { name: step.name, startedAt: step.startedAt, endedAt: this.now(), ...(message !== undefined && { message }) }
    await this.write({
      step: undefined,
      done: [...done, ended],
      attempts: undefined,
      reason: undefined,
      message: `Step ${step.name} has ended.`,
    })
  }

  /** RFC 3339 */
  now(): string {
    return new Date(this.#parts.clock.now()).toISOString()
  }
}

/** A status without the note of what the operation waited for: whoever writes it works on the operation. */
function workedOn(status: OperationStatus | undefined): StatusChange {
  return isWaitingNote(status)
    ? { ...status, reason: undefined, message: undefined, action: undefined, blockers: undefined }
    : { ...status }
}
