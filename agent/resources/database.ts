import * as z from 'zod'
import { basePath, endpointUrl, plainName, writeOnly } from './bucket-fields.ts'
import { cidr } from './cidr.ts'
import { annotations, cron, databaseId, hostname, labels, objectName, password, userName, version } from './identifiers.ts'
import type { Secrets } from './kind.ts'
import { cpuQuantity, memoryQuantity, storageQuantity } from './quantity.ts'
import { settings } from './settings.ts'
import { type StoredSnapshots, snapshotKeys, snapshots, splitSnapshotSecrets } from './snapshots.ts'
import { wrongType } from './wording.ts'

const flag = z.boolean()

const disk = z.strictObject({
  count: z.int().min(1).max(16).default(1).describe('Data volumes of each node; fixed at creation').meta({ example: 1 }),
  size: storageQuantity.describe('Size of each volume; it can grow, never shrink').meta({ example: '64Gi' }),
  storageClass: objectName.describe('StorageClass of the volumes; fixed at creation').meta({ example: 'crate-premium' }),
})

const sizing = {
  cpu: cpuQuantity.describe('Cores of each node, requested and limited').meta({ example: 2 }),
  memory: memoryQuantity.describe('Memory of each node, requested and limited').meta({ example: '4Gi' }),
  heapRatio: z
    .number()
    .min(0.1, 'must be at least 0.1: CrateDB needs a heap')
    .max(0.75, 'must be at most 0.75: the rest is for the page cache and for what the JVM keeps outside its heap')
    .default(0.25)
    .describe("Share of the memory that is the JVM's heap; it takes effect together with a change of cpu or memory only")
    .meta({ example: 0.25 }),
  disk: disk.describe('Volumes of each node').meta({ example: { count: 1, size: '64Gi', storageClass: 'crate-premium' } }),
}

const nodes = z.strictObject({
  count: z
    .int()
    .min(1, 'must be at least 1; to stop a database use actions/suspend')
    .max(100)
    .describe('How many data nodes; each runs on a host of its own')
    .meta({ example: 3 }),
  ...sizing,
})

const master = z.strictObject({
  count: z
    .int()
    .min(3)
    .max(9)
    .refine((count) => count % 2 === 1, 'must be odd, so that a majority is possible')
    .describe('How many dedicated master nodes: 3, 5, 7 or 9')
    .meta({ example: 3 }),
  ...sizing,
})

// The operator grants everything and has no field for less, so no other value is accepted.
const privileges = z
  .array(z.enum(['ALL'], wrongType('must be "ALL": the Crate Operator grants nothing less; revoke privileges with SQL: REVOKE … FROM …')))
  .length(1, 'must be ["ALL"]')
  .default(['ALL'])
  .describe('What the user may do after creation')
  .meta({ example: ['ALL'] })

const user = z
  .strictObject({
    name: userName.describe('Name of the user').meta({ example: 'harbourmaster' }),
    privileges,
    password: password
      .optional()
      .describe(
        'At creation: the password; if left out, one is generated. Later: may be left out; a different one is refused, use actions/rotate-password',
      )
      .meta({ example: 'correct horse battery staple', writeOnly: true }),
    generate: z
      .literal(true, wrongType('must be true, or left out'))
      .optional()
      .describe('Requests a generated password explicitly')
      .meta({ example: true, writeOnly: true }),
  })
  .refine(({ password, generate }) => password === undefined || generate === undefined, {
    path: ['generate'],
    message: 'must be left out where a password is given',
  })

/** Where snapshots are kept on S3 or a compatible store. */
const aws = z.strictObject({
  bucket: plainName('the name of a bucket').describe('Bucket').meta({ example: 'harbour-snapshots' }),
  region: plainName('the name of a region').describe('Region of the bucket').meta({ example: 'eu-north-1' }),
  endpointUrl: endpointUrl
    .optional()
    .describe("Address of the store, where it is not Amazon's")
    .meta({ example: 'https://s3.harbour.example' }),
  basePath: basePath
    .optional()
    .describe("Folder of the snapshots in the bucket; the database's id if left out; fixed at creation")
    .meta({ example: 'tidal-gauge' }),
  cron: cron.describe('When snapshots are taken, in UTC: five fields').meta({ example: '17 * * * *' }),
  accessKeyId: writeOnly('Access key', 'AKIAEXAMPLE'),
  secretAccessKey: writeOnly('Secret access key', 'example'),
})

/** Where snapshots are kept on Azure. */
const azureBlob = z.strictObject({
  accountName: plainName('the name of a storage account').describe('Storage account').meta({ example: 'harbour' }),
  container: plainName('the name of a container').describe('Container').meta({ example: 'snapshots' }),
  region: plainName('the name of a region').describe('Region of the account').meta({ example: 'northeurope' }),
  cron: cron.describe('When snapshots are taken, in UTC: five fields; fixed at creation').meta({ example: '17 * * * *' }),
  accountKey: writeOnly('Key of the storage account', 'example'),
})

const backups = z
  .strictObject({
    aws: aws
      .optional()
      .describe('Snapshots on S3')
      .meta({ example: { bucket: 'harbour-snapshots', region: 'eu-north-1', cron: '17 * * * *' } }),
    azureBlob: azureBlob
      .optional()
      .describe('Snapshots on Azure')
      .meta({ example: { accountName: 'harbour', container: 'snapshots', region: 'northeurope', cron: '17 * * * *' } }),
  })
  // Both would use one CronJob name.
  .refine(({ aws, azureBlob }) => (aws === undefined) !== (azureBlob === undefined), 'must have one of aws and azureBlob')

const base64 = z
  .string()
  .min(4, 'must not be empty')
  .max(512 * 1024)
  .regex(/^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/, 'must be base64 on one line')

const ssl = z.strictObject({
  keystore: base64
    .optional()
    .describe('Java keystore with the certificate, as base64; needed at creation')
    .meta({ example: '/u3+7QAAAAIAAAAB', writeOnly: true }),
  keystorePassword: writeOnly("The keystore's password", 'example'),
  keystoreKeyPassword: writeOnly("The key's password", 'example'),
})

const exposure = z.strictObject({
  type: z
    .enum(['loadbalancer', 'traefik'], wrongType('must be "loadbalancer" or "traefik"'))
    .describe('By a load balancer of its own, or by the Traefik that the cluster has')
    .meta({ example: 'loadbalancer' }),
  hostname: hostname
    .optional()
    .describe('Name under which clients find it; needed for traefik')
    .meta({ example: 'tidal-gauge.example.org' }),
})

/** A data group besides the first. Its values are those of another tool, so the schema does not judge them. */
const otherGroup = z.strictObject({
  name: z.string().describe('Its name').meta({ example: 'cold' }),
  count: z.number().describe('How many nodes').meta({ example: 2 }),
  cpu: z.number().describe('Cores of each node').meta({ example: 0.5 }),
  memory: z.string().describe('Memory of each node').meta({ example: '2Gi' }),
  heapRatio: z.number().describe("Share of the memory that is the JVM's heap").meta({ example: 0.25 }),
  disk: z
    .strictObject({
      count: z.number().describe('Data volumes of each node').meta({ example: 1 }),
      size: z.string().describe('Size of each volume').meta({ example: '256Gi' }),
      storageClass: z.string().describe('StorageClass of the volumes').meta({ example: 'crate-slow' }),
    })
    .describe('Volumes of each node')
    .meta({ example: { count: 1, size: '256Gi', storageClass: 'crate-slow' } }),
})

/**
 * A database as the API accepts it. Parsing a StoredDatabaseSpec returns the same again.
 *
 * `allowedCIDRs`: for the operator, an absent or empty list means "open to everyone" (exposure.py). A forgotten line must not open a
 * database, so here an absent or empty list admits nobody.
 */
export const databaseSpec = z
  .strictObject({
    id: databaseId.describe("The database's id; the name of its CrateDB object and of its cluster").meta({ example: 'tidal-gauge' }),
    version: version.describe('CrateDB release; it can be raised by at most one major release at a time').meta({ example: '5.10.1' }),
    nodes: nodes.describe('The nodes that hold data').meta({
      example: { count: 3, cpu: 2, memory: '4Gi', heapRatio: 0.25, disk: { count: 1, size: '64Gi', storageClass: 'crate-premium' } },
    }),
    master: master
      .optional()
      .describe('Dedicated master nodes; having them or not is fixed at creation')
      .meta({
        example: { count: 3, cpu: 1, memory: '2Gi', heapRatio: 0.25, disk: { count: 1, size: '16Gi', storageClass: 'crate-premium' } },
      }),
    otherGroups: z
      .array(otherGroup)
      .max(64)
      .optional()
      .describe('Read only: the data groups besides the first, which only another tool can make. May be left out; stays as it is')
      .meta({
        example: [
          { name: 'cold', count: 2, cpu: 0.5, memory: '2Gi', heapRatio: 0.25, disk: { count: 1, size: '256Gi', storageClass: 'slow' } },
        ],
      }),
    users: z
      .array(user)
      .max(32)
      .refine((users) => new Set(users.map(({ name }) => name)).size === users.length, 'must not name a user twice')
      .default([])
      .describe('Users made at creation; later ones are made with SQL: CREATE USER')
      .meta({ example: [{ name: 'harbourmaster', privileges: ['ALL'] }] }),
    allowedCIDRs: z
      .array(cidr)
      .max(128)
      .refine((networks) => new Set(networks).size === networks.length, 'must not name a network twice')
      .default([])
      .describe('Networks from which clients may connect from outside the cluster. Empty: none. For everyone: "0.0.0.0/0"')
      .meta({ example: ['10.20.0.0/16'] }),
    settings: settings
      .default({})
      .describe("CrateDB's settings, from a list of harmless ones; fixed at creation")
      .meta({ example: { 'stats.jobs_log_size': '5000' } }),
    labels: labels
      .default({})
      .describe('Labels of the CrateDB and of all that is made for it, among those that the region allows; fixed at creation')
      .meta({ example: { 'cost-centre': '4711' } }),
    annotations: annotations
      .default({})
      .describe("Annotations of the nodes' pods, among those that the region allows; fixed at creation")
      .meta({ example: { 'example.org/team': 'tides' } }),
    ssl: ssl
      .optional()
      .describe('TLS for HTTP and PostgreSQL. A read returns an empty object: the parts are in a Secret')
      .meta({ example: {} }),
    backups: backups
      .optional()
      .describe('Regular snapshots; having them or not is fixed at creation')
      .meta({ example: { aws: { bucket: 'harbour-snapshots', region: 'eu-north-1', cron: '17 * * * *' } } }),
    snapshots: snapshots
      .optional()
      .describe("Skerry's own backups, which need no image of the Crate Operator; they can be set up, changed and removed at any time")
      .meta({ example: { s3: { bucket: 'harbour-snapshots', region: 'eu-north-1' }, schedule: '30 3 * * *', keep: 7 } }),
    exposure: exposure
      .default({ type: 'loadbalancer' })
      .describe('How clients outside the cluster reach it')
      .meta({ example: { type: 'loadbalancer' } }),
    suspended: flag.default(false).describe('True: no node runs; volumes and secrets stay').meta({ example: false }),
    deletionProtection: flag.default(false).describe('While true the database cannot be deleted').meta({ example: true }),
    retainVolumes: flag.default(true).describe('Whether its volumes are kept, however it is deleted').meta({ example: true }),
  })
  .describe('A CrateDB cluster')

/** A database as a request gives it, values of secrets included. */
export type GivenDatabaseSpec = z.output<typeof databaseSpec>
export type NodeGroup = GivenDatabaseSpec['nodes']
export type StoredBackups = {
  aws?: Omit<z.output<typeof aws>, 'accessKeyId' | 'secretAccessKey'> | undefined
  azureBlob?: Omit<z.output<typeof azureBlob>, 'accountKey'> | undefined
}

/** A database that a rehearsal makes and deletes again. */
export type Rehearsal = {
  /** The name of the operation that made it, and that deletes it. */
  operation: string
  /** The database whose snapshot is restored into it. */
  of: string
}

/** A database without the values of its secrets: as in an Operation, in the response to a GET, and from `readDatabase`. */
export type StoredDatabaseSpec = Omit<GivenDatabaseSpec, 'users' | 'ssl' | 'backups' | 'snapshots'> & {
  users: { name: string; privileges: 'ALL'[] }[]
  /** An empty object if there is a keystore. */
  ssl?: Record<string, never> | undefined
  backups?: StoredBackups | undefined
  snapshots?: StoredSnapshots | undefined
  /** Set if a rehearsal made it. No request from outside can set it. */
  rehearsal?: Rehearsal | undefined
}

/** Its groups of nodes: those with data, then the dedicated masters if it has any. */
export function groupsOf({ nodes, otherGroups = [], master }: Pick<StoredDatabaseSpec, 'nodes' | 'otherGroups' | 'master'>): NodeGroup[] {
  return [nodes, ...otherGroups, ...(master ? [master] : [])]
}

/** Splits a request's database into the spec and its secrets, these by place: `users.0.password`. */
export function splitSecrets(given: GivenDatabaseSpec): { spec: StoredDatabaseSpec; secrets: Secrets } {
  const { users, ssl, backups, snapshots, ...rest } = given
  const values: [string, string | undefined][] = users.map(({ password }, index) => [`users.${index}.password`, password])
  const spec: StoredDatabaseSpec = { ...rest, users: users.map(({ name, privileges }) => ({ name, privileges })) }
  if (backups?.aws) {
    const { accessKeyId, secretAccessKey, ...aws } = backups.aws
    values.push(['backups.aws.accessKeyId', accessKeyId], ['backups.aws.secretAccessKey', secretAccessKey])
    // The explicit default is stored like an absent value, so that both read the same.
    if (aws.basePath === given.id) delete aws.basePath
    spec.backups = { aws }
  }
  if (backups?.azureBlob) {
    const { accountKey, ...azureBlob } = backups.azureBlob
    values.push(['backups.azureBlob.accountKey', accountKey])
    spec.backups = { azureBlob }
  }
  if (snapshots) {
    const split = splitSnapshotSecrets(snapshots)
    values.push(...split.secrets)
    spec.snapshots = split.stored
  }
  if (ssl) {
    const { keystore, keystorePassword, keystoreKeyPassword } = ssl
    values.push(['ssl.keystore', keystore], ['ssl.keystorePassword', keystorePassword], ['ssl.keystoreKeyPassword', keystoreKeyPassword])
    spec.ssl = {}
  }
  return { spec, secrets: Object.fromEntries(values.filter((entry): entry is [string, string] => entry[1] !== undefined)) }
}

/** The secrets that a creation needs and does not have, by place: passwords can be generated, the others only the owner has. */
export function secretsNeeded(spec: StoredDatabaseSpec, given: Secrets = {}): { generate: string[]; missing: string[] } {
  const absent = (place: string) => !Object.hasOwn(given, place)
  return {
    generate: spec.users.map((_, index) => `users.${index}.password`).filter(absent),
    missing: [
      ...(spec.backups?.aws ? ['backups.aws.accessKeyId', 'backups.aws.secretAccessKey'] : []),
      ...(spec.backups?.azureBlob ? ['backups.azureBlob.accountKey'] : []),
      ...(spec.snapshots ? snapshotKeys : []),
      ...(spec.ssl ? ['ssl.keystore', 'ssl.keystorePassword', 'ssl.keystoreKeyPassword'] : []),
    ].filter(absent),
  }
}
