import type { BodyFault } from '../../../shared/errors.ts'
import { kinds, pathOf } from '../../../shared/kubernetes/objects.ts'
import { readObject } from '../../../shared/kubernetes/read.ts'
import type { BucketFaultCode, BucketPlace, Finding } from '../../bucket/index.ts'
import type { StoredDatabaseSpec } from '../../resources/database.ts'
import { type DatabaseTarget, namespaceOf, type Secrets } from '../../resources/kind.ts'
import { isSamePlace, keysIn, snapshotKeys, snapshotSecretName, storeAddress } from '../../resources/snapshots.ts'
import type { DecisionParts } from './decision.ts'
import { withFolder } from './snapshot-folder.ts'

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

/** The faults of a request whose bucket CrateDB cannot use either. @param at where in the body they are, by the field at fault */
export function certainFaults(findings: readonly Finding[] = [], at: (field: Finding['field']) => string): BodyFault[] {
  return findings
    .filter(({ code }) => !ofTheWay.has(code))
    .map(({ message, action, field }) => ({ path: at(field), message: `the bucket cannot be used: ${message} ${action}` }))
}

/** What is said of a trial that did not get through. */
export function doubtsOf(findings: readonly Finding[] = []): string[] {
  return findings
    .filter(({ code }) => ofTheWay.has(code))
    .map(({ message, action }) => `The agent could not try the bucket: ${message} CrateDB may reach it another way. ${action}`)
}

/** How long a trial may take, in milliseconds: somebody waits for the answer. */
const trialMs = 20_000

type Keys = { accessKeyId: string; secretAccessKey: string }

function placeOf({ snapshots, version }: StoredDatabaseSpec, keys: Keys): BucketPlace | undefined {
  if (!snapshots) return undefined
  const { bucket, region, endpointUrl, basePath } = snapshots.s3
  const { pathStyle } = storeAddress(snapshots.s3, version)
  return { ...{ bucket, region, endpointUrl, basePath, pathStyle }, ...keys }
}

async function tried({ probe }: DecisionParts, place: BucketPlace | undefined): Promise<Finding[] | undefined> {
  return place && probe(place, AbortSignal.timeout(trialMs))
}

/** Tries the bucket of a database with the keys that it has; undefined if there is nothing to try, or nothing to try it with: a backup says so. */
export async function tryBucket(parts: DecisionParts, target: DatabaseTarget): Promise<Finding[] | undefined> {
  const present = parts.accepted.database(target.project, target.database)
  if (!present?.object || !present.spec.snapshots || present.spec.suspended) return undefined
  const path = pathOf(kinds.Secret, namespaceOf(target.project), snapshotSecretName(target.database))
  const secret = await readObject(parts.cluster, path)
  const keys = keysIn(secret)
  return keys && tried(parts, placeOf(present.spec, keys))
}

/** Whether a request sets up backups, or has them go elsewhere or with other keys. */
export function bringsBucket(present: StoredDatabaseSpec | undefined, wanted: StoredDatabaseSpec, given: Secrets): boolean {
  if (!wanted.snapshots) return false
  if (!present?.snapshots || snapshotKeys.some((place) => Object.hasOwn(given, place))) return true
  const [is, wants] = [present.snapshots.s3, wanted.snapshots.s3]
  const moves = wants.basePath !== undefined && !isSamePlace(present.snapshots, wanted.snapshots)
  return (
    moves ||
    is.bucket !== wants.bucket ||
    is.endpointUrl !== wants.endpointUrl ||
    is.region !== wants.region ||
    is.pathStyle !== wants.pathStyle
  )
}

/** Tries the bucket that a request brings, with its keys, or with those that stay. */
export async function tryGivenBucket(
  parts: DecisionParts,
  target: DatabaseTarget,
  { wanted, given, presentSecrets = {} }: { wanted: StoredDatabaseSpec; given: Secrets; presentSecrets?: Secrets | undefined },
): Promise<Finding[] | undefined> {
  const present = parts.accepted.database(target.project, target.database)?.spec
  if (!bringsBucket(present, wanted, given)) return undefined
  const [accessKeyId, secretAccessKey] = snapshotKeys.map((place) => given[place] ?? presentSecrets[place])
  // What is missing is refused with the other faults.
  if (accessKeyId === undefined || secretAccessKey === undefined) return undefined
  const spec = withFolder(wanted, present, { ...target, region: parts.config.region })
  return tried(parts, placeOf(spec, { accessKeyId, secretAccessKey }))
}
