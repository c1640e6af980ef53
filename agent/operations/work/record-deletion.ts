import { keptVolumes } from './volumes.ts'
import type { Work } from './work.ts'

/**
 * Writes down that somebody deleted the target without an operation, and which volumes are kept. It waits for nothing: what has happened
 * is an entry of the ledger, also while the object still hangs on a finalizer.
 */
export const recordDeletion: Work = {
  async advance(context) {
    const { target, parameters } = context.operation.spec
    const observed = { uid: String(parameters?.uid), resourceVersion: String(parameters?.resourceVersion) }
    if (target.kind === 'project') return { next: 'done', message: 'Deleted by somebody outside Skerry.', observed }
    const retainedVolumes = await keptVolumes(context.cluster, target)
    await context.record({ result: { retainedVolumes } })
    const count = retainedVolumes.length
    const kept = count === 1 ? '1 volume is kept, see the result' : `${count} volumes are kept${count === 0 ? '' : ', see the result'}`
    return { next: 'done', message: `Deleted by somebody outside Skerry; ${kept}.`, observed }
  },
}
