import type { BodyFault } from '../../../shared/errors.ts'
import type { Finding } from '../../bucket/index.ts'
import type { StoredDatabaseSpec } from '../../resources/database.ts'
import type { Step } from '../../resources/kind.ts'
import { certainFaults, doubtsOf } from './bucket-trial.ts'
import { type DecisionParts, isSuspended, type Proposed, refuseFaults, seconds } from './decision.ts'

/** A run of a schedule, which a backup can be. */
export type ScheduledRun = {
  /** The schedule, as the database says it. */
  schedule: string
  /** When it was due, RFC 3339. */
  due: string
}

/**
 * A backup of a database that stands.
 *
 * @param findings of a trial of the bucket
 * @throws Problem `wrong-state` when it cannot be taken
 */
export function proposeBackup(
  { config }: Pick<DecisionParts, 'config'>,
  { spec, object }: { spec: StoredDatabaseSpec; object: object | undefined },
  { findings = [], run }: { findings?: readonly Finding[] | undefined; run?: ScheduledRun } = {},
): Proposed {
  const { snapshots } = spec
  refuseFaults([...notSetUp(spec, object), ...isSuspended(spec), ...certainFaults(findings, () => '')])
  return {
    ...(run && { parameters: run }),
    timeoutSeconds: seconds(config.timeouts.backup),
    plan: stepsOf(snapshots as NonNullable<typeof snapshots>, doubtsOf(findings)),
  }
}

function notSetUp({ snapshots }: StoredDatabaseSpec, object: object | undefined): BodyFault[] {
  if (!snapshots) return [{ path: '', message: 'the database does not say where its backups go; patch it with "snapshots" first' }]
  return object ? [] : [{ path: '', message: 'the database is still to be created; repeat the request when it stands' }]
}

function stepsOf({ s3, keep }: NonNullable<StoredDatabaseSpec['snapshots']>, doubts: readonly string[]): Step[] {
  const place = `the bucket ${s3.bucket}, folder ${s3.basePath}`
  return [
    {
      name: 'repository',
      consequences: [`CrateDB gets to know ${place}, if it does not yet: each node writes a file there and deletes it.`, ...doubts],
      objects: [],
    },
    {
      name: 'snapshot',
      consequences: [
        'Copies what has changed since the last snapshot of all tables but blob tables; each node reads its own shards.',
        'Changes of the database wait until it has ended.',
      ],
      objects: [],
    },
    { name: 'retention', consequences: [`Drops the oldest snapshots of Skerry beyond the last ${keep}.`], objects: [] },
  ]
}
