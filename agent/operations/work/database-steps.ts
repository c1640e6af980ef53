import { isDeepStrictEqual } from 'node:util'
import { isProblem } from '../../../shared/errors.ts'
import type { KindName, KubernetesObject } from '../../../shared/kubernetes/objects.ts'
import { outcomeOfStep, readOperatorRun, runRef, undoneBy } from '../../resources/cratedb-run.ts'
import { staleRecords } from '../../resources/cratedb-undo.ts'
import { type DatabaseTarget, namespaceOf, type Step } from '../../resources/kind.ts'
import type { StepRecord } from '../../resources/operation.ts'
import { observedOf, type Progress, type WorkContext } from './context.ts'

/** The CrateDB of an operation's target, from the API server. */
export function readCrateDB({ cluster, target }: Pick<Context, 'cluster' | 'target'>): Promise<KubernetesObject | undefined> {
  return cluster.read({ kind: 'CrateDB', namespace: namespaceOf(target.project), name: target.database })
}

type Context = WorkContext<DatabaseTarget>

/** The record of a step. */
type StepNote = {
  /** The `ref` of the operator's previous run: results with it do not belong to this step. */
  refBefore?: string
  /** The change was written. */
  written?: boolean
  /** Why the operator gave up. The operator's own record of that disappears at the end of its run. */
  failure?: string
}

/**
 * Advances a plan: begins its first step, writes its change, or checks the operator's progress in the current step.
 *
 * @param current the CrateDB, just read
 * @param plan the steps from `current`; empty if nothing is left to do
 */
export async function advanceSteps(context: Context, current: KubernetesObject | undefined, plan: Step[]): Promise<Progress> {
  const { step } = context.operation.status ?? {}
  const [next] = plan
  if (!step && !next) return { next: 'done', ...(current && { observed: observedOf(current) }) }
  const isToBegin = !step || (isPlanned(step, plan) && !wasWritten(step, current))
  return isToBegin && next ? begin(context, current, next) : judge(context, current, step as StepRecord)
}

/** Whether the plan still contains what a step changes. What was to be taken back may have got its hosts meanwhile, and is changed as usual then. */
function isPlanned(step: StepRecord, plan: Step[]): boolean {
  return plan.some(({ name }) => name === step.name || name === undoneBy(step.name))
}

async function begin(context: Context, current: KubernetesObject | undefined, next: Step): Promise<Progress> {
  // What takes a change back replaces the run that is on, and no run reads credentials.
  const mayInterrupt = next.alongside !== undefined || next.name === 'credentials'
  const wait = mayInterrupt ? undefined : await untilIdle(context, current)
  if (wait) return wait
  const refBefore = runRef(current, next.name)
  await context.begin(next.name, refBefore === undefined ? {} : { refBefore })
  return write(context, current, next)
}

/** Whether the operator is working. An edit during a run is lost or stuck (crate-operator.md, 7), so the next change waits for its end. */
export function isBusy(current: KubernetesObject | undefined): boolean {
  return current !== undefined && readOperatorRun(current).state !== 'ended'
}

/** The progress while the operator is working; undefined if it is not. What would make it work without end is removed. */
export async function untilIdle(context: Pick<Context, 'cluster'>, current: KubernetesObject | undefined): Promise<Progress | undefined> {
  if (current === undefined || !isBusy(current)) return undefined
  if (await dropStaleRecords(context, current)) return { next: 'again' }
  return { next: 'wait', message: 'The Crate Operator is still busy with an earlier change.' }
}

/** Steps in which the operator has no part: they end as soon as they are written. */
const ownSteps = new Set(['annotate', 'snapshots', 'credentials', 'backup-place'])

/** Changes that the operator itself reverts, so that the plan contains them again although they were written. */
const takenBack = ['upgrade', 'restore']

/**
 * Whether the change of the current step has been written to the cluster. That is recorded after the write, so after a crash between the two
 * it is unknown. If the plan still contains the change, it was not written; except that a change which the operator may have reverted was
 * written if there is a new or current run.
 */
export function wasWritten(step: StepRecord, current: KubernetesObject | undefined): boolean {
  const { written = false, refBefore } = (step.note ?? {}) as StepNote
  if (written || !current) return written
  return takenBack.includes(step.name) && (runRef(current, step.name) !== refBefore || readOperatorRun(current).state === 'working')
}

async function write(context: Context, current: KubernetesObject | undefined, next: Step): Promise<Progress> {
  const { step } = context.operation.status ?? {}
  for (const object of next.objects) {
    const { kind, metadata } = object
    const before = kind === 'CrateDB' ? current : await context.cluster.read({ kind: kind as KindName, ...metadata })
    await context.cluster.apply(meeting(current, object), before, next.alongside)
  }
  for (const { kind, metadata } of next.removed ?? []) {
    const standing = await context.cluster.read({ kind: kind as KindName, ...metadata })
    if (standing) await context.cluster.remove(standing)
  }
  const written = { ...(step as StepRecord), note: { ...step?.note, written: true } }
  await context.record({ phase: 'Waiting', step: written, message: `Step ${next.name} is with the Crate Operator.` })
  return ownSteps.has(next.name) ? ended(context) : { next: 'wait' }
}

/** The object with the version that it must still have, so that no concurrent change of the operator is undone. */
function meeting(current: KubernetesObject | undefined, object: KubernetesObject): KubernetesObject {
  if (!current || object.kind !== 'CrateDB') return object
  return { ...object, metadata: { ...object.metadata, resourceVersion: current.metadata.resourceVersion as string } }
}

async function judge(context: Context, current: KubernetesObject | undefined, step: StepRecord): Promise<Progress> {
  if (!current)
    return { next: 'failed', reason: 'Disappeared', message: 'The CrateDB was deleted by somebody else while the operation ran.' }
  if (ownSteps.has(step.name)) return ended(context)
  const note = (step.note ?? {}) as StepNote
  const { failure = note.failure, message } = readOperatorRun(current)
  const outcome = outcomeOfStep(current, step.name, note.refBefore)
  if (outcome.state === 'failed')
    return { next: 'failed', reason: outcome.reason, message: failure ?? (await context.failures.of(current)) ?? outcome.message }
  if (undoneBy(step.name) !== undefined && (await dropStaleRecords(context, current))) return { next: 'again' }
  if (outcome.state === 'succeeded') return (await waitForEffect(context, current, step.name)) ?? ended(context)
  if (failure !== note.failure || (message !== undefined && message !== step.message)) {
    const said = { ...step, note: { ...note, ...(failure !== undefined && { failure }) }, ...(message !== undefined && { message }) }
    await context.record({ step: said })
  }
  return { next: 'wait', message: outcome.message }
}

/**
 * A pass of the abandoned run that was on when the change was taken back writes its records afterwards. Those of handlers that ended then are
 * of no run, and the present run waits for them without end: it does their work again if they are gone. Whoever waits for the run sees to that:
 * the step that took the change back, or what follows after its cancellation.
 */
async function dropStaleRecords({ cluster }: Pick<Context, 'cluster'>, current: KubernetesObject): Promise<boolean> {
  const stale = staleRecords(current)
  if (stale.length === 0) return false
  const { namespace = '', name, resourceVersion } = current.metadata
  const annotations = Object.fromEntries(stale.map((key) => [key, null]))
  await cluster.patch({ kind: 'CrateDB', namespace, name }, { metadata: { resourceVersion, annotations } })
  return true
}

async function ended(context: Context): Promise<Progress> {
  await context.finish()
  return { next: 'again' }
}

/** What is missing of a change that the operator has finished; undefined if nothing is. */
async function waitForEffect(context: Context, current: KubernetesObject, step: string): Promise<Progress | undefined> {
  if (step === 'create') return waitForNodes(context, current)
  return (await isEffective(context, current, step)) ? undefined : { next: 'wait', recheckMs: 500 }
}

/** The operator ends a creation as soon as one node answers, whatever the state of the others. */
async function waitForNodes({ cluster }: Context, { metadata }: KubernetesObject): Promise<Progress | undefined> {
  const own = `app.kubernetes.io/name=${metadata.name},app.kubernetes.io/part-of=cratedb`
  const sets = await cluster.list('StatefulSet', metadata.namespace as string, own)
  const sum = (count: (set: KubernetesObject) => number) => sets.reduce((total, set) => total + count(set), 0)
  const ready = sum(({ status }) => status?.readyReplicas ?? 0)
  const wanted = sum(({ spec }) => spec.replicas ?? 1)
  if (ready >= wanted) return undefined
  // A ready pod wakes the operation a moment before its StatefulSet counts it.
  return { next: 'wait', message: `${ready} of ${wanted} nodes are ready.`, recheckMs: 1_000 }
}

/** Kubernetes 1.20 serves CronJobs in another API version. */
async function unlessNotServed<T>(read: Promise<T>): Promise<T | undefined> {
  return read.catch((error: unknown) => {
    if (isProblem(error, 'not-served')) return undefined
    throw error
  })
}

/** Two kinds of change leave no result in the status: their effect is checked instead. */
async function isEffective({ cluster }: Context, { metadata, spec }: KubernetesObject, step: string): Promise<boolean> {
  const namespace = metadata.namespace as string
  if (step === 'allow-list') {
    const service = await cluster.read({ kind: 'Service', namespace, name: `crate-${metadata.name}` })
    if (service?.spec.type !== 'LoadBalancer') return true // Traefik's allow list is not visible to us; suspended: no Service
    return isDeepStrictEqual([...(service.spec.loadBalancerSourceRanges ?? [])].sort(), [...(spec.cluster.allowedCIDRs ?? [])].sort())
  }
  if (step === 'backup-time') {
    const job = await unlessNotServed(cluster.read({ kind: 'CronJob', namespace, name: `create-snapshot-${metadata.name}` }))
    return job === undefined || job.spec.schedule === spec.backups?.aws?.cron
  }
  return true
}
