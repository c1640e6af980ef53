import type { BodyFault } from '../../../shared/errors.ts'
import { kinds, pathOf } from '../../../shared/kubernetes/objects.ts'
import { readObject } from '../../../shared/kubernetes/read.ts'
import { type BucketFaultCode, type BucketPlace, type Finding, probeBucket } from '../../bucket/index.ts'
import type { StoredDatabaseSpec } from '../../resources/database.ts'
import { type DatabaseTarget, namespaceOf, type Step } from '../../resources/kind.ts'
import { snapshotSecretName, storeAddress } from '../../resources/snapshots.ts'
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
  refuseFaults([...notSetUp(spec, object), ...isSuspended(spec), ...findings.filter(isCertain).map(faultOf)])
  const doubts = findings.filter((finding) => !isCertain(finding))
  return {
    ...(run && { parameters: run }),
    timeoutSeconds: seconds(config.timeouts.backup),
    plan: stepsOf(snapshots as NonNullable<typeof snapshots>, doubts),
  }
}

function notSetUp({ snapshots }: StoredDatabaseSpec, object: object | undefined): BodyFault[] {
  if (!snapshots) return [{ path: '', message: 'the database does not say where its backups go; patch it with "snapshots" first' }]
  return object ? [] : [{ path: '', message: 'the database is still to be created; repeat the request when it stands' }]
}

function stepsOf({ s3, keep }: NonNullable<StoredDatabaseSpec['snapshots']>, doubts: readonly Finding[]): Step[] {
  const place = `the bucket ${s3.bucket}, folder ${s3.basePath}`
  return [
    {
      name: 'repository',
      consequences: [
        `CrateDB gets to know ${place}, if it does not yet: each node writes a file there and deletes it.`,
        ...doubts.map(
          ({ message, action }) => `The agent could not try the bucket: ${message} CrateDB may reach it another way. ${action}`,
        ),
      ],
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

/** Faults on the way from the agent, which need not be those of CrateDB: it runs in other pods, with other network policies. */
const ofTheWay: ReadonlySet<BucketFaultCode> = new Set([
  'NameUnknown',
  'NameServerFailed',
  'ConnectionRefused',
  'Unreachable',
  'TimedOut',
  'ConnectionCut',
  'ProxyFailed',
  'Unavailable',
])

function isCertain({ code }: Finding): boolean {
  return !ofTheWay.has(code)
}

function faultOf({ message, action }: Finding): BodyFault {
  return { path: '', message: `the bucket cannot be used: ${message} ${action}` }
}

/** How long a trial may take, in milliseconds: somebody waits for the answer. */
const trialMs = 20_000

/** Tries the bucket of a database with the keys that it has; undefined if there is nothing to try. */
export async function tryBucket(
  { accepted, cluster, config, clock }: DecisionParts,
  target: DatabaseTarget,
): Promise<Finding[] | undefined> {
  const present = accepted.database(target.project, target.database)
  const snapshots = present?.spec.snapshots
  if (!present?.object || !snapshots || present.spec.suspended) return undefined
  const secret = await readObject(cluster, pathOf(kinds.Secret, namespaceOf(target.project), snapshotSecretName(target.database)))
  const keyOf = (name: string) => Buffer.from(secret?.data?.[name] ?? '', 'base64').toString('utf8')
  const { bucket, region, endpointUrl, basePath } = snapshots.s3
  const { pathStyle } = storeAddress(snapshots.s3, present.spec.version)
  const place: BucketPlace = {
    ...{ bucket, region, endpointUrl, basePath, pathStyle },
    ...{ accessKeyId: keyOf('access-key-id'), secretAccessKey: keyOf('secret-access-key') },
  }
  return probeBucket(place, { clock, rules: config.endpoints, user: 'database' }, AbortSignal.timeout(trialMs))
}
