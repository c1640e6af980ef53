import type { DatabaseTarget, Step } from '../../resources/kind.ts'
import { restoreBody, restoreRefusals, restoreStep, type StoredRestore, splitRestoreSecrets } from '../../resources/restore.ts'
import { refuseFaults, seconds } from '../deciding/decision.ts'
import { databaseOfRequest } from '../deciding/present.ts'
import { isDone, type Progress, type WorkContext } from '../work/context.ts'
import { advanceSteps, readCrateDB } from '../work/database-steps.ts'
import { type Action, databaseRequest } from './action.ts'

/** Restores a snapshot into a database. The operator resets the request in the spec afterwards, in success and in failure. */
export const restore: Action<DatabaseTarget> = {
  name: 'restore',
  phase: 'Restoring',
  requests: [
    databaseRequest({
      method: 'POST',
      operationId: 'restoreDatabase',
      summary: 'Restores a snapshot into the database',
      body: restoreBody,
      example: { snapshot: '20260131120000', type: 'tables', tables: ['doc.readings'] },
      asksForState: false,
      decide(parts, asked) {
        const { restore, secrets } = splitRestoreSecrets(asked.body)
        const { spec, object } = databaseOfRequest(parts, asked)
        refuseFaults(restoreRefusals(spec, restore))
        return {
          parameters: restore,
          ...(Object.keys(secrets).length > 0 && { secrets }),
          timeoutSeconds: seconds(parts.config.timeouts.restore),
          plan: [object ? restoreStep(asked.target, object, restore, secrets) : notYet],
        }
      },
    }),
  ],
  work: { advance },
}

const notYet: Step = {
  name: 'restore',
  consequences: ['The database does not exist yet, so the change cannot be shown.'],
  objects: [],
}

async function advance(context: WorkContext<DatabaseTarget>): Promise<Progress> {
  const { operation } = context
  if (isDone(operation, 'restore')) return { next: 'done', message: 'The snapshot was restored.' }
  const current = await readCrateDB(context)
  if (!current) return { next: 'failed', reason: 'Disappeared', message: 'The database was deleted before the snapshot was restored.' }
  if (operation.status?.step?.note?.written) return advanceSteps(context, current, [])
  const given = operation.spec.parameters as StoredRestore
  return advanceSteps(context, current, [restoreStep(context.target, current, given, await context.secrets())])
}
