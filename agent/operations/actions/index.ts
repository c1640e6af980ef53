import type { Actions } from './action.ts'
import { backup } from './backup.ts'
import { deleteDatabase } from './delete-database.ts'
import { deleteProject } from './delete-project.ts'
import { importRegion } from './import.ts'
import { keepDeleted } from './keep-deleted.ts'
import { purge } from './purge.ts'
import { putDatabase } from './put-database.ts'
import { putProject } from './put-project.ts'
import { reattach } from './reattach.ts'
import { recordDatabaseDeletion, recordProjectDeletion } from './record-deletion.ts'
import { rehearseRestore } from './rehearse-restore.ts'
import { restart } from './restart.ts'
import { restore } from './restore.ts'
import { resume } from './resume.ts'
import { rotatePassword } from './rotate-password.ts'
import { snapshotVolumes } from './snapshot-volumes.ts'
import { suspend } from './suspend.ts'
import { undelete } from './undelete.ts'

/** All actions on each kind of target, in the order of the OpenAPI document. */
export const actions = {
  region: [importRegion],
  project: [putProject, deleteProject, recordProjectDeletion],
  database: [
    ...[putDatabase, deleteDatabase, suspend, resume, restart, backup, restore, rehearseRestore, snapshotVolumes],
    ...[rotatePassword, undelete, purge, reattach, keepDeleted, recordDatabaseDeletion],
  ],
} satisfies Actions
