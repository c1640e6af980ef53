import { type KubernetesObject, kinds } from '../../../shared/kubernetes/objects.ts'
import type { StoredDatabaseSpec } from '../../resources/database.ts'
import { type DatabaseTarget, namespaceOf, type ProjectTarget, type Target } from '../../resources/kind.ts'
import { deletionRecord, type Operation, type OperationStatus } from '../../resources/operation.ts'
import type { RetainedDatabaseSpec } from '../../resources/retained-database.ts'
import type { Proposal } from '../journal.ts'
import { howToHaveBack, keepRecord } from '../work/retaining.ts'
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

/** Records that somebody deleted a database without an operation, which volumes are kept, and what there is to have it back by. */
export const recordDatabaseDeletion: Action<DatabaseTarget> = {
  ...record,
  work: {
    async advance(context) {
      const { uid, cratedb, wanted } = context.operation.spec.parameters as DeletedObject
      const retainedVolumes = await keptVolumes(context, context.target, uid)
      const { metadata, spec } = context.operation
      const deletedDatabase = await keepRecord(
        context,
        context.target,
        {
          cratedb: cratedb && cratedbOf(context.target, cratedb),
          wanted,
          volumes: retainedVolumes,
        },
        // Nobody decided that its data may go.
        { origin: 'outside', deletedAt: spec.acceptedAt, deletedBy: spec.requestedBy, operation: metadata.name, uid },
      )
      await context.record({ result: { retainedVolumes, ...(deletedDatabase !== undefined && { deletedDatabase }) } })
      const count = retainedVolumes.length
      const kept = count === 1 ? '1 volume is kept, see the result' : `${count} volumes are kept${count === 0 ? '' : ', see the result'}`
      const how = deletedDatabase === undefined ? '' : ` ${howToHaveBack(context.target, deletedDatabase)}`
      return { next: 'done', message: `Deleted by somebody outside Skerry; ${kept}.${how}`, observed: observedIn(context.operation) }
    },
  },
}

type Recorded = NonNullable<RetainedDatabaseSpec['cratedb']>

function cratedbOf({ project, database }: DatabaseTarget, { labels, annotations, spec }: Recorded): KubernetesObject {
  const metadata = { name: database, namespace: namespaceOf(project), labels, annotations }
  return { apiVersion: kinds.CrateDB.apiVersion, kind: 'CrateDB', metadata, spec }
}

/** The object that was deleted, and the annotation that allowed it. */
export type DeletedObject = {
  uid: string
  resourceVersion: string
  allowedBy?: string
  /** The CrateDB as the watch had it last. It contains no secrets. */
  cratedb?: Recorded
  /** The state that was last accepted, where no watch reported the deletion. */
  wanted?: StoredDatabaseSpec
}

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
