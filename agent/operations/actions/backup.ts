import type { DatabaseTarget } from '../../resources/kind.ts'
import { proposeBackup } from '../deciding/backup.ts'
import { tryBucket } from '../deciding/bucket-trial.ts'
import { databaseOfRequest } from '../deciding/present.ts'
import { advanceBackup, backupAfterCancel, leaveBackup } from '../work/backup.ts'
import { type Action, databaseRequest, emptyBody } from './action.ts'

/** Takes a snapshot of a database into its own bucket by CrateDB's SQL, and drops old ones. It needs nothing of the Crate Operator. */
export const backup: Action<DatabaseTarget> = {
  name: 'backup',
  // The database serves as usual.
  phase: undefined,
  requests: [
    databaseRequest({
      method: 'POST',
      operationId: 'backupDatabase',
      summary: 'Takes a backup',
      description:
        'The bucket is tried first, also with `dryRun`: what is wrong with it refuses the request. The snapshot is in the result of the operation.',
      body: emptyBody('Empty: the place is that of the member snapshots of the database'),
      asksForState: false,
      prepare: async (parts, asked) => ({ ...asked, findings: await tryBucket(parts, asked.target) }),
      decide: (parts, asked) => proposeBackup(parts, databaseOfRequest(parts, asked), { findings: asked.findings }),
    }),
  ],
  work: { advance: advanceBackup, leave: leaveBackup, afterCancel: backupAfterCancel },
}
