import type { StoredDatabaseSpec } from '../resources/database.ts'
import { keepsVolumes } from '../resources/kept-volume.ts'
import { deletedWith, hasEnded, isDeletion, isDeletionRecord, type Operation, phaseOf } from '../resources/operation.ts'

/**
 * Whether a volume that was bound too late for the deletion of its database goes with it: if the database is deleted before its claims are
 * bound, the operation that deletes it cannot let their volumes go. What was asked for last decides:
 *
 * | the last that is known of the database                         | its late volume                                       |
 * |----------------------------------------------------------------|-------------------------------------------------------|
 * | a deletion with `retainVolumes=false` that has let volumes go  | goes                                                  |
 * | the same, but it failed or was cancelled                       | is kept                                               |
 * | any other deletion                                             | is kept                                               |
 * | a put, and somebody outside deleted the database               | goes without `retainVolumes`, and that of a rehearsal |
 * | nothing, or it was created and deleted outside since           | is kept                                               |
 *
 * @param stands whether its CrateDB still exists: then only a deletion that is under way can let the volume go
 */
export function goesWithItsDatabase(operations: Iterable<Operation>, project: string, database: string, stands: boolean): boolean {
  const [last, ...others] = [...operations]
    .filter((operation) => decidesOn(operation, project, database))
    .sort((a, b) => b.spec.sequence - a.spec.sequence)
  const decision = last && isDeletionRecord(last) ? others[0] : last
  if (!decision) return false
  if (isDeletion(decision)) return decision === last && letsGo(decision) && !(stands && hasEnded(decision))
  if (stands || decision.spec.wanted === undefined) return false
  const wanted = decision.spec.wanted as StoredDatabaseSpec
  return wanted.rehearsal !== undefined || !keepsVolumes(wanted)
}

function decidesOn(operation: Operation, project: string, database: string): boolean {
  const { target, wanted } = operation.spec
  if (target.kind === 'project')
    return target.project === project && isDeletion(operation) && deletedWith(operation).some(({ id }) => id === database)
  if (target.kind !== 'database' || target.project !== project || target.database !== database) return false
  return isDeletion(operation) || isDeletionRecord(operation) || (wanted !== undefined && !wasWithdrawn(operation))
}

/** What it wanted may never have come into effect. */
function wasWithdrawn(operation: Operation): boolean {
  const phase = phaseOf(operation)
  return phase === 'Cancelled' || phase === 'Superseded'
}

/** Until it has begun, something else may take precedence, and its database may turn out to be protected. */
function letsGo(deletion: Operation): boolean {
  const { parameters, target } = deletion.spec
  if (parameters?.retainVolumes !== false) return false
  const phase = phaseOf(deletion)
  if (hasEnded(deletion)) return phase === 'Succeeded'
  const { step, done = [] } = deletion.status ?? {}
  return target.kind === 'project' || [...done, ...(step ? [step] : [])].some(({ name }) => name === 'release-volumes')
}
