import { restoreStep, type StoredRestore } from '../../resources/database-actions.ts'
import { advanceSteps, databaseOf, readCrateDB } from './database-steps.ts'
import { isDone, type Work } from './work.ts'

/** Restores a snapshot into a database. The operator resets the request in the spec afterwards, in success and in failure. */
export const restoreDatabase: Work = {
  async advance(context) {
    const { operation } = context
    if (isDone(operation, 'restore')) return { next: 'done', message: 'The snapshot was restored.' }
    const current = await readCrateDB(context)
    if (!current) return { next: 'failed', reason: 'Disappeared', message: 'The database was deleted before the snapshot was restored.' }
    if (operation.status?.step?.note?.written) return advanceSteps(context, current, [])
    const restore = operation.spec.parameters as StoredRestore
    return advanceSteps(context, current, [restoreStep(databaseOf(context), current, restore, await context.secrets())])
  },
}
