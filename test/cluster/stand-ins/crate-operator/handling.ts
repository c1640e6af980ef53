import type { Clock } from '../../client/clock.ts'
import { isFailure } from '../../client/failures.ts'
import type { KubernetesObject } from '../../client/objects.ts'
import type { Diff } from './diff.ts'
import {
  type Essence,
  encodeEssence,
  isFinished,
  lastKey,
  managedKey,
  type Progress,
  type Purpose,
  progressKey,
  progressOf,
  timestamp,
} from './traces.ts'

/** A merge patch as it grows while handlers run. One goes out at the end of a pass, if anything changed. */
export type Patch = {
  metadata: { annotations: Record<string, string | null> }
  status: Record<string, unknown>
  spec?: Record<string, unknown>
}

/** The arguments of a handler. */
export type Call = {
  id: string
  /** The object at the start of this pass. */
  object: KubernetesObject
  old: Essence | undefined
  diff: Diff
  /** When this handler was first called in this cycle. */
  started: string
  patch: Patch
  signal: AbortSignal
  /** A handler that `waits` calls this once its turn has come. */
  begin(): void
  /** Adds a sub-handler. This handler is done when all of its sub-handlers are. */
  register(handler: Handler): void
}

export type Handler = {
  id: string
  /** It checks itself whether its turn has come, and then calls `begin`. */
  waits?: true
  /** Its result is kept in the status under its id. */
  run(call: Call): Promise<Record<string, unknown> | undefined>
}

/** A temporary failure: `message` says what the handler waits for, and `until` when to try again. */
export class Retry extends Error {
  readonly until: 'change' | 'again' | 'later' | { results: string[] }

  /** @param until a change of the object's surroundings, the next pass, some time, or results (or failures) of other handlers */
  constructor(message: string | undefined, until: Retry['until'] = 'change') {
    super(message ?? 'None') // Python's str() of an exception without a message
    this.until = until
  }
}

/** A permanent failure of a handler. */
export class Refusal extends Error {}

/** A handler that did not run because another one failed. It sends no second notification. */
export class FailedDependency extends Refusal {}

/** Thrown to leave the whole object as it is. */
export class Frozen extends Error {}

/** The operator's memory of a cycle between two passes. Losing it costs only time. */
export type Memory = {
  asleep: Map<string, Retry['until']>
  /** Handlers that were seen to have finished. Somebody may remove their record: then they run again. */
  finished: Set<string>
  fingerprint: string
  /** Number of changes: a pass during which something changed has to look again. */
  changes: number
}

export type Cycle = {
  object: KubernetesObject
  purpose: Purpose
  old: Essence | undefined
  next: Essence
  diff: Diff
  handlers: Handler[]
  /** Ids of all handlers of this kind of object, also of those that do not run in this cycle: the end of the cycle removes their progress. */
  owned: string[]
  memory: Memory
  clock: Clock
  signal: AbortSignal
  /** Called when a handler's turn has come; it may throw instead of the handler. */
  before(id: string, progress: Progress): void
  failed(id: string, error: Refusal, call: Call): void
  retried(id: string, error: Retry): void
}

/** After so many milliseconds the real operator tries again, as `delayed` says; the stand-in also as soon as something has changed. */
export const retryMs = 30_000

/**
 * One pass over the handlers of a cycle, as in Kopf: it calls those that are neither finished nor asleep in order, and puts
 * their outcomes into one patch. When the last one is finished, all progress is removed and `last` becomes the handled state.
 *
 * @returns the patch, unless nothing worth writing happened, and whether the cycle is over
 */
export async function runPass(cycle: Cycle): Promise<{ patch: Patch | undefined; done: boolean }> {
  const { object, purpose, memory, clock, diff } = cycle
  const fingerprint = JSON.stringify(diff)
  // Kopf keeps nothing beside the records: without one, a handler runs anew.
  const isForgotten =
    [...memory.finished].some((id) => !isFinished(progressOf(object, id))) ||
    [...memory.asleep.keys()].some((id) => progressOf(object, id) === undefined)
  if (memory.fingerprint !== fingerprint || isForgotten) {
    memory.asleep.clear()
    memory.finished.clear()
    memory.fingerprint = fingerprint
  } else if (memory.asleep.size > 0 && [...memory.asleep].every(([id, until]) => !isAwake(id, until, cycle))) {
    return { patch: undefined, done: false }
  }

  const patch: Patch = { metadata: { annotations: {} }, status: {} }
  const touched = new Map<string, Progress>()
  const subrefs = new Set<string>()
  const sleeping = new Map<string, Retry['until']>()
  let worthWriting = false

  async function run(handlers: Handler[]): Promise<boolean> {
    let allFinished = true
    for (const handler of handlers) {
      const known = progressOf(object, handler.id)
      if (isFinished(known)) {
        memory.finished.add(handler.id)
        continue
      }
      const until = memory.asleep.get(handler.id)
      if (until !== undefined && !isAwake(handler.id, until, cycle)) {
        sleeping.set(handler.id, until)
        allFinished = false
        continue
      }
      if (!(await call(handler, known))) allFinished = false
    }
    return allFinished
  }

  /** Returns whether the handler is finished now. */
  async function call(handler: Handler, known: Progress | undefined): Promise<boolean> {
    const fresh: Progress = { started: timestamp(clock.now()), purpose, retries: 0, success: false, failure: false }
    const { delayed: _, message: __, ...before } = known ?? fresh
    const children: Handler[] = []
    const the: Call = {
      id: handler.id,
      object,
      old: cycle.old,
      diff,
      started: before.started,
      patch,
      signal: cycle.signal,
      begin: () => cycle.before(handler.id, before),
      register: (child) => children.push({ ...child, id: `${handler.id}/${child.id}` }),
    }
    const below = () => {
      for (const child of children) subrefs.add(child.id)
      const all = [...new Set([...(known?.subrefs ?? []), ...children.map(({ id }) => id)])].sort()
      return all.length > 0 ? { subrefs: all } : {}
    }
    try {
      if (!handler.waits) the.begin()
      const result = await handler.run(the)
      if (!(await run(children))) throw new Retry(undefined, 'again')
      if (result) patch.status[handler.id] = { ...(patch.status[handler.id] as object | undefined), ...result }
      finish({ success: true })
      return true
    } catch (error) {
      if (error instanceof Refusal) {
        cycle.failed(handler.id, error, the)
        finish({ failure: true, message: error.message })
        return true
      }
      const retry = asRetry(error, cycle.signal)
      if (children.length === 0) {
        sleeping.set(handler.id, retry.until)
        if (known?.message !== retry.message) cycle.retried(handler.id, retry)
      }
      const delayed = timestamp(clock.now() + retryMs)
      touched.set(handler.id, { ...before, delayed, retries: before.retries + 1, message: retry.message, ...below() })
      if (known?.message !== retry.message || retry.until === 'again') worthWriting ||= children.length === 0 || !known
      return false
    }

    function finish(outcome: Partial<Progress>): void {
      touched.set(handler.id, { ...before, stopped: timestamp(clock.now()), retries: before.retries + 1, ...outcome, ...below() })
      worthWriting = true
    }
  }

  const changesBefore = memory.changes
  const done = await run(cycle.handlers)
  memory.asleep = sleeping
  if (memory.changes !== changesBefore) wake(memory, 'change')
  if (done) {
    for (const key of progressKeysOf(object, [...cycle.owned, ...subrefs])) patch.metadata.annotations[key] = null
    patch.metadata.annotations[lastKey] = encodeEssence(cycle.next)
    memory.asleep = new Map()
    memory.finished.clear()
    memory.fingerprint = ''
  } else {
    for (const [id, progress] of touched) patch.metadata.annotations[progressKey(id)] = JSON.stringify(ordered(progress))
    worthWriting ||= patch.spec !== undefined || Object.keys(patch.status).some((key) => key !== 'subhandlerStartedAt' && !isStanding(key))
  }
  if (object.metadata.annotations?.[managedKey] === undefined) patch.metadata.annotations[managedKey] = 'yes'
  return { patch: worthWriting || done ? patch : undefined, done }

  /** Whether the object already has the values of the patch. */
  function isStanding(key: string): boolean {
    return JSON.stringify(object.status?.[key]) === JSON.stringify(patch.status[key])
  }
}

/** Wakes handlers that wait for a change of the object's surroundings, or for time to pass. */
export function wake(memory: Memory, what: 'change' | 'later'): void {
  if (what === 'change') memory.changes++
  for (const [id, until] of memory.asleep) if (until === what) memory.asleep.set(id, 'again')
}

/** An API error that an immediate repetition would not fix is a reason to wait, as any exception is for Kopf. */
function asRetry(error: unknown, signal: AbortSignal): Retry {
  if (error instanceof Retry) return error
  if (isFailure(error) && !signal.aborted) return new Retry(error.message, 'later')
  throw error
}

function isAwake(id: string, until: Retry['until'], { object, clock }: Cycle): boolean {
  const { delayed } = progressOf(object, id) ?? {}
  if (delayed !== undefined && Date.parse(delayed) <= clock.now()) return true
  if (typeof until === 'string') return until === 'again'
  return until.results.some((id) => isFinished(progressOf(object, id)))
}

/** The annotations of these handlers and of all below them. */
function progressKeysOf(object: KubernetesObject, ids: string[]): string[] {
  const all = new Set(ids)
  for (const id of all) for (const below of progressOf(object, id)?.subrefs ?? []) all.add(below)
  return [...all].map(progressKey).filter((key) => object.metadata.annotations?.[key] !== undefined)
}

/** In the order in which Kopf writes the fields. */
function ordered(progress: Progress): Progress {
  const { started, stopped, delayed, purpose, retries, success, failure, message, subrefs } = progress
  return {
    started,
    ...(stopped !== undefined && { stopped }),
    ...(delayed !== undefined && { delayed }),
    purpose,
    retries,
    success,
    failure,
    ...(message !== undefined && { message }),
    ...(subrefs !== undefined && { subrefs }),
  }
}
