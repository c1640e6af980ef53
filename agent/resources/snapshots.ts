import { isDeepStrictEqual } from 'node:util'
import * as z from 'zod'
import type { BodyFault } from '../../shared/errors.ts'
import type { KubernetesObject } from '../../shared/kubernetes/objects.ts'
import { basePath, hostUrl, plainName, writeOnly } from './bucket-fields.ts'
import { cron } from './identifiers.ts'
import type { DatabaseTarget } from './kind.ts'
import { compareReleases, releaseOf } from './release.ts'

const keyNeeded = 'required when snapshots are set up, later only to change it'

/** Where Skerry's own backups are kept. CrateDB reads these as settings of a repository. */
const place = {
  bucket: plainName('the name of a bucket').describe('Bucket').meta({ example: 'harbour-snapshots' }),
  region: plainName('the name of a region')
    .optional()
    .describe('Region of the bucket; CrateDB finds out itself if left out')
    .meta({ example: 'eu-north-1' }),
  // Before 6.3.0, CrateDB reads a host and a port only, and writes them in lower case.
  endpointUrl: hostUrl
    .optional()
    .describe("Address of the store, where it is not Amazon's; with https, its certificate must be of a public authority")
    .meta({ example: 'https://s3.harbour.example' }),
  basePath: basePath
    .optional()
    .describe('Folder of the snapshots in the bucket, which no other database may use; <region>/<project>/<database> if left out')
    .meta({ example: 'eu-north/harbour/tidal-gauge' }),
  pathStyle: z
    .boolean()
    .optional()
    .describe("Whether the bucket is in the path of a URL, not in its host; if left out, true for a store that is not Amazon's")
    .meta({ example: true }),
}

const plan = {
  schedule: cron
    .optional()
    .describe('When backups are taken, in UTC: five fields, at most every 15 minutes; only on request if left out')
    .meta({ example: '30 3 * * *' }),
  rehearse: cron
    .optional()
    .describe('When a restore of the last backup is rehearsed, in UTC: five fields, at most every 15 minutes; only on request if left out')
    .meta({ example: '30 5 * * 0' }),
  // Each look at the list makes CrateDB read two files of every snapshot there is.
  keep: z
    .int()
    .min(1)
    .max(365)
    .default(7)
    .describe('How many successful backups are kept: after each success the oldest beyond them are dropped')
    .meta({ example: 7 }),
}

/** Skerry's own backups, as a request gives them. */
export const snapshots = z.strictObject({
  s3: z
    .strictObject({
      ...place,
      accessKeyId: writeOnly('Access key', 'AKIAEXAMPLE', keyNeeded),
      secretAccessKey: writeOnly('Secret access key', 'example', keyNeeded),
    })
    .describe('Bucket on S3 or a compatible store')
    .meta({ example: { bucket: 'harbour-snapshots', region: 'eu-north-1' } }),
  ...plan,
})

/** The same without the keys, as it is kept in an annotation. Members of a later version are dropped. */
const stored = z.object({ s3: z.object(place), ...plan })

/** Skerry's own backups, without the values of their keys. */
export type StoredSnapshots = z.output<typeof stored>

/** The places of the keys in a request. */
export const snapshotKeys = ['snapshots.s3.accessKeyId', 'snapshots.s3.secretAccessKey']

/** The Secret with the keys of a database's own backups. */
export function snapshotSecretName(database: string): string {
  return `snapshots-${database}`
}

/**
 * The keys in that Secret; undefined unless both are there. Never one alone: without its keys, CrateDB takes those that its host has, which are not
 * the customer's.
 */
export function keysIn(secret: KubernetesObject | undefined): { accessKeyId: string; secretAccessKey: string } | undefined {
  const [accessKeyId = '', secretAccessKey = ''] = ['access-key-id', 'secret-access-key'].map((name) =>
    Buffer.from(secret?.data?.[name] ?? '', 'base64').toString('utf8'),
  )
  return accessKeyId === '' || secretAccessKey === '' ? undefined : { accessKeyId, secretAccessKey }
}

/** Splits what a request gives into what is stored and its keys, these with their places. */
export function splitSnapshotSecrets({ s3, ...rest }: z.output<typeof snapshots>): {
  stored: StoredSnapshots
  secrets: [string, string | undefined][]
} {
  const { accessKeyId, secretAccessKey, ...place } = s3
  return {
    stored: { ...rest, s3: place },
    secrets: [
      ['snapshots.s3.accessKeyId', accessKeyId],
      ['snapshots.s3.secretAccessKey', secretAccessKey],
    ],
  }
}

/** What an annotation says of them; undefined if it says nothing that could be used. */
export function readSnapshots(kept: unknown): StoredSnapshots | undefined {
  const parsed = stored.safeParse(kept)
  return parsed.success ? parsed.data : undefined
}

/**
 * The same with a folder: the one of the request, the present one, or `<region>/<project>/<database>`. It is stored, so that the backups are
 * found again in a region with another id.
 */
export function withBasePath(
  wanted: StoredSnapshots,
  present: StoredSnapshots | undefined,
  { region, project, database }: Omit<DatabaseTarget, 'kind'> & { region: string },
): StoredSnapshots {
  const basePath = wanted.s3.basePath ?? present?.s3.basePath ?? `${region}/${project}/${database}`
  return { ...wanted, s3: { ...wanted.s3, basePath } }
}

type Placed = { s3: Pick<StoredSnapshots['s3'], 'bucket' | 'basePath' | 'endpointUrl'> }

/** Whether snapshots that were taken before are found by the later settings. */
export function isSamePlace({ s3: one }: Placed, { s3: other }: Placed): boolean {
  return one.bucket === other.bucket && one.basePath === other.basePath && storeOf(one) === storeOf(other)
}

/** A store by its host and port, however its address is written. The name of a bucket is one bucket at all endpoints of Amazon. */
function storeOf({ endpointUrl, bucket }: Placed['s3']): string {
  if (endpointUrl === undefined) return amazon
  const url = URL.parse(endpointUrl)
  // An absolute name is the same one, and so is that of the bucket.
  const host = (url?.hostname ?? endpointUrl).replace(/\.$/, '')
  const store = host.startsWith(`${bucket.toLowerCase()}.`) ? host.slice(bucket.length + 1) : host
  return isOfAmazon.test(store) ? amazon : `${store}:${url?.port}`
}

const amazon = 'amazonaws.com'
const isOfAmazon = /(^|\.)amazonaws\.com(\.cn)?$/

/** The release since which CrateDB can be told to have the bucket in the path. */
const pathStyleSince = '5.7.0'
/** The release since which CrateDB can be told the region of a store that is not Amazon's, and has the bucket in the path unless told otherwise. */
const regionSince = '6.3.0'

function isBefore(version: string, since: string): boolean {
  return compareReleases(releaseOf(version), releaseOf(since)) < 0
}

/** A store as CrateDB of a release addresses it. */
export type StoreAddress = {
  protocol: 'http' | 'https'
  /** Host and port; undefined for Amazon's own, wherever the bucket is. */
  endpoint: string | undefined
  /** Undefined where CrateDB cannot be told, and finds out itself. */
  region: string | undefined
  /** Whether the bucket is in the path. */
  pathStyle: boolean
  /** Whether CrateDB knows the setting. */
  hasPathStyle: boolean
}

/** @param version the release of CrateDB */
export function storeAddress({ region, endpointUrl, pathStyle }: StoredSnapshots['s3'], version: string): StoreAddress {
  const hasPathStyle = !isBefore(version, pathStyleSince)
  const hasRegion = !isBefore(version, regionSince)
  const wantsPathStyle = pathStyle ?? endpointUrl !== undefined
  const common = { region: hasRegion ? region : undefined, pathStyle: hasPathStyle && wantsPathStyle, hasPathStyle }
  if (endpointUrl === undefined) return { protocol: 'https', endpoint: region && amazonEndpoint(region), ...common }
  const { protocol, host } = new URL(endpointUrl)
  return { protocol: protocol === 'http:' ? 'http' : 'https', endpoint: host, ...common }
}

/** The endpoint of a region: from it, every release of CrateDB takes the region. */
function amazonEndpoint(region: string): string {
  return `s3.${region}.amazonaws.com${region.startsWith('cn-') ? '.cn' : ''}`
}

/** What CrateDB of the wanted release cannot do; empty if it can. */
export function snapshotFaults(wanted: { version: string; snapshots?: StoredSnapshots | undefined }): BodyFault[] {
  if (wanted.snapshots?.s3.pathStyle !== true || !isBefore(wanted.version, pathStyleSince)) return []
  const message = `needs CrateDB ${pathStyleSince} or later: an older one has the bucket in the host, unless the host is an address`
  return [{ path: '/snapshots/s3/pathStyle', message }]
}

/** The effects of other settings of Skerry's own backups. */
export function snapshotConsequences(is: StoredSnapshots | undefined, wants: StoredSnapshots | undefined, version: string): string[] {
  if (wants === undefined)
    return [
      'No more backups are taken by Skerry. Its snapshots in the bucket stay, and nobody drops old ones.',
      'The keys are deleted. CrateDB still knows the repository; to make it forget the keys too, run SQL: DROP REPOSITORY skerry',
    ]
  const { s3, schedule, keep } = wants
  const moves = is !== undefined && !isSamePlace(is, wants)
  const signs = s3.region !== undefined && s3.endpointUrl !== undefined && isBefore(version, regionSince)
  return [
    ...(is?.schedule === schedule && is !== undefined ? [] : [whenTaken(schedule)]),
    ...(is?.rehearse === wants.rehearse ? [] : [whenRehearsed(wants.rehearse)]),
    ...(is === undefined || moves ? [`Snapshots go to the bucket ${s3.bucket}, folder ${s3.basePath}.`] : []),
    ...(moves ? ['Those in the former place stay there. They are no longer listed, and nobody drops old ones.'] : []),
    ...(is?.keep === keep ? [] : [`After each success the last ${keep} are kept, and older ones of Skerry are dropped.`]),
    ...(signs
      ? [`CrateDB ${version} cannot be told the region ${s3.region}: it signs for the region in the name of the host, or for us-east-1.`]
      : []),
  ]
}

function whenRehearsed(rehearse: string | undefined): string {
  return rehearse === undefined
    ? 'A restore is rehearsed on request only: actions/rehearse-restore.'
    : `A restore is rehearsed at "${rehearse}" (UTC), within an hour, if the quota of the project has room for another database then.`
}

function whenTaken(schedule: string | undefined): string {
  return schedule === undefined
    ? 'Backups are taken on request only: actions/backup.'
    : `A backup is taken at "${schedule}" (UTC), within a quarter of an hour.`
}

/** Whether two settings are the same. */
export function sameSnapshots(one: StoredSnapshots | undefined, other: StoredSnapshots | undefined): boolean {
  return isDeepStrictEqual(one, other)
}
