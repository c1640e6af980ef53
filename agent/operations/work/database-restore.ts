import { restoreStep, type StoredRestore } from '../../resources/database-actions.ts'
import { advanceStep, databaseOf, readCrateDB } from './database-steps.ts'
import { isDone, type Work } from './work.ts'

/** Restores a snapshot into a database. The operator resets the request in the spec afterwards, in success and in failure. */
export const restoreDatabase: Work = {
  async advance(context) {
    const { operation } = context
    if (isDone(operation, 'restore')) return { next: 'done', message: 'The snapshot was restored.' }
    const current = await readCrateDB(context)
    if (!current) return { next: 'failed', reason: 'Disappeared', message: 'The database was deleted before the snapshot was restored.' }
    if (operation.status?.step?.note?.written) return advanceStep(context, current, undefined)
    const restore = operation.spec.parameters as StoredRestore
    return advanceStep(context, current, restoreStep(databaseOf(context), current, restore, await context.secrets()))
  },
}
