import * as z from 'zod'
import { databaseSpec, type StoredDatabaseSpec } from '../resources/database.ts'
import { objectName, projectId } from '../resources/identifiers.ts'
import { projectSpec } from '../resources/project.ts'
import { type RetainedDatabaseSpec, retainedOrigins } from '../resources/retained-database.ts'
import { type VolumeManifest, volumeManifest } from '../resources/volume-manifest.ts'

/** The version of the region file that this release writes. It reads this one and no other: a member more is a version more. */
export const regionFileVersion = 1

/**
 * The bounds of a region file: three times the databases that a region is built for. A database of three nodes takes about 4 KiB of it.
 * Whoever reads one holds at most a few of these bytes several times.
 */
export const regionFileBounds = {
  /** Bytes of the whole file, unpacked. */
  bytes: 64 * 1024 * 1024,
  /** Values in it, containers included. A database of three nodes has 170 of them, each of 24 bytes. */
  values: 3_000_000,
  /** Objects among them. A database of three nodes has 51 of them, each of 60 bytes. */
  objects: 800_000,
  /**
   * Shapes of its objects, which are their names in order. The file of 10,000 databases has fewer than a hundred; secrets that are open have a few
   * more for each database and deleted database. `JSON.parse` keeps 250 bytes for each.
   */
  shapes: 100_000,
  /** Entries of one list at the top: projects, databases, deleted databases. */
  entries: 10_000,
  /** Volumes of one database: a hundred nodes with sixteen disks, and their masters. */
  volumes: 2_000,
  /** Members of any other list, and of any object. */
  members: 20_000,
  /** Levels of objects and lists. */
  depth: 32,
  /** Levels of the text: beyond those above, so that what is too deep is told with its place. */
  textDepth: 1_000,
  /** Once so many are found, the rest of the file is not judged: nobody reads them, and millions take half a minute. */
  faults: 10_000,
} as const

/** The most that a file says was left out of it. */
export const mostLeftOut = 1_000

const moment = z.iso.datetime()
const line = z.string().max(500)
const offset = z.strictObject({ offsetMs: z.int(), uncertaintyMs: z.int().min(0) })
/** The name of a CrateDB: another tool may have given it one that the API would not. */
const databaseName = objectName
const sha256 = z.string().regex(/^[0-9a-f]{64}$/, 'must be a SHA-256 in lower-case hexadecimal')
const texts = z.record(z.string(), z.string())

/** A CrateDB as it stood, without the marks of the Crate Operator. It only refers to Secrets. */
const crateDb = z.strictObject({ labels: texts, annotations: texts, spec: z.record(z.string(), z.unknown()) })

const volumes = z.array(volumeManifest).max(regionFileBounds.volumes)

/** A database. Its body is judged as a body of the API, unless the API cannot express it. */
const database = z.strictObject({
  project: projectId,
  body: z.looseObject({ id: databaseName }).describe('The body of a PUT, without secrets'),
  cratedb: crateDb.optional().describe('Where another tool made something of it that the API cannot express'),
  volumes: volumes.describe('Of its data claims, by name'),
})

const name = z.string().max(317)

/** The spec of a RetainedDatabase. */
const record = z.strictObject({
  project: projectId,
  database: databaseName,
  uid: line.optional(),
  origin: z.enum(retainedOrigins),
  deletedAt: moment,
  deletedBy: line,
  operation: name.optional(),
  expiresAt: moment.optional(),
  wanted: z.looseObject({ id: databaseName }).optional(),
  cratedb: crateDb.optional(),
  shape: z.looseObject({ version: line }).optional(),
  volumes: z
    .array(
      z.strictObject({
        volume: name,
        uid: line,
        claim: name,
        capacity: line.optional(),
        storageClass: name.optional(),
        handle: z.string().max(4096).optional(),
      }),
    )
    .max(regionFileBounds.volumes),
  secrets: z.array(name).max(256),
})

/** A deleted database that can still be had back: what its RetainedDatabase says, and those of its volumes that there are. */
const retained = z.strictObject({
  id: z.string().max(253).describe('Of the deleted database: its own, a dot and eight hexadecimal digits'),
  record: record.describe('The spec of its RetainedDatabase'),
  volumes,
})

/** Where snapshots of a database are. Nothing in it is secret. */
const backupPlace = z.strictObject({
  project: projectId,
  database: databaseName,
  by: z.enum(['operator', 'skerry']).describe('Who takes the snapshots: `backups` of the database, or `snapshots`'),
  store: z.enum(['s3', 'azureBlob']),
  bucket: line.describe('Bucket, or container'),
  region: line.optional(),
  endpointUrl: line.optional(),
  accountName: line.optional(),
  basePaths: z
    .array(line)
    .min(1)
    .max(4)
    .describe(
      'Folders in which the snapshots may be, the likeliest first. Images for backups take the base path of the CrateDB, and newer ones its namespace',
    ),
})

const component = z.strictObject({
  name: line,
  namespace: line.optional(),
  chart: line.optional().describe('Version of its chart'),
  version: line.optional().describe('Of the program'),
})

/** A JWE in general JSON serialization (RFC 7516, section 7.2.1), as far as Skerry writes it. */
const jwe = z.strictObject({
  protected: z.string().max(4096),
  unprotected: z.record(z.string(), z.unknown()).optional(),
  recipients: z
    .array(z.strictObject({ header: z.record(z.string(), z.unknown()).optional(), encrypted_key: z.string().max(4096).optional() }))
    .min(1)
    .max(16),
  iv: z.string().max(64),
  ciphertext: z.string(),
  tag: z.string().max(64),
})
export type RegionSecrets = z.infer<typeof jwe>

/** The members that are no long lists. */
const head = {
  kind: z.literal('SkerryRegion'),
  version: z.literal(regionFileVersion),
  region: z.strictObject({ id: z.string().max(63), name: z.string().max(200).optional() }),
  createdAt: moment.describe('By the clock of the region'),
  clock: z
    .strictObject({ cloud: offset.nullable(), apiServer: offset.nullable() })
    .describe('How far these clocks were ahead of the one that `createdAt` is from; null where that is not known'),
  ledger: z.strictObject({ sequence: z.int().min(0), hash: z.string().max(128) }).describe('The newest entry of the ledger'),
  kubernetes: z.strictObject({
    version: line.nullable(),
    cluster: line.nullable().describe('UID of the namespace kube-system: the cluster, whatever it is called'),
  }),
  skerry: z.strictObject({ version: line }),
  components: z.array(component).max(256).describe('What the cluster has of the stack, by name'),
  deployments: z.array(z.unknown()).max(0).describe('Reserved: there are none yet'),
  backups: z.array(backupPlace).max(regionFileBounds.members),
  leftOut: z
    .array(z.strictObject({ what: line, why: z.string().max(1_000) }))
    .max(mostLeftOut)
    .optional()
    .describe('What of the region could not be put into the file, and why; absent if nothing was left out'),
  tunnel: z
    .strictObject({ hostname: line, expose: z.record(z.string(), z.boolean()).describe('What it exposes besides the agent') })
    .nullable(),
  secrets: jwe.optional().describe('The secrets of the databases, for whom the site has named when it was installed'),
}

/**
 * The members that change while the region stays the same: a file that differs in nothing else says nothing new. An operation that changes
 * something shows in another member; the encrypted part is other bytes each time.
 */
export const volatileMembers = ['createdAt', 'clock', 'ledger', 'secrets'] as const satisfies readonly (keyof RegionContent)[]

const lists = { projects: projectSpec, databases: database, retained } as const

/** The names of the long lists of a region file, whose entries are read one by one. */
export const listNames = ['projects', 'databases', 'retained'] as const

const list = z.array(z.unknown()).max(regionFileBounds.entries)

/** A region file without a look into the entries of its long lists. */
export const regionFileFrame = z.strictObject({
  document: z.strictObject({ ...head, projects: list, databases: list, retained: list }),
  digest: sha256.describe('SHA-256 of the document in canonical JSON (RFC 8785)'),
  signature: z
    .strictObject({
      jws: z
        .string()
        .max(4096)
        .regex(/^[\w-]+\.[\w-]+\.[\w-]+$/, 'must be a compact JWS'),
      jwk: z.strictObject({ kty: z.literal('OKP'), crv: z.literal('Ed25519'), x: z.string().regex(/^[\w-]{43}$/) }),
    })
    .optional()
    .describe('By the key of the region, which says the digest too; absent as long as there is no key'),
})

/** The schema of an entry of a long list. */
export const entrySchemas: Readonly<Record<(typeof listNames)[number], z.ZodType>> = lists

/** The schema of the body of a database that the API can express. */
export const bodySchema = databaseSpec

type Head = { [Member in keyof typeof head]: z.output<(typeof head)[Member]> }

/** A database of a region file. Without `cratedb` the body is one that the API takes; with it, it only says what the API would show. */
export type ExportedDatabase = {
  project: string
  body: StoredDatabaseSpec
  cratedb?: z.output<typeof crateDb> | undefined
  volumes: VolumeManifest[]
}
/** A deleted database of a region file. Its claims may be those of a database that stands. */
export type ExportedDeletion = { id: string; record: RetainedDatabaseSpec; volumes: VolumeManifest[] }
export type BackupPlace = z.output<typeof backupPlace>

/** What a region file says. Lists are sorted by their ids, so that the same region has the same text. */
export type RegionContent = Omit<Head, 'secrets' | 'leftOut'> & {
  secrets?: RegionSecrets | undefined
  leftOut?: Head['leftOut']
  projects: z.output<typeof projectSpec>[]
  databases: ExportedDatabase[]
  retained: ExportedDeletion[]
}

/** A region file, as JSON. */
export type RegionFile = {
  document: RegionContent
  /** SHA-256 of the document in canonical JSON, in lower-case hexadecimal. */
  digest: string
  signature?: z.output<typeof regionFileFrame>['signature']
}
