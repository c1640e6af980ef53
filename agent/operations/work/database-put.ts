import { readOperatorRun } from '../../resources/cratedb-run.ts'
import type { StoredDatabaseSpec } from '../../resources/database.ts'
import { planDatabase } from '../../resources/database-plan.ts'
import { advanceStep, databaseOf, readCrateDB } from './database-steps.ts'
import type { Work } from './work.ts'

/** Brings a database to the state that was asked for, one kind of change at a time. Also what `suspend` and `resume` do. */
export const putDatabase: Work = {
  async advance(context) {
    const wanted = context.operation.spec.wanted as StoredDatabaseSpec
    const current = await readCrateDB(context)
    if (current?.metadata.deletionTimestamp) return { next: 'wait', message: 'The database of this name is still being deleted.' }
    if (current && wasRolledBack(current, wanted, context.operation.status?.step?.name)) {
      const { version } = current.spec.cluster
      const message = `The upgrade to ${wanted.version} failed and the Crate Operator wrote version ${version} back.`
      return { next: 'failed', reason: 'UpgradeRolledBack', message, action: "See the operator's log for why; the database may run either version until a pod restarts." }
    }
    const secrets = current ? {} : await context.secrets()
    const [next] = planDatabase(databaseOf(context), current, wanted, secrets, context.options)
    return advanceStep(context, current, next)
  },
}

/** The operator reverts the version in the spec when a step of an upgrade fails, and marks that it did. */
function wasRolledBack(current: Parameters<typeof readOperatorRun>[0], wanted: StoredDatabaseSpec, step: string | undefined): boolean {
  if (step !== 'upgrade' || current.spec.cluster.version === wanted.version) return false
  return current.metadata.annotations?.['operator.cloud.crate.io/rollback-upgrade'] !== undefined && readOperatorRun(current).state !== 'working'
}
