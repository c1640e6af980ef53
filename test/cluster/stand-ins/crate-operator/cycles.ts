import type { StandInKind } from '../../client/kinds.ts'
import type { KubernetesObject } from '../../client/objects.ts'
import type { Queue } from '../queue.ts'
import { type Diff, diffOf } from './diff.ts'
import { postEvent } from './events.ts'
import { FailedDependency, Frozen, type Handler, type Memory, Refusal, Retry, retryMs, runPass, wake } from './handling.ts'
import { keyOfDatabase, type Operator } from './operator.ts'
import { type Essence, essenceOf, lastHandled, type Purpose } from './traces.ts'
import type { Action } from './webhooks.ts'

/** The handlers of a kind of object. */
export type Handlers = {
  kind: StandInKind
  /** Ids of all handlers. */
  owned: string[]
  /** The handlers for a difference; undefined stands for an object that was never handled. */
  select(object: KubernetesObject, old: Essence | undefined, next: Essence, diff: Diff): Handler[]
  /** The webhook on a failure; undefined sends none. */
  actionOf?(purpose: Purpose, diff: Diff): Action
}

/** Drives objects of one kind through their cycles, a pass at a time. */
export type Cycles = {
  /** Processes an object as far as possible now. */
  advance(object: KubernetesObject, signal: AbortSignal): Promise<void>
  /** Something that belongs to the object has changed. */
  wake(key: string): void
  /** What handlers wait for, for a message. */
  waitsOf(key: string): string
  forget(key: string): void
}

type Remembered = Memory & { uid: string | undefined; notBefore: number; wakeAt: number | undefined }

/** Interval between two attempts if no change in the cluster announces the result, in milliseconds. */
const laterMs = 200

/** The longest pause after an injected failure, in milliseconds. Each pause doubles the previous one, so that a long fault does not flood the API server. */
const failureMs = 400

export function createCycles(operator: Operator, handlers: Handlers, queue: () => Queue): Cycles {
  const { world, options, faults } = operator
  const memories = new Map<string, Remembered>()

  function memoryOf(key: string, { metadata }: KubernetesObject): Remembered {
    let memory = memories.get(key)
    if (!memory || memory.uid !== metadata.uid) {
      memory = { asleep: new Map(), finished: new Set(), fingerprint: '', changes: 0, uid: metadata.uid, notBefore: 0, wakeAt: undefined }
      memories.set(key, memory)
    }
    return memory
  }

  async function advance(object: KubernetesObject, signal: AbortSignal): Promise<void> {
    const key = keyOfDatabase(object)
    const old = lastHandled(object)
    const next = essenceOf(object)
    const diff = diffOf(old, next)
    if (old !== undefined && diff.length === 0) return
    const memory = memoryOf(key, object)
    const now = world.clock.monotonic()
    if (memory.wakeAt !== undefined && memory.wakeAt <= now) {
      memory.wakeAt = undefined
      wake(memory, 'later')
    }
    if (now < memory.notBefore) return queue().addAfter(key, memory.notBefore - now)
    try {
      await pass(key, object, memory, { old, next, diff, signal })
    } catch (error) {
      if (!(error instanceof Frozen)) throw error
    }
  }

  async function pass(
    key: string,
    object: KubernetesObject,
    memory: Remembered,
    { old, next, diff, signal }: { old: Essence | undefined; next: Essence; diff: Diff; signal: AbortSignal },
  ): Promise<void> {
    const purpose: Purpose = old === undefined ? 'create' : 'update'
    let pauseMs = options.stepMs
    const { patch, done } = await runPass({
      object,
      purpose,
      old,
      next,
      diff,
      handlers: handlers.select(object, old, next, diff),
      owned: handlers.owned,
      memory,
      clock: world.clock,
      signal,
      before(id, { retries }) {
        if (faults.stopsAt(key, id)) throw new Frozen()
        const failure = faults.failureOf(key, id)
        if (failure && retries < failure.retries) {
          pauseMs = Math.min(options.stepMs * 2 ** retries, failureMs)
          throw new Retry(failure.message, 'again')
        }
        if (failure) throw new Refusal(failure.message)
      },
      failed(id, error) {
        postEvent(operator, object, 'Error', `Handler '${id}' failed permanently: ${error.message}`)
        const action = handlers.actionOf?.(purpose, diff)
        if (error instanceof FailedDependency || action === undefined) return
        operator.webhooks.feedback(key, 'failure', purpose === 'create' ? 'create' : 'update', action, error.message)
      },
      retried(id, error) {
        if (typeof error.until === 'string') postEvent(operator, object, 'Error', `Handler '${id}' failed temporarily: ${error.message}`)
      },
    })
    if ([...memory.asleep.values()].includes('later')) {
      memory.wakeAt ??= world.clock.monotonic() + laterMs
      queue().addAfter(key, laterMs)
    } else if (memory.asleep.size > 0) queue().addAfter(key, retryMs)
    if (!patch) return
    memory.notBefore = done ? 0 : world.clock.monotonic() + pauseMs
    const body = { ...patch, status: Object.keys(patch.status).length > 0 ? patch.status : undefined }
    await operator.patch(handlers.kind, object, body, signal)
    // The copy may already have this answer; then no event would start the next pass.
    queue().addAfter(key, pauseMs)
  }

  return {
    advance,
    wake(key) {
      const memory = memories.get(key)
      if (memory) wake(memory, 'change')
    },
    waitsOf: (key) => JSON.stringify([...(memories.get(key)?.asleep ?? [])]),
    forget: (key) => memories.delete(key),
  }
}
