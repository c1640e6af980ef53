import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { StoredDatabaseSpec } from '../../../agent/resources/database.ts'
import { type Refusal, refusals } from '../../../agent/resources/database-rules.ts'
import { endpointFault } from '../../../agent/resources/endpoint.ts'
import { projectSpec } from '../../../agent/resources/project.ts'
import { fc } from '../../shared/property.ts'
import { allowedKeys, anyStored, endpoints, heapDumpVolume, nodes, storageClasses, stored, target } from './samples.ts'

const noneRetained = { databases: 0, volumes: 0, bytes: 0n }
type Facts = Parameters<typeof refusals>[0]

function facts(wanted: Record<string, unknown>, more: Partial<Facts> = {}): Facts {
  return {
    target,
    wanted: stored(wanted),
    current: undefined,
    storageClasses,
    heapDumpVolume,
    allowedKeys,
    endpoints,
    project: undefined,
    siblings: [],
    retained: noneRetained,
    ...more,
  }
}

function edit(from: Record<string, unknown>, to: Record<string, unknown>, more: Partial<Facts> = {}): Facts {
  return facts(to, { current: stored(from), ...more })
}

function said(found: Refusal[]): string[] {
  return found.flatMap(({ type, faults }) => faults.map(({ path, message }) => `${type} ${path}: ${message}`))
}

const disk = (fields: Record<string, unknown>) => nodes({ disk: { count: 1, size: '64Gi', storageClass: 'crate-premium', ...fields } })
const master = nodes({ count: 3 })
const restored = 'create a new database and restore a snapshot into it'
const instead = 'use "snapshots", the backups that Skerry takes itself: they can be added, changed and removed at any time'
const aws = (fields: Record<string, unknown> = {}) => ({ aws: { bucket: 'b', region: 'r', cron: '0 * * * *', ...fields } })
const azure = (fields: Record<string, unknown> = {}) => ({
  azureBlob: { accountName: 'a', container: 'c', region: 'r', cron: '0 0 * * *', ...fields },
})
const own = (fields: Record<string, unknown> = {}) => ({ s3: { bucket: 'b', basePath: 'x/y', ...fields } })
const quota = (fields: Record<string, unknown>) => projectSpec.parse({ id: 'harbour', quota: fields })

const cases: { name: string; facts: Facts; says: string[] }[] = [
  { name: 'a sound creation', facts: facts({}), says: [] },
  {
    name: 'a sound edit',
    facts: edit({}, { version: '5.11.0', allowedCIDRs: ['10.0.0.0/8'], nodes: nodes({ count: 5, cpu: 4, heapRatio: 0.5 }) }),
    says: [],
  },
  { name: 'another time of backups on S3', facts: edit({ backups: aws() }, { backups: aws({ cron: '5 * * * *' }) }), says: [] },
  {
    name: 'own backups that come, change and go',
    facts: edit({ snapshots: own() }, { snapshots: own({ bucket: 'c', pathStyle: true }) }),
    says: [],
  },
  { name: 'own backups that go', facts: edit({ snapshots: own() }, {}), says: [] },
  {
    name: 'own backups without their keys',
    facts: edit({}, { snapshots: own() }, { missingSecrets: ['snapshots.s3.secretAccessKey'] }),
    says: ['invalid-fields /snapshots/s3/secretAccessKey: is required when snapshots are set up'],
  },
  {
    name: 'own backups to a store inside the cluster',
    facts: edit({}, { snapshots: own({ endpointUrl: 'http://169.254.169.254' }) }),
    says: [
      'invalid-fields /snapshots/s3/endpointUrl: must be outside the cluster: "169.254.169.254" is a link-local address, such as that of a cloud\'s metadata service, which returns credentials; the site can allow it in databases.backupEndpoints.allowed',
    ],
  },
  {
    name: 'a bucket in the path where CrateDB cannot',
    facts: facts({ version: '5.6.5', snapshots: own({ pathStyle: true }) }),
    says: [
      'invalid-fields /snapshots/s3/pathStyle: needs CrateDB 5.7.0 or later: an older one has the bucket in the host, unless the host is an address',
    ],
  },
  { name: 'the next major release', facts: edit({}, { version: '6.0.0' }), says: [] },
  {
    name: 'a host name that comes with another exposure',
    facts: edit({}, { exposure: { type: 'traefik', hostname: 'a.example.org' } }),
    says: [],
  },
  {
    name: 'a resume together with other changes',
    facts: edit({ suspended: true }, { version: '5.10.2', nodes: nodes({ count: 5 }) }),
    says: [],
  },
  {
    name: 'a version that can never be, also of a suspended database, once',
    facts: edit({ suspended: true, version: '5.10.1' }, { suspended: true, version: '5.9.0' }),
    says: [
      'unsupported-edit /version: must be at least 5.10.1: CrateDB cannot read the data of a newer release; to have another release, create a new database and restore a snapshot into it',
    ],
  },
  {
    name: 'an allow list of a suspended database',
    facts: edit({ suspended: true }, { suspended: true, allowedCIDRs: ['10.0.0.0/8'] }),
    says: [],
  },
  {
    name: 'a class that there is not, with those that there are',
    facts: facts({ nodes: disk({ storageClass: 'fast' }), master: nodes({ disk: { size: '64Gi', storageClass: 'slow' } }) }),
    says: ['nodes', 'master'].map(
      (group) =>
        `invalid-fields /${group}/disk/storageClass: is not a storage class of this cluster: there are crate-premium (default), crate-standard, fixed`,
    ),
  },
  {
    name: 'a class in a cluster that has none',
    facts: facts({}, { storageClasses: [], heapDumpVolume: { ...heapDumpVolume, storageClass: undefined } }),
    says: ['invalid-fields /nodes/disk/storageClass: is not a storage class of this cluster: the cluster has none'],
  },
  { name: 'a class that was deleted since', facts: edit({}, { deletionProtection: true }, { storageClasses: [] }), says: [] },
  {
    name: 'traefik without a host name',
    facts: facts({ exposure: { type: 'traefik' } }),
    says: ['invalid-fields /exposure/hostname: is needed for traefik, which tells databases apart by their host names'],
  },
  {
    name: 'a creation that is suspended',
    facts: facts({ suspended: true }),
    says: ['invalid-fields /suspended: must be false for a new database: create it running, then use actions/suspend'],
  },
  {
    name: 'missing credentials',
    facts: facts({ backups: aws() }, { missingSecrets: ['backups.aws.accessKeyId'] }),
    says: ['invalid-fields /backups/aws/accessKeyId: is required when the database is created'],
  },
  {
    name: 'a disk that shrinks',
    facts: edit({}, { nodes: disk({ size: '32Gi' }) }),
    says: [`unsupported-edit /nodes/disk/size: must be at least 64Gi: volumes cannot shrink; to change it, ${restored}`],
  },
  {
    name: 'a disk that grows on a class that cannot',
    facts: edit({ nodes: disk({ storageClass: 'fixed' }) }, { nodes: disk({ storageClass: 'fixed', size: '128Gi' }) }),
    says: [
      `unsupported-edit /nodes/disk/size: must stay 64Gi: the storage class fixed does not allow volumes to grow; have allowVolumeExpansion set on it, if its provisioner can, or ${restored}`,
    ],
  },
  {
    name: 'a disk that grows on a class that is gone',
    facts: edit({ nodes: disk({ storageClass: 'gone' }) }, { nodes: disk({ storageClass: 'gone', size: '128Gi' }) }),
    says: [
      'unsupported-edit /nodes/disk/size: must stay 64Gi: the storage class gone no longer exists, and volumes cannot grow without it; create it again',
    ],
  },
  {
    name: 'another number and class of disks',
    facts: edit({}, { nodes: disk({ count: 2, storageClass: 'crate-standard' }) }),
    says: [
      `unsupported-edit /nodes/disk/count: must stay 1; to change it, ${restored}`,
      `unsupported-edit /nodes/disk/storageClass: must stay "crate-premium"; to change it, ${restored}`,
    ],
  },
  {
    name: 'the heap ratio by itself, of data nodes and of masters',
    facts: edit({ master }, { nodes: nodes({ heapRatio: 0.5 }), master: nodes({ heapRatio: 0.3 }) }),
    says: ['nodes', 'master'].map(
      (group) => `unsupported-edit /${group}/heapRatio: takes effect only together with a change of cpu or memory; keep 0.25 until then`,
    ),
  },
  {
    name: 'masters that come',
    facts: edit({}, { master }),
    says: [`unsupported-edit /master: the database has no dedicated master nodes, and they cannot be added; ${restored}`],
  },
  {
    name: 'masters that go',
    facts: edit({ master }, {}),
    says: [`unsupported-edit /master: the database has dedicated master nodes, and they cannot be removed; ${restored}`],
  },
  {
    name: 'a downgrade',
    facts: edit({ version: '5.10.1' }, { version: '5.9.12' }),
    says: [
      'unsupported-edit /version: must be at least 5.10.1: CrateDB cannot read the data of a newer release; to have another release, create a new database and restore a snapshot into it',
    ],
  },
  {
    name: 'a skipped major release',
    facts: edit({ version: '4.8.4' }, { version: '6.0.0' }),
    says: [
      'unsupported-edit /version: cannot go from 4.8.4 to 6.0.0: CrateDB reads the data of one major release before its own; upgrade to 5.x first',
    ],
  },
  {
    name: 'a user that is renamed',
    facts: edit({ users: [{ name: 'a' }, { name: 'b' }] }, { users: [{ name: 'a' }, { name: 'c' }] }),
    says: [
      'unsupported-edit /users/1: the user "c" cannot be added here; do it with SQL: CREATE USER "c" WITH (password = …)',
      'unsupported-edit /users: the user "b" must stay in the list; to remove it use SQL: DROP USER "b", and keep it here',
    ],
  },
  {
    name: 'users in another order, whose Secrets are numbered',
    facts: edit({ users: [{ name: 'a' }, { name: 'b' }] }, { users: [{ name: 'b' }, { name: 'a' }] }),
    says: ['unsupported-edit /users: must keep its order: a, b'],
  },
  {
    name: 'another password',
    facts: edit({}, {}, { changedSecrets: ['users.0.password'] }),
    says: ['unsupported-edit /users/0/password: cannot be changed here; use actions/rotate-password for the user "harbourmaster"'],
  },
  {
    name: 'another password of the keystore',
    facts: edit({ ssl: {} }, { ssl: {} }, { changedSecrets: ['ssl.keystore', 'ssl.keystorePassword'] }),
    says: ['unsupported-edit /ssl/keystorePassword: cannot be changed; give the new keystore the passwords of the old one'],
  },
  {
    name: 'settings that come, go and change',
    facts: edit({ settings: { 'stats.jobs_log_size': 1, 'bulk.x': 1 } }, { settings: { 'stats.jobs_log_size': 2, 'udc.enabled': false } }),
    says: [
      ['stats.jobs_log_size', 'stay "1"'],
      ['bulk.x', 'stay "1"'],
      ['udc.enabled', 'stay unset'],
    ].map(
      ([key, must]) =>
        `unsupported-edit /settings/${key}: must ${must}; set it with SQL, if CrateDB allows it at run time: SET GLOBAL PERSISTENT "${key}" = …`,
    ),
  },
  {
    name: 'labels and annotations',
    facts: edit({ labels: { a: 'b' } }, { annotations: { 'x/y': 'z' } }),
    says: [
      'unsupported-edit /labels/a: must stay "b"; the Crate Operator copies labels at creation only',
      'unsupported-edit /annotations/x~1y: must stay unset; the Crate Operator copies annotations at creation only',
    ],
  },
  { name: 'TLS that comes', facts: edit({}, { ssl: {} }), says: [`unsupported-edit /ssl: cannot be added after creation; ${restored}`] },
  {
    name: 'TLS that goes',
    facts: edit({ ssl: {} }, {}),
    says: [`unsupported-edit /ssl: cannot be removed after creation; ${restored}`],
  },
  {
    name: 'backups that come',
    facts: edit({}, { backups: aws() }),
    says: [`unsupported-edit /backups: cannot be added after creation, which is when the Crate Operator reads it; ${instead}`],
  },
  {
    name: 'backups that go',
    facts: edit({ backups: azure() }, {}),
    says: [
      'unsupported-edit /backups: cannot be removed after creation: the Crate Operator leaves the CronJob create-snapshot-tidal-gauge as it is; to stop it, suspend it with kubectl',
    ],
  },
  {
    name: 'backups to another kind of place',
    facts: edit({ backups: aws() }, { backups: azure() }),
    says: [`unsupported-edit /backups: must stay on aws, which the Crate Operator reads at creation only; for another place ${instead}`],
  },
  {
    name: 'backups to another bucket, region and account, which the next job reads from the Secret',
    facts: edit({ backups: aws() }, { backups: aws({ bucket: 'c', region: 'q' }) }),
    says: [],
  },
  {
    name: 'backups to another account, container and region on Azure',
    facts: edit({ backups: azure() }, { backups: azure({ accountName: 'b', container: 'd', region: 'q' }) }),
    says: [],
  },
  {
    name: 'backups to another folder, which is a value of the job itself',
    facts: edit({ backups: aws() }, { backups: aws({ bucket: 'c', basePath: 'x' }) }),
    says: [
      `unsupported-edit /backups/aws/basePath: must stay unset: the Crate Operator reads it at creation only; for another one ${instead}`,
    ],
  },
  {
    name: 'backups to another store, and to that of Amazon',
    facts: edit({ backups: aws({ endpointUrl: 'https://a.example' }) }, { backups: aws({ endpointUrl: 'https://b.example' }) }),
    says: [],
  },
  {
    name: "backups to Amazon's store",
    facts: edit({ backups: aws({ endpointUrl: 'https://a.example' }) }, { backups: aws() }),
    says: [],
  },
  {
    name: 'backups to a store where the job has no variable for its address',
    facts: edit({ backups: aws() }, { backups: aws({ endpointUrl: 'https://b.example' }) }),
    says: [
      `unsupported-edit /backups/aws/endpointUrl: must stay unset: the database was created without it, and its snapshot job has no variable for it; for another store ${instead}`,
    ],
  },
  {
    name: 'backups back to a store whose address has gone from the Secret meanwhile',
    facts: edit({ backups: aws() }, { backups: aws({ endpointUrl: 'https://b.example' }) }, { backupEndpointIsRead: true }),
    says: [],
  },
  {
    name: 'backups to a store inside the cluster',
    facts: edit({ backups: aws({ endpointUrl: 'https://a.example' }) }, { backups: aws({ endpointUrl: 'http://127.0.0.1:9000' }) }),
    says: [`invalid-fields /backups/aws/endpointUrl: ${endpointFault('http://127.0.0.1:9000', endpoints)}`],
  },
  {
    name: 'another time of backups on Azure, which the operator does not watch',
    facts: edit({ backups: azure() }, { backups: azure({ cron: '5 0 * * *' }) }),
    says: [
      `unsupported-edit /backups/azureBlob/cron: must stay "0 0 * * *": the Crate Operator reads it at creation only; for another one ${instead}`,
    ],
  },
  {
    name: 'another host name',
    facts: edit({ exposure: { type: 'traefik', hostname: 'a.example.org' } }, { exposure: { type: 'traefik', hostname: 'b.example.org' } }),
    says: [
      'unsupported-edit /exposure/hostname: must stay "a.example.org" while the type stays traefik: the Crate Operator looks at it only when the type changes; point another name to the address in your DNS',
    ],
  },
  {
    name: 'what a suspended database cannot do',
    facts: edit(
      { suspended: true, master },
      {
        suspended: true,
        version: '5.10.2',
        master: nodes({ cpu: 3 }),
        nodes: nodes({ count: 4, memory: '8Gi', disk: { size: '128Gi', storageClass: 'crate-premium' } }),
        exposure: { type: 'traefik', hostname: 'a.example.org' },
      },
    ),
    says: ['/nodes/count', '/nodes/memory', '/nodes/disk/size', '/master/cpu', '/version', '/exposure/type'].map(
      (path) =>
        `unsupported-edit ${path}: cannot be changed while the database is suspended; set suspended to false in the same request, or use actions/resume first`,
    ),
  },
  {
    name: 'more than the quota leaves, with the numbers',
    facts: facts({}, { project: quota({ cpu: 10, memory: '20Gi', storage: '600Gi', databases: 1 }), siblings: [stored({ id: 'other' })] }),
    says: [
      "quota-exceeded /nodes/cpu: 6 cores wanted, 6 cores used by the project's other databases, 10 cores allowed",
      "quota-exceeded /nodes/memory: 12 GiB of memory wanted, 12 GiB of memory used by the project's other databases, 20 GiB of memory allowed",
      "quota-exceeded /nodes/disk/size: 384 GiB of storage wanted, the heap-dump volume of each node included, 384 GiB of storage used by the project's other databases, 600 GiB of storage allowed",
      "quota-exceeded : 1 database wanted, 1 database used by the project's other databases, 1 database allowed",
    ],
  },
  {
    name: 'what deleted databases still hold, of the storage only',
    facts: facts(
      {},
      {
        project: quota({ cpu: 6, storage: '500Gi', databases: 1 }),
        retained: { databases: 2, volumes: 3, bytes: 192n * 2n ** 30n },
      },
    ),
    says: [
      "quota-exceeded /nodes/disk/size: 384 GiB of storage wanted, the heap-dump volume of each node included, 0 bytes of storage used by the project's other databases, 192 GiB in 3 volumes of 2 deleted databases kept, which a purge frees, 500 GiB of storage allowed",
    ],
  },
  {
    name: 'nothing where it fits beside what deleted databases hold',
    facts: facts({}, { project: quota({ storage: '576Gi' }), retained: { databases: 2, volumes: 3, bytes: 192n * 2n ** 30n } }),
    says: [],
  },
  {
    name: 'nothing where it fits to the last byte, the masters counted too',
    facts: facts({ master }, { project: quota({ cpu: 12, memory: '24Gi', storage: '768Gi', databases: 1 }) }),
    says: [],
  },
  {
    name: 'heap-dump volumes as large as the operator makes them',
    facts: facts({}, { project: quota({ storage: '384Gi' }), heapDumpVolume: { ...heapDumpVolume, size: '128GiB' } }),
    says: [
      "quota-exceeded /nodes/disk/size: 576 GiB of storage wanted, the heap-dump volume of each node included, 0 bytes of storage used by the project's other databases, 384 GiB of storage allowed",
    ],
  },
  {
    name: 'a heap-dump volume of a class that is not there',
    facts: facts({}, { heapDumpVolume: { ...heapDumpVolume, storageClass: 'default' } }),
    says: [
      "invalid-fields /nodes: cannot start here: the Crate Operator gives each a heap-dump volume of the storage class default, which this cluster does not have (there are crate-premium (default), crate-standard, fixed); have the class made, or another one set in the operator's CRATEDB_OPERATOR_DEBUG_VOLUME_STORAGE_CLASS",
    ],
  },
  {
    name: 'no such class to a database that has its volumes, or where it is not known',
    facts: edit({}, { nodes: nodes({ count: 4 }) }, { heapDumpVolume: { ...heapDumpVolume, storageClass: 'default' } }),
    says: [],
  },
  {
    name: 'no cpu for databases that are suspended',
    facts: facts({}, { project: quota({ cpu: 6 }), siblings: [stored({ suspended: true })] }),
    says: [],
  },
  {
    name: 'a resume for which cpu is no longer left',
    facts: edit({ suspended: true }, {}, { project: quota({ cpu: 6 }), siblings: [stored({ nodes: nodes({ count: 1, cpu: 1 }) })] }),
    says: ["quota-exceeded /nodes/cpu: 6 cores wanted, 1 core used by the project's other databases, 6 cores allowed"],
  },
  {
    name: 'an edit that asks for no more, though the quota was lowered since',
    facts: edit({}, { deletionProtection: true, nodes: nodes({ count: 2 }) }, { project: quota({ cpu: 1, databases: 0 }) }),
    says: [],
  },
]
for (const { name, facts, says } of cases) {
  test(`${says.length === 0 ? 'lets through' : 'refuses'} ${name}`, () => assert.deepEqual(said(refusals(facts)), says))
}

test('a request that changes nothing is never refused', () => {
  fc.assert(
    fc.property(anyStored, (spec) => {
      fc.pre(spec.exposure.type !== 'traefik' || spec.exposure.hostname !== undefined)
      const same: StoredDatabaseSpec = structuredClone(spec)
      assert.deepEqual(refusals({ ...facts({}), wanted: same, current: spec, project: quota({ cpu: 1, databases: 0 }) }), [])
    }),
  )
})

test('any two databases can be compared without an error', () => {
  fc.assert(
    fc.property(anyStored, anyStored, (wanted, current) => {
      for (const { faults } of refusals({ ...facts({}), wanted, current }))
        for (const { path, message } of faults) assert.ok(path === '' || path.startsWith('/'), message)
    }),
  )
})
