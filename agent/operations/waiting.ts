import { asProblem, isProblem } from '../../shared/errors.ts'
import type { Lease } from '../../shared/kubernetes/lease.ts'
import { keyOf, kinds, pathOf } from '../../shared/kubernetes/objects.ts'
import type { Part } from '../../shared/lifecycle.ts'
import type { Caches } from '../region/caches.ts'
import { cures } from '../region/obstacles/cures.ts'
import { tell } from '../region/obstacles/evidence.ts'
import { describeTarget, namespaceOf, type Target } from '../resources/kind.ts'
import {
  isDeletionRecord,
  isWaitingCode,
  isWaitingNote,
  type Obstacle,
  type Operation,
  phaseOf,
  targetKey,
  type WaitingCode,
} from '../resources/operation.ts'
import type { Journal } from './journal.ts'
import { aheadOf, heldBy } from './precedence.ts'
import type { LeaderTools, Queue } from './queue.ts'

export type WaitingParts = Omit<LeaderTools, 'lease'> & {
  lease: Pick<Lease, 'isLeader' | 'standing'>
  journal: Pick<Journal, 'unended' | 'unendedTargets'>
  caches: Pick<Caches, 'operations' | 'databases'>
  queue: Pick<Queue, 'waits'>
}

export type WaitingConfig = {
  /** The agent's own, where the operations are. */
  namespace: string
  /** The executor's. */
  parallelism: number
}

/** Pause between two looks, in milliseconds. A look reads memory only. */
const lookMs = 500

/**
 * Writes into the status of each accepted operation that nobody works on what it waits for: another operation, a free worker, or a leader.
 * The leader writes the first two, every replica the last. What passes between two looks is not written. The executor replaces the note as
 * soon as it writes the status.
 */
export function createWaitingNotes(config: WaitingConfig, parts: WaitingParts): Part {
  const { clock, log: parentLog, lease, journal } = parts
  const log = parentLog.child({ controller: 'waiting' })
  const ending = new AbortController()
  let running: Promise<void> | undefined
  /** By the name of the operation: the cause at the last look. */
  let seen = new Map<string, string>()

  async function run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await look(signal).catch((error: unknown) => {
        if (!signal.aborted) log.warn({ err: error }, 'waiting operations could not be noted')
      })
      // Jitter: without a leader, several replicas write the same.
      await clock.sleep(lookMs * (0.75 + Math.random() / 2), signal).catch(() => {})
    }
  }

  async function look(signal: AbortSignal): Promise<void> {
    const now = new Map<string, string>()
    for (const target of journal.unendedTargets()) {
      const open = journal.unended(target)
      for (const operation of open) {
        const cause = causeOf(operation, open, config, parts)
        if (cause === undefined) continue
        const { name } = operation.metadata
        now.set(name, cause.message)
        if (seen.get(name) !== cause.message || isSaid(operation, cause)) continue
        if (signal.aborted) return
        await note(operation, cause)
      }
    }
    seen = now
  }

  async function note(operation: Operation, cause: Obstacle): Promise<void> {
    if (!lease.isLeader() && lease.standing().state !== 'nobody') return
    const { code: reason, message, cure: action } = cause
    const { name, resourceVersion } = operation.metadata
    // Without a leader, what the operation waited for before still stands in its way.
    const others = cause.code === 'NoLeader' ? (operation.status?.blockers ?? []).filter(({ code }) => !isWaitingCode(code)) : []
    try {
      const written = await parts.cluster.request<Operation>({
        method: 'PATCH',
        path: `${pathOf(kinds.Operation, config.namespace, name)}/status`,
        contentType: 'application/merge-patch+json',
        body: {
          metadata: { resourceVersion },
          status: { phase: phaseOf(operation), reason, message, action, blockers: [cause, ...others] },
        },
      })
      parts.caches.operations.put(written)
    } catch (error) {
      // Another writer came first: what it wrote is looked at next time.
      if (!isProblem(error, 'conflict', 'not-found')) throw asProblem(error)
    }
  }

  return {
    name: 'waiting notes',
    async start() {
      running = run(ending.signal)
    },
    async stop() {
      ending.abort()
      await running
    },
  }
}

function isSaid({ status }: Operation, { code, message }: Obstacle): boolean {
  return isWaitingNote(status) && status?.reason === code && status.message === message
}

/** Why nobody works on an operation; undefined if somebody does, or will at once. @param open those of its target */
function causeOf(operation: Operation, open: Operation[], config: WaitingConfig, parts: WaitingParts): Obstacle | undefined {
  const { lease, queue } = parts
  const { target } = operation.spec
  if (!lease.isLeader()) return lease.standing().state === 'nobody' ? noLeader(lease) : undefined
  // These wait for no other operation, but like all others for a worker.
  const isUrgent = operation.status?.cancelRequested !== undefined || isDeletionRecord(operation)
  if (!isUrgent) {
    const before = aheadOf(operation, open) ?? heldByProject(operation, parts)
    if (before) return operationAhead(operation, before, config)
  }
  // One that has started waits for something else, and only has its turn to look at that.
  const isNew = operation.status?.startedAt === undefined
  return isNew && queue.waits(targetKey(target)) ? noFreeWorker(operation, config) : undefined
}

function heldByProject(operation: Operation, { journal, caches }: WaitingParts): Operation | undefined {
  const { target } = operation.spec
  if (target.kind !== 'database') return undefined
  const key = keyOf({ namespace: namespaceOf(target.project), name: target.database })
  return heldBy(operation, journal.unended({ kind: 'project', project: target.project }), caches.databases.get(key) !== undefined)
}

/** An obstacle with one of the codes that the executor knows as a note. */
const waiting = (found: Parameters<typeof tell>[0] & { code: WaitingCode }) => tell(found)

function noLeader(lease: Pick<Lease, 'standing'>): Obstacle {
  const { namespace, name, trouble = '' } = lease.standing()
  const { holder, free } = cures.NoLeader
  const at = { namespace, lease: name }
  return waiting({ code: 'NoLeader', message: trouble, evidence: `Lease ${namespace}/${name}`, cures: [holder(at), free(at)] })
}

function operationAhead({ spec: { target } }: Operation, before: Operation, { namespace }: WaitingConfig): Obstacle {
  const { name } = before.metadata
  const { see, cancel } = cures.OperationAhead
  const shared = sameTarget(target, before.spec.target) ? `the same ${target.kind}` : `its ${before.spec.target.kind}`
  return waiting({
    code: 'OperationAhead',
    message: `Waits for ${name}, which was accepted for ${shared} and has not ended.`,
    evidence: `Operation ${namespace}/${name}`,
    cures: [see({ namespace, operation: name }), cancel({ operation: name })],
  })
}

function noFreeWorker({ metadata }: Operation, { namespace, parallelism }: WaitingConfig): Obstacle {
  return waiting({
    code: 'NoFreeWorker',
    message: `Waits for a free worker: the leading agent works for at most ${parallelism} projects and databases at the same time.`,
    evidence: `Operation ${namespace}/${metadata.name}`,
    cures: [cures.NoFreeWorker.see({ namespace }), cures.NoFreeWorker.raise()],
  })
}

function sameTarget(one: Target, other: Target): boolean {
  return describeTarget(one) === describeTarget(other)
}
