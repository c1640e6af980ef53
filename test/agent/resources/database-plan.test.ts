import assert from 'node:assert/strict'
import { test } from 'node:test'
import { desiredCrateDB, readDatabase } from '../../../agent/resources/cratedb.ts'
import { databaseSpec, type StoredBackups, type StoredDatabaseSpec, splitSecrets } from '../../../agent/resources/database.ts'
import { deletionConsequences, planDatabase } from '../../../agent/resources/database-plan.ts'
import { refusals } from '../../../agent/resources/database-rules.ts'
import type { KubernetesObject } from '../../../shared/kubernetes/objects.ts'
import { fc } from '../../shared/property.ts'
import {
  allowedKeys,
  allSecrets,
  anyRequest,
  anyStored,
  endpoints,
  everything,
  heapDumpVolume,
  nodes,
  options,
  storageClasses,
  stored,
  target,
} from './samples.ts'

/** The CrateDB as it stands after the operator has been there. */
function standing(spec: StoredDatabaseSpec): KubernetesObject {
  const cratedb = desiredCrateDB(target, spec, options)
  return {
    ...cratedb,
    metadata: {
      ...cratedb.metadata,
      uid: 'u',
      resourceVersion: '7',
      annotations: { ...cratedb.metadata.annotations, 'operator.cloud.crate.io/last': '{}' },
    },
    status: { crateDBStatus: { health: 'GREEN' } },
  }
}

/** Server-side apply by Skerry, as far as it matters here: the spec is wholly Skerry's, the metadata are merged. */
function applyTo(current: KubernetesObject, object: KubernetesObject): KubernetesObject {
  const { labels, annotations } = object.metadata
  return {
    ...current,
    metadata: {
      ...current.metadata,
      labels: { ...current.metadata.labels, ...labels },
      annotations: { ...current.metadata.annotations, ...annotations },
    },
    spec: structuredClone(object.spec),
  }
}

function namesOf(from: Record<string, unknown>, to: Record<string, unknown>): string[] {
  return planDatabase(target, standing(stored(from)), stored(to), {}, options).map(({ name }) => name)
}

const cron = (text: string) => ({ aws: { bucket: 'b', region: 'r', cron: text } })
const own = (fields: Record<string, unknown> = {}) => ({ s3: { bucket: 'b', basePath: 'x/y' }, schedule: '0 3 * * *', ...fields })
const plans: { name: string; from: Record<string, unknown>; to: Record<string, unknown>; steps: string[] }[] = [
  { name: 'nothing for the same', from: {}, to: {}, steps: [] },
  {
    name: 'nothing for the same in another spelling',
    from: {},
    to: { nodes: nodes({ memory: '4096Mi', cpu: '2000m', disk: { size: '65536Mi', storageClass: 'crate-premium' } }) },
    steps: [],
  },
  {
    name: 'nothing for the same networks in another order',
    from: { allowedCIDRs: ['10.0.0.0/8', '192.0.2.0/24'] },
    to: { allowedCIDRs: ['192.0.2.0/24', '10.0.0.0/8'] },
    steps: [],
  },
  { name: 'an annotation for protection', from: {}, to: { deletionProtection: true, retainVolumes: false }, steps: ['annotate'] },
  { name: 'the allow list alone', from: {}, to: { allowedCIDRs: ['10.20.0.0/16'] }, steps: ['allow-list'] },
  { name: 'the time of backups', from: { backups: cron('0 * * * *') }, to: { backups: cron('5 * * * *') }, steps: ['backup-time'] },
  { name: 'the exposure', from: {}, to: { exposure: { type: 'traefik', hostname: 'a.example.org' } }, steps: ['exposure'] },
  {
    name: 'disk, then compute, then scale, then upgrade',
    from: {},
    to: { version: '5.10.2', nodes: nodes({ count: 5, cpu: 4, disk: { size: '128Gi', storageClass: 'crate-premium' } }) },
    steps: ['disk', 'compute', 'scale', 'upgrade'],
  },
  {
    name: 'a resume before what needs a running database',
    from: { suspended: true },
    to: { version: '5.10.2', nodes: nodes({ count: 5 }) },
    steps: ['resume', 'scale', 'upgrade'],
  },
  {
    name: 'a narrower allow list before the resume that opens the door',
    from: { suspended: true, allowedCIDRs: ['0.0.0.0/0'] },
    to: {},
    steps: ['allow-list', 'resume'],
  },
  {
    name: 'a suspension after everything else',
    from: {},
    to: { suspended: true, version: '5.10.2', allowedCIDRs: ['10.0.0.0/8'] },
    steps: ['allow-list', 'upgrade', 'suspend'],
  },
  {
    name: 'nothing that a suspended database would wait for',
    from: { suspended: true },
    to: { suspended: true, version: '5.10.2', nodes: nodes({ cpu: 4 }) },
    steps: [],
  },
  { name: 'own backups that come', from: {}, to: { snapshots: own() }, steps: ['snapshots'] },
  {
    name: 'own backups that go, of a suspended database too',
    from: { snapshots: own(), suspended: true },
    to: { suspended: true },
    steps: ['snapshots'],
  },
  {
    name: 'another schedule of own backups before what concerns the operator',
    from: { snapshots: own() },
    to: { snapshots: own({ schedule: '0 4 * * *' }), deletionProtection: true, nodes: nodes({ cpu: 4 }) },
    steps: ['annotate', 'snapshots', 'compute'],
  },
  {
    name: 'masters and data nodes of one kind together',
    from: { master: nodes() },
    to: { master: nodes({ count: 5, cpu: 1 }), nodes: nodes({ count: 4, cpu: 1 }) },
    steps: ['compute', 'scale'],
  },
]
const goWithIt =
  'From then on its volumes are deleted with the database, however it is deleted: by the API, with kubectl, with its namespace or with the CRD. Unless the storage class retains them, the data is lost.'

for (const { name, from, to, steps } of plans) test(`a plan holds ${name}`, () => assert.deepEqual(namesOf(from, to), steps))

const change = (from: Record<string, unknown>, to: Record<string, unknown>, changed: string[] = []) =>
  planDatabase(target, standing(stored(from)), stored(to), allSecrets, { ...options, changedSecrets: changed })

test('own backups that are set up later have their keys in a Secret first, then the note in the CrateDB, whose spec stays', () => {
  const [keys, note, ...more] = change({}, { snapshots: own() }, ['snapshots.s3.accessKeyId', 'snapshots.s3.secretAccessKey'])
  assert.deepEqual(more, [])
  assert.deepEqual(keys?.objects[0]?.data, { 'access-key-id': 'QUtJQU9USEVS', 'secret-access-key': 'YW5vdGhlcg==' })
  const [cratedb] = note?.objects ?? []
  assert.ok(cratedb)
  assert.deepEqual(cratedb.spec, standing(stored()).spec)
  assert.deepEqual(readDatabase(cratedb).snapshots, { ...own(), keep: 7 })
  assert.ok(!JSON.stringify(cratedb).includes('AKIA'), 'a key is in the CrateDB')
})

test('own backups that go take their Secret along, after the note', () => {
  const [step, ...more] = change({ snapshots: own() }, {})
  assert.deepEqual(more, [])
  assert.deepEqual(
    step?.removed?.map(({ kind, metadata }) => `${kind} ${metadata.namespace}/${metadata.name}`),
    ['Secret project-harbour/snapshots-tidal-gauge'],
  )
  assert.deepEqual(step?.consequences, [
    'No more backups are taken by Skerry. Its snapshots in the bucket stay, and nobody drops old ones.',
    'The keys are deleted. CrateDB still knows the repository; to make it forget the keys too, run SQL: DROP REPOSITORY skerry',
  ])
})

test('own backups to another place say what becomes of those in the former one', () => {
  const [step] = change({ snapshots: own() }, { snapshots: own({ s3: { bucket: 'c', basePath: 'x/y' }, keep: 3 }) })
  assert.deepEqual(step?.consequences, [
    'Snapshots go to the bucket c, folder x/y.',
    'Those in the former place stay there. They are no longer listed, and nobody drops old ones.',
    'After each success the last 3 are kept, and older ones of Skerry are dropped.',
  ])
})

test('new keys of own backups alone are a Secret alone', () => {
  const steps = change({ snapshots: own() }, { snapshots: own() }, ['snapshots.s3.secretAccessKey'])
  assert.deepEqual(
    steps.map(({ name, objects, consequences }) => [name, objects.map(({ metadata }) => metadata.name), consequences]),
    [['credentials', ['snapshots-tidal-gauge'], ['The next backup by Skerry uses the new keys.']]],
  )
})

test('a creation is one step with the Secrets first', () => {
  const { spec, secrets } = splitSecrets(databaseSpec.parse(everything))
  const [step, ...more] = planDatabase(target, undefined, spec, secrets, options)
  assert.deepEqual(more, [])
  assert.equal(step?.name, 'create')
  assert.deepEqual(
    step.objects.map(({ kind, metadata }) => `${kind} ${metadata.name}`),
    [
      'Secret user-password-tidal-gauge-0',
      'Secret user-password-tidal-gauge-1',
      'Secret backup-tidal-gauge',
      'Secret snapshots-tidal-gauge',
      'Secret ssl-tidal-gauge',
      'CrateDB tidal-gauge',
    ],
  )
  assert.deepEqual(step.consequences, [
    'Starts 6 nodes, each on a host of its own.',
    'Claims 6 × 64 GiB and 3 × 16 GiB, and a volume for heap dumps with each node.',
    'Is reached as tidal-gauge.example.org, by Traefik.',
    'Clients can connect from 10.20.0.0/16, 2001:db8::/32.',
    'A backup is taken at "30 3 * * 1-5" (UTC), within a quarter of an hour.',
    'Snapshots go to the bucket harbour-snapshots, folder eu-north/harbour/tidal-gauge.',
    'After each success the last 14 are kept, and older ones of Skerry are dropped.',
    'CrateDB 5.10.1 cannot be told the region eu-north-1: it signs for the region in the name of the host, or for us-east-1.',
    'Its volumes are kept while it has deletionProtection, and from then on deleted with it.',
  ])
})

test('says what each step means', () => {
  const from = standing(stored({ allowedCIDRs: ['10.0.0.0/8'], backups: cron('0 * * * *') }))
  const wanted = stored({
    version: '6.0.0',
    backups: cron('5 * * * *'),
    suspended: true,
    retainVolumes: false,
    exposure: { type: 'traefik', hostname: 'a.example.org' },
    nodes: nodes({ count: 2, cpu: 4, disk: { size: '128Gi', storageClass: 'crate-premium' } }),
  })
  const said = Object.fromEntries(planDatabase(target, from, wanted, {}, options).map(({ name, consequences }) => [name, consequences]))
  assert.deepEqual(said, {
    annotate: [goWithIt],
    'allow-list': [
      'Clients in 10.0.0.0/8 can no longer connect, unless another network on the list contains them.',
      'Nobody outside the cluster can connect.',
    ],
    'backup-time': ['Snapshots are taken at "5 * * * *" (UTC).'],
    exposure: [
      'The external address changes.',
      'Connections through the load balancer are cut.',
      'Clients reach it as a.example.org, with TLS.',
    ],
    disk: [
      'Suspends the database for up to 30 minutes, unless the operator is set to expand volumes without downtime.',
      '3 volumes from 64 GiB to 128 GiB each; volumes never shrink again.',
      'The external address may change.',
    ],
    compute: ['Restarts every node, one after the other; queries on the node that restarts fail.'],
    scale: [
      'Moves the data of 1 node to those that stay, which can take hours; it needs a GREEN database and tables with at most 1 replica.',
      'The volumes of the removed nodes stay and still count against the quota.',
    ],
    upgrade: [
      'Restarts every node, one after the other; queries on the node that restarts fail.',
      'The only way back from 6.0.0 to 5.10.1 is a snapshot taken before.',
    ],
    suspend: [
      'Clients cannot connect until it is resumed; no snapshots are taken.',
      'The external address is released, and may be different afterwards.',
      'Waits for a running snapshot to end, up to 24 hours.',
    ],
  })
  const [scale] = planDatabase(target, standing(stored()), stored({ nodes: nodes({ count: 5 }) }), {}, options)
  assert.deepEqual(scale?.consequences, ['Starts 2 more nodes, each on a host of its own, with volumes of its own.'])
  const [resume] = planDatabase(target, standing(stored({ suspended: true })), stored(), {}, options)
  assert.deepEqual(resume?.consequences, ['Starts 3 nodes.', 'The external address may change.', 'Snapshots start again an hour later.'])
})

test('never reverts what the operator wrote into the spec', () => {
  const current = standing(stored({ version: '5.10.2' }))
  current.spec.cluster.version = '5.10.1' // a rolled-back upgrade
  current.spec.cluster.restoreSnapshot = { snapshot: '', basePath: { secretKeyRef: { name: 'x', key: 'y' } } }
  current.spec.users[0].name = 'admin_of_the_snapshot'
  current.spec.cluster.imageRegistry = 'mirror.example/crate'
  current.spec.cluster.service = { annotations: { theirs: 'x' } }
  const [step] = planDatabase(target, current, { ...readDatabase(current), allowedCIDRs: ['10.0.0.0/8'] }, {}, options)
  const expected = structuredClone(current.spec)
  expected.cluster.allowedCIDRs = ['10.0.0.0/8']
  assert.deepEqual(step?.objects[0]?.spec, expected)
})

test('applies nothing of the metadata but its own', () => {
  const [step] = planDatabase(
    target,
    standing(stored({ labels: { a: 'b' } })),
    stored({ labels: { a: 'b' }, deletionProtection: true }),
    {},
    options,
  )
  assert.deepEqual(step?.objects[0]?.metadata, {
    name: 'tidal-gauge',
    namespace: 'project-harbour',
    labels: { a: 'b', 'app.kubernetes.io/managed-by': 'skerry', 'skerry.dev/project': 'harbour', 'skerry.dev/database': 'tidal-gauge' },
    annotations: {
      'skerry.dev/database': '{"deletionProtection":true,"retainVolumes":true,"labels":{"a":"b"}}',
      'skerry.dev/nodes-when-resumed': '3',
    },
  })
})

const place = (fields: Record<string, unknown> = {}) =>
  stored({ backups: { aws: { bucket: 'b', region: 'r', endpointUrl: 'https://a.example', cron: '0 * * * *', ...fields } } })

test('another place of backups is written into their Secret with the credentials that stay, and noted with the database', () => {
  const from = standing(place())
  const to = place({ bucket: 'c', endpointUrl: undefined })
  const [step, ...more] = planDatabase(target, from, to, allSecrets, options)
  assert.deepEqual([step?.name, more], ['backup-place', []])
  const [secret, cratedb] = step?.objects ?? []
  const texts = Object.entries<string>(secret?.data).map(([key, value]) => [key, Buffer.from(value, 'base64').toString()])
  assert.deepEqual(Object.fromEntries(texts), { 'access-key-id': 'AKIAEXAMPLE', 'secret-access-key': 'example', bucket: 'c', region: 'r' })
  assert.deepEqual(cratedb?.spec, from.spec, 'the references stay, also the one to the address that has gone')
  assert.deepEqual(readDatabase(cratedb as KubernetesObject).backups, { aws: { bucket: 'c', region: 'r', cron: '0 * * * *' } })
  assert.deepEqual(step?.consequences, [
    "The next snapshot goes to the bucket c (r) of Amazon's S3.",
    'Snapshots that were taken before stay in the bucket b (r) at https://a.example, where nothing deletes them any more; to restore one of them, name that place under "source".',
    'The Crate Operator does not try the new place: look whether the next snapshot arrives.',
    'The exporter of backup metrics keeps the old place until it restarts.',
  ])
})

test('new credentials are in their Secret before the place of the backups changes, and with it', () => {
  const changed = { ...allSecrets, 'backups.aws.secretAccessKey': 'rotated' }
  const changes = { ...options, changedSecrets: ['backups.aws.secretAccessKey'] }
  const steps = planDatabase(target, standing(place()), place({ bucket: 'c' }), changed, changes)
  const written = steps.map(({ name, objects }) => {
    const data: Record<string, string> = objects.find(({ kind }) => kind === 'Secret')?.data ?? {}
    return [name, ...['bucket', 'secret-access-key'].map((key) => Buffer.from(data[key] ?? '', 'base64').toString())]
  })
  assert.deepEqual(written, [
    ['credentials', 'c', 'rotated'],
    ['backup-place', 'c', 'rotated'],
  ])
})

test('new credentials are written as a whole Secret, and only those', () => {
  const { spec, secrets } = splitSecrets(databaseSpec.parse(everything))
  const changed = { ...secrets, 'backups.aws.secretAccessKey': 'rotated' }
  const steps = planDatabase(target, standing(spec), spec, changed, { ...options, changedSecrets: ['backups.aws.secretAccessKey'] })
  assert.deepEqual(
    steps.map(({ name, objects }) => [name, ...objects.map(({ metadata }) => metadata.name)]),
    [['credentials', 'backup-tidal-gauge']],
  )
  const data: Record<string, string> = steps[0]?.objects[0]?.data
  assert.equal(Buffer.from(data['secret-access-key'] ?? '', 'base64').toString(), 'rotated')
  assert.deepEqual(Object.keys(data).sort(), ['access-key-id', 'bucket', 'endpoint', 'region', 'secret-access-key'])
})

/** What each kind of step may touch in the spec, as paths; `*` is one piece. */
const mayTouch: Record<string, RegExp> = {
  annotate: /^$/,
  'backup-place': /^$/,
  'allow-list': /^cluster\.allowedCIDRs\b/,
  'backup-time': /^backups\.aws\.cron$/,
  exposure: /^cluster\.(exposure|externalDNS)$/,
  resume: /^nodes\.data\.0\.replicas$/,
  suspend: /^nodes\.data\.0\.replicas$/,
  scale: /^nodes\.(data\.0|master)\.replicas$/,
  disk: /^nodes\.(data\.0|master)\.resources\.disk\.size$/,
  compute: /^nodes\.(data\.0|master)\.resources\.(limits|requests|heapRatio)\b/,
  upgrade: /^cluster\.(version|imageRegistry)$/,
}

test('step after step, each of one kind, the database becomes what was wanted', () => {
  let longest = 0
  fc.assert(
    fc.property(anyStored, anyRequest, (from, asked) => {
      const wanted = reachable(from, splitSecrets(databaseSpec.parse(asked)).spec)
      let current = standing(from)
      const planned = planDatabase(target, current, wanted, allSecrets, options)
      longest = Math.max(longest, planned.length)
      for (const { name } of planned) {
        // As the executor does: it plans again from what is there, and takes the first.
        const [step] = planDatabase(target, current, wanted, allSecrets, options)
        assert.equal(step?.name, name)
        const after = applyTo(current, step.objects.find(({ kind }) => kind === 'CrateDB') as KubernetesObject)
        for (const path of differences(current.spec, after.spec)) assert.match(path, mayTouch[name] ?? /never/, `${name} touched ${path}`)
        current = after
      }
      assert.deepEqual(planDatabase(target, current, wanted, allSecrets, options), [])
      assert.deepEqual(
        planDatabase(target, standing(from), wanted, allSecrets, options).at(-1)?.objects.at(-1)?.spec ?? current.spec,
        current.spec,
      )
      assert.deepEqual(withSortedNetworks(readDatabase(current)), withSortedNetworks(wanted))
    }),
    { numRuns: 500 },
  )
  assert.ok(longest >= 5, `the longest plan tried had ${longest} steps`)
})

/** The part of a wish that can be had from what there is: what `refusals` would name is left as it was. */
function reachable(from: StoredDatabaseSpec, asked: StoredDatabaseSpec): StoredDatabaseSpec {
  const group = <G extends StoredDatabaseSpec['nodes']>(is: G, wants: G): G => {
    const computes = is.cpu !== wants.cpu || is.memory !== wants.memory
    return {
      ...wants,
      heapRatio: computes ? wants.heapRatio : is.heapRatio,
      disk: { ...is.disk, size: from.suspended && asked.suspended ? is.disk.size : '2Ti' },
    }
  }
  const { master, backups, ssl, ...rest } = from
  const wanted: StoredDatabaseSpec = {
    ...rest,
    ...(ssl ? { ssl } : {}),
    ...(backups ? { backups: reachableBackups(backups, asked.backups) } : {}),
    ...(master ? { master: group(master, asked.master ?? master) } : {}),
    nodes: group(from.nodes, asked.nodes),
    allowedCIDRs: asked.allowedCIDRs,
    version: [from.version, asked.version].sort((a, b) => a.localeCompare(b, 'en', { numeric: true })).at(-1) ?? '',
    exposure:
      asked.exposure.type === from.exposure.type || (asked.exposure.type === 'traefik' && !asked.exposure.hostname)
        ? from.exposure
        : asked.exposure,
    suspended: asked.suspended,
    deletionProtection: asked.deletionProtection,
    retainVolumes: asked.retainVolumes,
  }
  const reached =
    from.suspended && asked.suspended
      ? {
          ...from,
          allowedCIDRs: asked.allowedCIDRs,
          backups: wanted.backups,
          deletionProtection: asked.deletionProtection,
          retainVolumes: asked.retainVolumes,
        }
      : wanted
  if (reached.backups === undefined) delete reached.backups
  const retained = { databases: 0, volumes: 0, bytes: 0n }
  const around = { storageClasses, heapDumpVolume, allowedKeys, endpoints, project: undefined, siblings: [], retained }
  const facts = { target, wanted: reached, current: from, ...around }
  assert.deepEqual(
    refusals(facts).filter(({ type }) => type === 'unsupported-edit'),
    [],
    'what this test calls reachable is not refused',
  )
  return reached
}

function reachableBackups({ aws, azureBlob }: StoredBackups, asked: StoredBackups = {}): StoredBackups {
  const { bucket, region, endpointUrl, cron } = asked.aws ?? aws ?? {}
  const address = aws?.endpointUrl === undefined ? {} : { endpointUrl }
  if (aws && bucket !== undefined && region !== undefined && cron !== undefined) {
    const { endpointUrl: _, ...rest } = { ...aws, bucket, region, cron, ...address }
    return { aws: address.endpointUrl === undefined ? rest : { ...rest, ...address } }
  }
  return azureBlob ? { azureBlob: { ...azureBlob, ...asked.azureBlob, cron: azureBlob.cron } } : {}
}

function withSortedNetworks(spec: StoredDatabaseSpec) {
  return { ...spec, allowedCIDRs: [...spec.allowedCIDRs].sort() }
}

/** Paths of the leaves in which two JSON values differ. */
function differences(one: unknown, other: unknown, path: string[] = []): string[] {
  if (typeof one !== 'object' || typeof other !== 'object' || one === null || other === null)
    return Object.is(one, other) ? [] : [path.join('.')]
  const [a, b] = [one as Record<string, unknown>, other as Record<string, unknown>]
  return [...new Set([...Object.keys(a), ...Object.keys(b)])].flatMap((key) => differences(a[key], b[key], [...path, key]))
}

const deletions: { name: string; fields: Record<string, unknown>; said: string }[] = [
  {
    name: 'are kept',
    fields: {},
    said: '3 × 64 GiB will be kept for 7 days. Until then the database can be had back with them, by deleted-databases/…/actions/undelete; then they are deleted, and the data is lost.',
  },
  {
    name: 'are deleted by a class that reclaims',
    fields: { retainVolumes: false },
    said: '3 × 64 GiB will be deleted: the storage class reclaims them. Nothing of the data is left.',
  },
  {
    name: 'are released by a class that retains',
    fields: { retainVolumes: false, nodes: nodes({ disk: { size: '64Gi', storageClass: 'crate-standard' } }) },
    said: '3 × 64 GiB will be released: the storage class retains them until somebody deletes them by hand.',
  },
  {
    name: 'are taken for lost when nobody knows the class',
    fields: { retainVolumes: false, nodes: nodes({ disk: { size: '64Gi', storageClass: 'gone' } }) },
    said: '3 × 64 GiB will be deleted: the storage class reclaims them. Nothing of the data is left.',
  },
]
for (const { name, fields, said } of deletions) {
  test(`a deletion says whether the volumes ${name}`, () => assert.equal(deletionConsequences(stored(fields), storageClasses, 7)[1], said))
}
