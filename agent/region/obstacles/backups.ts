import type { KubernetesObject } from '../../../shared/kubernetes/objects.ts'
import { type BackupImage, backupImageVariable, hasIdleBackups, idleBackupsWhy } from '../../resources/backup-image.ts'
import type { Obstacle } from '../../resources/operation.ts'
import { cures } from './cures.ts'
import { describeObject, tell } from './evidence.ts'

/**
 * Backups that nothing takes. No operation waits for that, so it is no rule about what stands in the way of one: it is shown with the
 * database, whether an operation is under way or not. Pure, and made from what is in memory.
 */
export function backupsNotTaken(cratedb: KubernetesObject, image: BackupImage): Obstacle[] {
  if (!hasIdleBackups(cratedb)) return []
  const { snapshots, setImage } = cures.BackupsNotTaken
  return [
    tell({
      code: 'BackupsNotTaken',
      message: idleBackupsWhy(image),
      evidence: describeObject(cratedb),
      cures: [snapshots(), ...(image === 'missing' ? [setImage({ variable: backupImageVariable })] : [])],
    }),
  ]
}
