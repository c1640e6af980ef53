import { isProblem } from '../../../shared/errors.ts'
import { hasEnded, type Operation, phaseOf } from '../../resources/operation.ts'
import type { OwnRequest } from '../own-request.ts'
import { isDone, type Progress, type WorkContext } from './context.ts'

/** Between two looks at another operation, in milliseconds: its end wakes nobody who waits for it. */
const lookMs = 1_000

/**
 * Asks for another operation and waits for its end, as a step of this one. Its name is recorded, so that it is followed whatever becomes of the
 * state from which the request was made.
 *
 * @param step the name of the step, which is also the key of the request
 * @returns undefined once the step is done
 */
export async function advanceChild(
  context: WorkContext,
  step: string,
  request: () => Promise<Omit<OwnRequest, 'requestedBy' | 'key'>>,
): Promise<Progress | undefined> {
  if (isDone(context.operation, step)) return undefined
  if (context.operation.status?.step?.name !== step) await context.begin(step)
  const child = await childOf(context, step, request)
  if (child === 'busy') return { next: 'wait', message: 'Waits for another operation on the same database.', recheckMs: lookMs }
  if (child && child !== 'gone' && !hasEnded(child)) {
    const { message } = child.status ?? {}
    return { next: 'wait', message: `Waits for ${child.metadata.name}${message === undefined ? '' : `: ${message}`}`, recheckMs: lookMs }
  }
  if (child === 'gone')
    return { next: 'failed', reason: 'ChildGone', message: `The operation of the step "${step}" was deleted before it ended.` }
  if (child && phaseOf(child) !== 'Succeeded') return failureOf(child)
  await context.finish(child && `Done by ${child.metadata.name}.`)
  return undefined
}

/** The operation as it is now; undefined if there was nothing to do. */
async function childOf(
  context: WorkContext,
  key: string,
  request: () => Promise<Omit<OwnRequest, 'requestedBy' | 'key'>>,
): Promise<Operation | 'busy' | 'gone' | undefined> {
  const { step } = context.operation.status ?? {}
  const { child: name } = (step?.note ?? {}) as { child?: string }
  if (name !== undefined) {
    // The API server, not a cache: this may be another process than the one that asked.
    const found = await context.cluster.read({ kind: 'Operation', namespace: context.options.namespace, name })
    return (found as Operation | undefined) ?? 'gone'
  }
  try {
    const child = await context.ask({ ...(await request()), key })
    if (child && step) await context.record({ phase: 'Waiting', step: { ...step, note: { ...step.note, child: child.metadata.name } } })
    return child
  } catch (error) {
    // Such as a database of that name that is still being deleted.
    if (isProblem(error, 'wrong-state')) return 'busy'
    throw error
  }
}

function failureOf({ metadata, status }: Operation): Progress {
  const { phase, reason = 'ChildFailed', message = '', action } = status ?? {}
  return {
    next: 'failed',
    reason,
    message: `Operation ${metadata.name} is ${phase}: ${message}`,
    ...(action !== undefined && { action }),
  }
}
