import { readRows } from '../../backups/comparison.ts'
import { allShards, startedShards } from '../../backups/restore-statements.ts'
import { describeTaken, type SnapshotSize, scratchId, scratchOf } from '../../resources/copied-database.ts'
import { desiredCrateDB } from '../../resources/cratedb.ts'
import type { StoredDatabaseSpec } from '../../resources/database.ts'
import { type DatabaseTarget, describeTarget, type Step } from '../../resources/kind.ts'
import { isRehearsal, type Operation, rehearsal } from '../../resources/operation.ts'
import { type DecisionParts, type Proposed, refusal, refuseFaults, seconds } from '../deciding/decision.ts'
import { cannotBeCopied, refuseBeyondQuota } from '../deciding/own-restore.ts'
import { databaseOfRequest } from '../deciding/present.ts'
import { advanceRehearsal } from '../work/rehearsal.ts'
import { type Action, type Asked, databaseRequest, emptyBody } from './action.ts'

/** Tries whether the last snapshot of a database can be restored, in a database of its own that is deleted again. */
export const rehearseRestore: Action<DatabaseTarget> = {
  name: rehearsal,
  // The database itself goes on.
  phase: undefined,
  requests: [
    databaseRequest({
      method: 'POST',
      operationId: 'rehearseRestore',
      summary: 'Tries to restore the last snapshot of the database, elsewhere',
      description:
        'A small database is made in the same project, gets the last snapshot that succeeded, is compared with this one, and is deleted. Any other request for this database ends the rehearsal, except a backup, which goes first.',
      body: emptyBody('Tries the last snapshot'),
      problems: ['quota-exceeded'],
      asksForState: false,
      prepare: async (parts, asked) => ({ ...asked, size: await sizeOf(parts, asked.target) }),
      decide,
    }),
  ],
  work: { advance: advanceRehearsal, afterCancel: () => 'Its database is deleted' },
}

/** How much the database has at present; undefined if it does not answer. */
async function sizeOf({ sql }: DecisionParts, { project, database }: DatabaseTarget): Promise<SnapshotSize | undefined> {
  const rows = async ({ stmt, args }: typeof allShards) => (await sql.query({ project, database }, stmt, args)).rows
  try {
    const started = readRows('startedShards', await rows(startedShards))
    const [[shards] = []] = await rows(allShards)
    const bytes = started.reduce((sum, row) => sum + row[5], 0)
    return { bytes: BigInt(Math.max(0, Math.round(bytes))), shards: typeof shards === 'number' ? shards : undefined }
  } catch {
    // It may be suspended or down: a rehearsal needs the snapshot alone.
    return undefined
  }
}

function decide(parts: DecisionParts, asked: Asked<DatabaseTarget>): Proposed {
  const { target, size = { bytes: undefined, shards: undefined } } = asked
  const { spec } = databaseOfRequest(parts, asked)
  const id = scratchId(target.database)
  refuseFaults(
    [
      ...(spec.snapshots ? [] : ['the database has no snapshots of its own: set up "snapshots" first']),
      ...(spec.rehearsal ? [`the database is itself part of the rehearsal of ${spec.rehearsal.of}`] : []),
      ...cannotBeCopied(spec).map((why) => `a database for the rehearsal ${why}`),
    ].map((message) => ({ path: '', message })),
  )
  const running = otherRehearsal(parts)
  if (running) throw refusal('wrong-state', [{ path: '', message: alreadyOn(running) }])
  const standing = parts.accepted.database(target.project, id)
  if (standing) throw refusal('wrong-state', [{ path: '', message: nameTaken(id, standing.spec) }])
  const scratch = scratchOf(spec, id, { operation: '', of: target.database }, size)
  refuseBeyondQuota(parts, target, scratch)
  return {
    parameters: { database: id, wanted: scratch },
    timeoutSeconds: seconds(parts.config.timeouts.restore),
    plan: planOf(parts, target, spec, scratch),
  }
}

/** One at a time in a region: each takes disks and hosts. */
function otherRehearsal({ journal }: DecisionParts): Operation | undefined {
  for (const target of journal.unendedTargets()) {
    const found = journal.unended(target).find(isRehearsal)
    if (found) return found
  }
  return undefined
}

function alreadyOn({ metadata, spec }: Operation): string {
  return `operation ${metadata.name} rehearses a restore of ${describeTarget(spec.target)}; a region has one rehearsal at a time`
}

function nameTaken(id: string, { rehearsal }: StoredDatabaseSpec): string {
  return rehearsal
    ? `the database ${id} of the last rehearsal is still being deleted; repeat the request when it is gone`
    : `a rehearsal needs a database ${id}, and there is another one of that name`
}

function planOf(parts: DecisionParts, { project }: DatabaseTarget, source: StoredDatabaseSpec, scratch: StoredDatabaseSpec): Step[] {
  return [
    {
      name: 'create',
      objects: [desiredCrateDB({ kind: 'database', project, database: scratch.id }, scratch, parts.config)],
      consequences: [
        `The database ${scratch.id} is made, with ${describeTaken(scratch)}. Until it is deleted again, it counts against the project's quota.`,
        'Any other request for this database ends the rehearsal, except a backup, which goes first.',
      ],
    },
    {
      name: 'restore',
      objects: [],
      consequences: [
        `It gets the last snapshot of ${source.id} that has succeeded. Its tables are compared with those of the snapshot, and its rows with those of ${source.id} where nothing was written since.`,
      ],
    },
    { name: 'remove', objects: [], consequences: [`The database ${scratch.id} is deleted with its volumes, however the rehearsal ends.`] },
  ]
}
