import type { Operation } from '../../resources/operation.ts'
import { deleteDatabase } from './database-delete.ts'
import { rotatePassword } from './database-password.ts'
import { putDatabase } from './database-put.ts'
import { restartDatabase } from './database-restart.ts'
import { restoreDatabase } from './database-restore.ts'
import { deleteProject } from './project-delete.ts'
import { putProject } from './project-put.ts'
import { recordDeletion } from './record-deletion.ts'
import type { Work } from './work.ts'

/** What each action does to each kind of target. */
const works: Record<string, Record<string, Work>> = {
  project: { put: putProject, delete: deleteProject, 'record-deletion': recordDeletion },
  database: {
    put: putDatabase,
    suspend: putDatabase,
    resume: putDatabase,
    delete: deleteDatabase,
    restart: restartDatabase,
    restore: restoreDatabase,
    'rotate-password': rotatePassword,
    'record-deletion': recordDeletion,
  },
}

/** @throws TypeError for a combination that no version of the agent accepts */
export function workOf({ spec }: Operation): Work {
  const work = works[spec.target.kind]?.[spec.action]
  if (!work) throw new TypeError(`there is no ${spec.action} of a ${spec.target.kind}`)
  return work
}
