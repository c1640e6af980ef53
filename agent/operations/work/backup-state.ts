import type { KubernetesObject } from '../../../shared/kubernetes/objects.ts'
import { type BackupState, backupStatePatch } from '../../backups/state.ts'
import type { DatabaseTarget } from '../../resources/kind.ts'
import type { Progress, WorkContext } from './context.ts'
import { isBusy } from './database-steps.ts'

/**
 * Writes what became of backups onto the CrateDB, when the operator does not work on it: an edit in the middle of a run changes the run's `ref`, and
 * its parts wait for results that never come (handle_update_cratedb.py hashes all changes together).
 *
 * @param current the CrateDB, just read
 * @returns undefined once it is written
 * @throws Problem `conflict` when somebody has changed the object since
 */
export async function recordBackupState(
  { cluster }: WorkContext<DatabaseTarget>,
  current: KubernetesObject,
  change: Partial<BackupState>,
): Promise<Progress | undefined> {
  if (isBusy(current)) return { next: 'wait', message: 'The result is recorded when the Crate Operator has ended what it does.' }
  const { namespace = '', name } = current.metadata
  await cluster.patch({ kind: 'CrateDB', namespace, name }, backupStatePatch(current, change))
  return undefined
}
