import { isDeepStrictEqual } from 'node:util'
import type { KubernetesObject } from '../../shared/kubernetes/objects.ts'

/** The state of the Crate Operator's latest run on an object, from the annotations and the status that the operator writes. */
export type OperatorRun = {
  /** `unseen`: the operator has not begun. `working`: it has begun. `ended`: it has finished, with or without success. */
  state: 'unseen' | 'working' | 'ended'
  /** Its last message; only while it works. */
  message?: string
  /** Why it gave up. Only visible while other parts of the run still work: whoever sees it must keep it. */
  failure?: string
}

const prefix = 'operator.cloud.crate.io/'
const bookkeeping = new Set([`${prefix}last`, `${prefix}kopf-managed`, `${prefix}rollback-upgrade`])

/** A progress record as Kopf 1.37 keeps it in an annotation. */
type Progress = { started?: string; delayed?: string | null; success?: boolean; failure?: boolean; message?: string | null }

/**
 * Reads that state. There are neither conditions nor `observedGeneration`: the operator has finished when no progress annotation is left and
 * its record of the last handled spec equals the spec.
 */
export function readOperatorRun(object: KubernetesObject): OperatorRun {
  const progress = progressOf(object)
  if (progress.length > 0) {
    const failure = progress.find(({ failure }) => failure)?.message
    // The message "None" is Python's null: the handler only waits for its sub-handlers.
    const message = progress
      .filter(({ success, failure, message }) => !success && !failure && message !== 'None')
      .sort(newestFirst)[0]?.message
    return { state: 'working', ...(message && { message }), ...(failure && { failure }) }
  }
  const handled = handledState(object)
  return { state: handled !== undefined && isDeepStrictEqual(handled.spec, object.spec) ? 'ended' : 'unseen' }
}

function progressOf({ metadata }: KubernetesObject): Progress[] {
  return progressKeys(metadata).map((key) => parse<Progress>(metadata.annotations?.[key] ?? '')) as Progress[]
}

/** The annotations with the progress of the operator's present run. */
export function progressKeys({ annotations = {} }: KubernetesObject['metadata']): string[] {
  return Object.keys(annotations).filter(
    // The record of a rolled-back upgrade stays forever, and has no start.
    (name) => name.startsWith(prefix) && !bookkeeping.has(name) && parse<Progress>(annotations[name] ?? '')?.started !== undefined,
  )
}

/** When the operator began with a part of its present run, in Unix milliseconds; NaN if it does not work on it. Kopf writes UTC, without a zone. */
export function startOf({ metadata }: KubernetesObject, part: string): number {
  const { started = '' } = parse<Progress>(metadata.annotations?.[`${prefix}${part}`] ?? '') ?? {}
  return Date.parse(/(Z|[+-]\d\d:\d\d)$/.test(started) ? started : `${started}Z`)
}

/** The operator's record of the last handled state: `{spec, metadata}` of a CrateDB, `{data, …}` of a Secret. */
export function handledState(object: KubernetesObject): { spec?: unknown; data?: Record<string, string> } | undefined {
  const last = object.metadata.annotations?.[`${prefix}last`]
  return last === undefined ? undefined : parse(last)
}

function parse<T>(text: string): T | undefined {
  try {
    return (JSON.parse(text) as T | null) ?? undefined
  } catch {
    return undefined // somebody else's annotation under the operator's prefix
  }
}

function newestFirst(a: Progress, b: Progress): number {
  return (b.delayed ?? b.started ?? '').localeCompare(a.delayed ?? a.started ?? '')
}

/** The step whose change a step takes back (`undo-scale`: `scale`); undefined if it takes nothing back. */
export function undoneBy(step: string): string | undefined {
  return step.startsWith('undo-') ? step.slice('undo-'.length) : undefined
}

/** The status entry that shows whether a step has succeeded. Steps without one are judged by their effect. */
const decidingEntry: Record<string, string> = {
  create: 'cluster_create/bootstrap',
  scale: 'cluster_update/scale',
  suspend: 'cluster_update/scale',
  resume: 'cluster_update/scale',
  upgrade: 'cluster_update/after_upgrade',
  compute: 'cluster_update/after_change_compute',
  disk: 'cluster_update/expand_volume',
  exposure: 'cluster_update/change_exposure',
  restore: 'cluster_restore/spec.cluster.restoreSnapshot/send_success_notification',
}

/** The status entry with the `ref` of the latest run of a kind of step. A creation has no earlier run to compare with. */
const runEntry: Record<string, string | undefined> = {
  create: undefined,
  restore: 'cluster_restore/spec.cluster.restoreSnapshot',
}

/** The `ref` of the latest run of this kind of step. It is recorded before the change is written. */
export function runRef(object: KubernetesObject | undefined, step: string): string | undefined {
  const entry = step in runEntry ? runEntry[step] : 'cluster_update'
  return entry === undefined ? undefined : object?.status?.[entry]?.ref
}

export type StepOutcome =
  | { state: 'waiting'; message?: string }
  | { state: 'succeeded' }
  | { state: 'failed'; reason: string; message: string }

/**
 * The outcome of a step whose change has been written.
 *
 * What takes a change back is written with another `last` than the spec. So the operator ends only after it has handled that spec, and may do
 * so in a run that it began before: the write is repeated if the agent dies, or meets a conflict, before it is recorded.
 *
 * @param refBefore the `ref` before the change was written: results with it belong to the run before, except where a change is taken back
 */
export function outcomeOfStep(object: KubernetesObject, step: string, refBefore: string | undefined): StepOutcome {
  const run = readOperatorRun(object)
  if (run.state === 'unseen') return { state: 'waiting', message: 'The Crate Operator has not begun yet.' }
  if (run.state === 'working') return { state: 'waiting', ...(run.message && { message: run.message }) }
  const undone = undoneBy(step)
  const entry = decidingEntry[undone ?? step]
  if (entry === undefined) return { state: 'succeeded' }
  const result = object.status?.[entry] as { success?: boolean; ref?: string } | undefined
  const ref = runRef(object, step)
  const isNew = ref !== undefined && (ref !== refBefore || undone !== undefined)
  const isOfThisRun = step === 'create' || (isNew && result?.ref === ref)
  if (isOfThisRun && result?.success) return { state: 'succeeded' }
  return {
    state: 'failed',
    reason: 'OperatorFailed',
    message: `The Crate Operator ended the step "${step}" without success and left no reason; see its log and the events of the object.`,
  }
}
