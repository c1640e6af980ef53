import type { BodyFault } from '../../../shared/errors.ts'
import { selectionOf } from '../../backups/restore-statements.ts'
import { hasSettings, readRepository, repositorySettings } from '../../backups/statements.ts'
import { inexpressible } from '../../resources/adopted.ts'
import { copyOf, describeTaken } from '../../resources/copied-database.ts'
import { desiredCrateDB } from '../../resources/cratedb.ts'
import type { StoredDatabaseSpec } from '../../resources/database.ts'
import { quotaExceeded } from '../../resources/database-usage.ts'
import type { DatabaseTarget, Step } from '../../resources/kind.ts'
import type { Restore, StoredRestore } from '../../resources/restore.ts'
import { sumOfRetained } from '../../resources/retained-keeping.ts'
import type { Asked, ForeseenRestore } from '../actions/action.ts'
import { lookAt } from '../work/restore-by-sql.ts'
import { type DecisionParts, isSuspended, type Proposed, refusal, refuseFaults, seconds } from './decision.ts'
import { databaseOfRequest, projectAround } from './present.ts'
import { retainedOf } from './retained.ts'

/**
 * What CrateDB says beforehand of a restore into the database itself; undefined if it does not answer, or does not know the repository yet.
 * The operation looks again.
 */
export async function foreseeRestore(
  { accepted, sql }: DecisionParts,
  target: DatabaseTarget,
  { into, snapshot, ...chosen }: Restore,
): Promise<ForeseenRestore | undefined> {
  const spec = accepted.database(target.project, target.database)?.spec
  if (into !== undefined || !spec?.snapshots || spec.suspended) return undefined
  try {
    const repository = await readRepository(sql, target)
    if (!repository || !hasSettings(repository.settings, repositorySettings(spec.snapshots.s3, spec.version))) return undefined
    const found = await lookAt({ sql }, { into: target, snapshot, selection: selectionOf(chosen) })
    return 'next' in found
      ? { refused: [found.message, found.action].filter(Boolean).join(' ') }
      : { snapshot: found.name, tables: found.tables.length }
  } catch {
    return undefined
  }
}

/** Decides on the restore of one of Skerry's own snapshots. What it contains is known for sure only when CrateDB has read it. */
export function decideOwnRestore(parts: DecisionParts, asked: Asked<DatabaseTarget, unknown, Restore>, restore: StoredRestore): Proposed {
  const { spec } = databaseOfRequest(parts, asked)
  const { target, foreseen } = asked
  refuseFaults([
    ...(spec.snapshots
      ? []
      : [{ path: '/from', message: 'the database has no snapshots of its own; set up "snapshots", or restore from "backups"' }]),
    ...(restore.into === undefined ? isSuspended(spec) : newDatabaseFaults(parts, target, spec, restore.into)),
  ])
  if (foreseen && 'refused' in foreseen) throw refusal('wrong-state', [{ path: '', message: foreseen.refused }])
  const created = restore.into === undefined ? undefined : copyOf(spec, restore.into)
  if (created) refuseBeyondQuota(parts, target, created)
  return {
    parameters: restore,
    timeoutSeconds: seconds(parts.config.timeouts.restore),
    plan: [...(created ? [creationStep(parts, target, spec, created)] : []), restoreStep(restore, foreseen)],
  }
}

function newDatabaseFaults({ accepted }: DecisionParts, { project }: DatabaseTarget, spec: StoredDatabaseSpec, into: string): BodyFault[] {
  return [
    ...(accepted.database(project, into) ? [{ path: '/into', message: 'is a database already; a snapshot goes into a new one' }] : []),
    ...cannotBeCopied(spec).map((message) => ({ path: '/into', message })),
  ]
}

/** Why no database can be made like this one; empty if one can. */
export function cannotBeCopied(spec: StoredDatabaseSpec): string[] {
  const values = inexpressible(spec)
  return [
    ...(spec.otherGroups ? ['cannot be made: this database has groups of nodes that only another tool makes'] : []),
    ...(values.length > 0
      ? [`cannot be made: this database has values that the API refuses, in ${values.map(({ path }) => path).join(', ')}`]
      : []),
  ]
}

/** @throws Problem `quota-exceeded` if the project has no room for another database */
export function refuseBeyondQuota(parts: DecisionParts, target: DatabaseTarget, wanted: StoredDatabaseSpec): void {
  const { spec: project } = projectAround(parts, target)
  const siblings = parts.accepted.databases(target.project).map(({ spec }) => spec)
  const retained = sumOfRetained(project.quota === undefined ? [] : retainedOf(target.project, parts))
  const faults = quotaExceeded({ wanted, current: undefined, project, siblings, retained, heapDumpVolume: parts.heapDumpVolume() })
  // The paths are those of a database, of which this request has none.
  if (faults.length > 0)
    throw refusal(
      'quota-exceeded',
      faults.map(({ message }) => ({ path: '', message: `${wanted.id}: ${message}` })),
    )
}

function creationStep(parts: DecisionParts, { project }: DatabaseTarget, source: StoredDatabaseSpec, created: StoredDatabaseSpec): Step {
  return {
    name: 'create',
    objects: [desiredCrateDB({ kind: 'database', project, database: created.id }, created, parts.config)],
    consequences: [
      `The database ${created.id} is made like ${source.id}: ${describeTaken(created)}. It counts against the project's quota.`,
      'Nobody outside the cluster can connect to it until it has allowedCIDRs, and it has no backups until it is told to.',
      ...(created.users.length > 0 ? ['Its users get new passwords; set them with actions/rotate-password.'] : []),
    ],
  }
}

function restoreStep({ type, into, snapshot }: StoredRestore, foreseen: ForeseenRestore | undefined): Step {
  const which = snapshot === 'latest' ? 'the last snapshot that succeeded' : `the snapshot ${snapshot}`
  return {
    name: 'restore',
    objects: [],
    consequences: [
      `Restores ${type === 'all' ? 'all tables, views and functions' : `the ${type}`} of ${which}. Users, privileges and cluster settings stay as they are.`,
      ...(foreseen && 'tables' in foreseen ? [`The snapshot ${foreseen.snapshot} has ${foreseen.tables} tables.`] : []),
      ...(into === undefined
        ? ['The restore fails if tables of the same names exist: nothing is overwritten but views and functions.']
        : []),
    ],
  }
}
