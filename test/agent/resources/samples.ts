import { databaseSpec, type StoredDatabaseSpec, splitSecrets } from '../../../agent/resources/database.ts'
import type { DatabaseTarget, Secrets, StorageClassFacts } from '../../../agent/resources/kind.ts'
import { fc } from '../../shared/property.ts'

export const target: DatabaseTarget = { kind: 'database', project: 'harbour', database: 'tidal-gauge' }
export const options = { imageRegistry: 'crate' }

/** A site that allows no labels and no annotations, which is the default. */
export const allowedKeys = { labels: [], annotations: [] }
export const endpoints = { allowed: [], clusterNetworks: () => [], namespaces: [] }

/** A request for a small database; fields given replace those that are here. */
export function request(fields: Record<string, unknown> = {}): Record<string, unknown> {
  return { id: 'tidal-gauge', version: '5.10.1', nodes: nodes(), users: [{ name: 'harbourmaster' }], ...fields }
}

export function nodes(fields: Record<string, unknown> = {}) {
  return { count: 3, cpu: 2, memory: '4Gi', heapRatio: 0.25, disk: { count: 1, size: '64GiB', storageClass: 'crate-premium' }, ...fields }
}

/** What is stored of a request. */
export function stored(fields: Record<string, unknown> = {}): StoredDatabaseSpec {
  return splitSecrets(databaseSpec.parse(request(fields))).spec
}

/** A request with everything that a database may have. */
export const everything = request({
  nodes: nodes({ cpu: '1500m', disk: { count: 2, size: '64GiB', storageClass: 'crate-premium' } }),
  master: { count: 3, cpu: 0.5, memory: '2Gi', disk: { size: '16Gi', storageClass: 'crate-standard' } },
  users: [
    { name: 'harbourmaster', password: 'correct horse battery staple' },
    { name: 'tide_reader', password: 'straße über Äcker' },
  ],
  allowedCIDRs: ['10.20.0.0/16', '2001:DB8::/32'],
  settings: { 'stats.jobs_log_size': 5000, 'indices.breaker.query.limit': '60%' },
  labels: { 'cost-centre': '4711' },
  annotations: { 'example.org/team': 'tides and currents' },
  ssl: { keystore: '/u3+7QAAAAIAAAAB', keystorePassword: 'store', keystoreKeyPassword: 'key' },
  backups: {
    aws: {
      bucket: 'harbour-snapshots',
      region: 'eu-north-1',
      endpointUrl: 'https://s3.harbour.example',
      basePath: 'harbour/tides',
      cron: '17 * * * *',
      accessKeyId: 'AKIAEXAMPLE',
      secretAccessKey: 'example',
    },
  },
  snapshots: {
    s3: {
      bucket: 'harbour-snapshots',
      region: 'eu-north-1',
      endpointUrl: 'https://s3.harbour.example:9000',
      basePath: 'eu-north/harbour/tidal-gauge',
      pathStyle: false,
      accessKeyId: 'AKIAOTHER',
      secretAccessKey: 'another',
    },
    schedule: '30 3 * * 1-5',
    keep: 14,
  },
  exposure: { type: 'traefik', hostname: 'tidal-gauge.example.org' },
  deletionProtection: true,
  retainVolumes: false,
})

/** What the operator gives each node for heap dumps. */
export const heapDumpVolume = { size: '64GiB', storageClass: 'crate-standard' }

export const storageClasses: StorageClassFacts[] = [
  { name: 'crate-premium', provisioner: 'csi.example.org', expandable: true, reclaims: true, isDefault: true },
  { name: 'crate-standard', provisioner: 'csi.example.org', expandable: true, reclaims: false, isDefault: false },
  { name: 'fixed', provisioner: 'local.example.org', expandable: false, reclaims: true, isDefault: false },
]

/** A value for every secret that any database may need. */
export const allSecrets: Secrets = {
  ...Object.fromEntries(Array.from({ length: 32 }, (_, index) => [`users.${index}.password`, `a password, number ${index}`])),
  'backups.aws.accessKeyId': 'AKIAEXAMPLE',
  'backups.aws.secretAccessKey': 'example',
  'backups.azureBlob.accountKey': 'example',
  'snapshots.s3.accessKeyId': 'AKIAOTHER',
  'snapshots.s3.secretAccessKey': 'another',
  'ssl.keystore': '/u3+7QAAAAIAAAAB',
  'ssl.keystorePassword': 'store',
  'ssl.keystoreKeyPassword': 'key',
}

const disk = fc.record({
  count: fc.integer({ min: 1, max: 3 }),
  size: fc.constantFrom('1Gi', '16GiB', '64Gi', '1.5Ti', '64G', '128849018881'),
  storageClass: fc.constantFrom('crate-premium', 'crate-standard'),
})
const sizing = {
  cpu: fc.constantFrom(0.5, 1, 2, '500m', '1500m', '3'),
  memory: fc.constantFrom('1Gi', '4GiB', '5G', '1536Mi'),
  heapRatio: fc.constantFrom(0.25, 0.5),
  disk,
}
const texts = fc.dictionary(fc.constantFrom('cost-centre', 'example.org/team', 'a'), fc.constantFrom('x', '4711'))

/** Any request that the schema takes, in every combination of what there is. */
export const anyRequest = fc.record(
  {
    id: fc.constant('tidal-gauge'),
    version: fc.constantFrom('5.9.3', '5.10.1', '5.10.2', '6.0.0'),
    nodes: fc.record({ count: fc.integer({ min: 1, max: 9 }), ...sizing }),
    master: fc.record({ count: fc.constantFrom(3, 5), ...sizing }),
    users: fc.uniqueArray(fc.record({ name: fc.constantFrom('harbourmaster', 'tide_reader', '_x') }), {
      selector: ({ name }) => name,
      maxLength: 3,
    }),
    allowedCIDRs: fc.uniqueArray(fc.constantFrom('10.20.0.0/16', '192.0.2.1/32', '2001:db8::/32', '0.0.0.0/0'), { maxLength: 3 }),
    settings: fc.dictionary(fc.constantFrom('stats.jobs_log_size', 'bulk.request_timeout'), fc.constantFrom('1m', 5, true)),
    labels: texts,
    annotations: texts,
    ssl: fc.constant({}),
    backups: fc.oneof(
      fc.record({
        aws: fc.record(
          {
            bucket: fc.constantFrom('b', 'c'),
            region: fc.constant('eu-north-1'),
            cron: fc.constantFrom('17 * * * *', '0/15 1-5 * * 1,2'),
            endpointUrl: fc.constant('https://s3.harbour.example'),
            basePath: fc.constantFrom('x/y', 'tidal-gauge'),
          },
          { requiredKeys: ['bucket', 'region', 'cron'] },
        ),
      }),
      fc.record({
        azureBlob: fc.record({
          accountName: fc.constant('a'),
          container: fc.constant('c'),
          region: fc.constant('r'),
          cron: fc.constantFrom('1 2 3 4 5', '0 0 * * *'),
        }),
      }),
    ),
    snapshots: fc.record(
      {
        s3: fc.record(
          {
            bucket: fc.constantFrom('b', 'c'),
            region: fc.constant('eu-north-1'),
            endpointUrl: fc.constantFrom('https://s3.harbour.example', 'http://192.0.2.7:9000'),
            basePath: fc.constantFrom('x/y', 'eu-north/harbour/tidal-gauge'),
            pathStyle: fc.boolean(),
          },
          { requiredKeys: ['bucket'] },
        ),
        schedule: fc.constantFrom('30 3 * * *', '0/15 1-5 * * 1,2'),
        keep: fc.integer({ min: 1, max: 365 }),
      },
      { requiredKeys: ['s3'] },
    ),
    exposure: fc.oneof(
      fc.record({ type: fc.constant('loadbalancer') }),
      fc.record({ type: fc.constantFrom('loadbalancer', 'traefik'), hostname: fc.constantFrom('a.example.org', 'b.example.org') }),
    ),
    suspended: fc.boolean(),
    deletionProtection: fc.boolean(),
    retainVolumes: fc.boolean(),
  },
  { requiredKeys: ['id', 'version', 'nodes'] },
)

/** Any stored database. */
export const anyStored: fc.Arbitrary<StoredDatabaseSpec> = anyRequest.map((given) => splitSecrets(databaseSpec.parse(given)).spec)
