import type { DatabaseTarget, ProjectTarget, Target } from '../../resources/kind.ts'
import { deletionRecord, type Operation, type OperationStatus } from '../../resources/operation.ts'
import type { Proposal } from '../journal.ts'
import { keptVolumes } from '../work/volumes.ts'
import type { Action } from './action.ts'

// No request asks for these: the leader records that somebody deleted the target without an operation. They wait for nothing: the deletion
// becomes an entry of the ledger even while the object still has a finalizer.
const record = { name: deletionRecord, requests: [], phase: undefined }

/** Records that somebody deleted a project without an operation. */
export const recordProjectDeletion: Action<ProjectTarget> = {
  ...record,
  work: {
    advance: async ({ operation }) => ({ next: 'done', message: 'Deleted by somebody outside Skerry.', observed: observedIn(operation) }),
  },
}

/** Records that somebody deleted a database without an operation, and which volumes are kept. */
export const recordDatabaseDeletion: Action<DatabaseTarget> = {
  ...record,
  work: {
    async advance(context) {
      const retainedVolumes = await keptVolumes(context.cluster, context.target)
      await context.record({ result: { retainedVolumes } })
      const count = retainedVolumes.length
      const kept = count === 1 ? '1 volume is kept, see the result' : `${count} volumes are kept${count === 0 ? '' : ', see the result'}`
      return { next: 'done', message: `Deleted by somebody outside Skerry; ${kept}.`, observed: observedIn(context.operation) }
    },
  },
}

/** The object that was deleted, and the annotation that allowed it. */
export type DeletedObject = { uid: string; resourceVersion: string; allowedBy?: string }

/** How long the record may take, in seconds. */
const timeoutSeconds = 600

/** The entry that the leader writes about a target that was deleted. */
export function deletionRecordOf(target: Target, deleted: DeletedObject): Proposal {
  const plan = [{ name: deletionRecord, consequences: [], objects: [] }]
  return { action: deletionRecord, target, parameters: deleted, timeoutSeconds, tryOut: [], plan }
}

function observedIn({ spec }: Operation): NonNullable<OperationStatus['observed']> {
  const { uid, resourceVersion } = spec.parameters as DeletedObject
  return { uid, resourceVersion }
}
