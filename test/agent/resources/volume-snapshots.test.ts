import assert from 'node:assert/strict'
import { test } from 'node:test'
import { desiredCrateDB } from '../../../agent/resources/cratedb.ts'
import { snapshotSetId, volumeGroupSnapshot, volumeSnapshot } from '../../../agent/resources/volume-snapshot-objects.ts'
import { dataClaimsOf, planSnapshots, type SnapshotFacts, snapshotClassOf } from '../../../agent/resources/volume-snapshots.ts'
import type { KubernetesObject } from '../../../shared/kubernetes/objects.ts'
import { nodes, options, stored, target } from './samples.ts'

const names = [0, 1, 2].map((node) => `data0-crate-data-hot-tidal-gauge-${node}`)
const claim = (name: string, volumeName = `volume-of-${name}`): KubernetesObject => ({
  apiVersion: 'v1',
  kind: 'PersistentVolumeClaim',
  metadata: { name, namespace: 'project-harbour', labels: { 'app.kubernetes.io/name': 'tidal-gauge' } },
  spec: { volumeName, accessModes: ['ReadWriteOnce'], storageClassName: 'crate-premium', resources: { requests: { storage: '64Gi' } } },
  status: { phase: 'Bound', capacity: { storage: '96Gi' } },
})
const volume = (of: string, source: object = { csi: { driver: 'disks.example' } }): KubernetesObject => ({
  apiVersion: 'v1',
  kind: 'PersistentVolume',
  metadata: { name: `volume-of-${of}` },
  spec: source,
})
const disks = { name: 'disks', driver: 'disks.example', keeps: false, isDefault: false }
const local = { name: 'local', driver: 'local.example', keeps: true, isDefault: false }

const facts = (given: Partial<SnapshotFacts> = {}): SnapshotFacts => ({
  classes: [disks],
  groups: undefined,
  claims: names.map((name) => claim(name)),
  volumes: names.map((name) => volume(name)),
  ...given,
})
const plan = (given: Partial<SnapshotFacts>, wish?: string, suspended = false, all = names) =>
  planSnapshots(all, facts(given), { wish: wish === undefined ? undefined : { volumeSnapshotClass: wish }, suspended })

const impossible: { name: string; given: Partial<SnapshotFacts>; wish?: string; faults: string[] }[] = [
  {
    name: 'the CRDs are not there',
    given: { classes: undefined },
    faults: [
      ': this cluster has no volume snapshots (snapshot.storage.k8s.io/v1): they need the CRDs and the snapshot controller of kubernetes-csi/external-snapshotter, and a storage driver that can take them',
    ],
  },
  {
    name: 'there is no class',
    given: { classes: [] },
    faults: [': no VolumeSnapshotClass is of the driver disks.example: the cluster has none'],
  },
  {
    name: 'all classes are of other drivers',
    given: { classes: [local] },
    faults: [': no VolumeSnapshotClass is of the driver disks.example: there are local of local.example'],
  },
  {
    name: 'a claim is not bound, one has a volume of a folder, and one is not there',
    given: {
      claims: [claim(names[0] ?? ''), { ...claim(names[1] ?? ''), status: { phase: 'Pending' } }],
      volumes: [volume(names[0] ?? '', { hostPath: { path: '/data' } })],
    },
    faults: [
      `: ${names[0]}: the volume is of no CSI driver but hostPath, and only CSI drivers can take snapshots`,
      `: ${names[1]} and ${names[2]}: no volume is bound yet, and there is nothing to take`,
    ],
  },
  {
    name: 'several classes are of the driver',
    given: { classes: [disks, { ...disks, name: 'others' }] },
    faults: [
      ': several VolumeSnapshotClasses are of the driver disks.example, and none is the default: name one of disks and others in volumeSnapshotClass',
    ],
  },
  {
    name: 'the named class is of another driver',
    given: { classes: [disks, local] },
    wish: 'local',
    faults: ['/volumeSnapshotClass: is not a VolumeSnapshotClass of disks.example, whose the volumes are: those are disks'],
  },
]
for (const { name, given, wish, faults } of impossible) {
  test(`volume snapshots are refused with everything that is missing when ${name}`, () => {
    const planned = plan(given, wish)
    assert.ok('faults' in planned)
    assert.deepEqual(
      planned.faults.map(({ path, message }) => `${path}: ${message}`),
      faults,
    )
  })
}

function planned(...given: Parameters<typeof plan>) {
  const found = plan(...given)
  assert.ok(!('faults' in found), JSON.stringify(found))
  return found
}

test('the default class of a driver is taken, or the one that is named', () => {
  const classes = [disks, { ...disks, name: 'usual', isDefault: true }]
  assert.deepEqual(new Set(planned({ classes }).members.map((member) => member.class)), new Set(['usual']))
  assert.deepEqual(new Set(planned({ classes }, 'disks').members.map((member) => member.class)), new Set(['disks']))
})

test('volumes of two drivers get the class of their own', () => {
  const volumes = names.map((name, index) => volume(name, { csi: { driver: index === 0 ? 'local.example' : 'disks.example' } }))
  const { members, consequences } = planned({ classes: [disks, local], volumes })
  assert.deepEqual(
    members.map((member) => member.class),
    ['local', 'disks', 'disks'],
  )
  assert.match(consequences.join('\n'), /the class disks says Delete/)
  assert.match(consequences.join('\n'), /the class local says Retain/)
})

const groups = { classes: [{ ...disks, name: 'together' }], beta: true }
const consistent: { name: string; given: Parameters<typeof plan>; says: RegExp; silent?: RegExp }[] = [
  {
    name: 'one after the other',
    given: [{}],
    says: /Takes 3 volumes one after the other, .* since this cluster has no VolumeGroupSnapshots\. They are not consistent between nodes: a database that comes back from them starts as after a power cut that met the nodes at different moments/,
  },
  {
    name: 'where no group class is of their driver',
    given: [{ groups: { classes: [local], beta: false } }],
    says: /since no one VolumeGroupSnapshotClass is of the driver disks\.example/,
  },
  {
    name: 'of a group',
    given: [{ groups }],
    says: /Takes all 3 volumes at one moment, as a VolumeGroupSnapshot/,
    silent: /not consistent/,
  },
  {
    name: 'of a suspended database',
    given: [{}, undefined, true],
    says: /while the database is suspended and nothing writes/,
    silent: /consistent/,
  },
  { name: 'of a single volume', given: [{}, undefined, false, names.slice(0, 1)], says: /Takes its only volume/, silent: /not consistent/ },
]
for (const { name, given, says, silent } of consistent) {
  test(`the plan tells the truth about snapshots ${name}`, () => {
    const [first = '', ...others] = planned(...given).consequences
    assert.match(first, says)
    if (silent) assert.doesNotMatch(first, silent)
    assert.equal(
      others.some((text) => text.includes('suspend the database first')),
      first.includes('one after the other'),
    )
  })
}

test('a group needs no class for single volumes', () => {
  const { group, members } = planned({ classes: [], groups })
  assert.deepEqual([group, members.map((member) => member.class)], [{ class: 'together', beta: true }, [undefined, undefined, undefined]])
})

test('a set has a limit, so that its record can be stored', () => {
  const found = plan(
    {},
    undefined,
    false,
    Array.from({ length: 257 }, (_, index) => `data0-${index}`),
  )
  assert.match(JSON.stringify(found), /257 volumes are too many for one set, which has at most 256/)
})

test('the claims are those of all disks of all nodes, as the Crate Operator names them', () => {
  const master = nodes({ count: 3, disk: { size: '16Gi', storageClass: 'crate-premium' } })
  const disk = { count: 2, size: '64Gi', storageClass: 'crate-premium' }
  const cratedb = desiredCrateDB(target, stored({ nodes: nodes({ count: 2, disk }), master }), options)
  assert.deepEqual(dataClaimsOf(cratedb, [2, 3]), [
    ...['data0-crate-data-hot-tidal-gauge-0', 'data1-crate-data-hot-tidal-gauge-0'],
    ...['data0-crate-data-hot-tidal-gauge-1', 'data1-crate-data-hot-tidal-gauge-1'],
    ...[0, 1, 2].map((node) => `data0-crate-master-tidal-gauge-${node}`),
  ])
})

test('classes are read as they are, and what is wrong in them breaks nothing', () => {
  const read = (apiVersion: string, annotations: Record<string, string>) =>
    snapshotClassOf({ apiVersion, kind: 'X', metadata: { name: 'a', annotations }, driver: 'd', deletionPolicy: 'Retain' })
  const [single, group] = ['snapshot', 'groupsnapshot']
  const usual = (of = '') => ({ [`${of}.storage.kubernetes.io/is-default-class`]: 'true' })
  assert.deepEqual(read('snapshot.storage.k8s.io/v1', usual(single)), { name: 'a', driver: 'd', keeps: true, isDefault: true })
  assert.equal(read('groupsnapshot.storage.k8s.io/v1beta2', usual(group)).isDefault, true)
  assert.equal(read('groupsnapshot.storage.k8s.io/v1', usual(single)).isDefault, false)
  const bare = snapshotClassOf({ apiVersion: 'snapshot.storage.k8s.io/v1', kind: 'X', metadata: { name: 'a' } })
  assert.deepEqual(bare, { name: 'a', driver: '', keeps: false, isDefault: false })
})

const set = { target, id: snapshotSetId({ acceptedAt: '2026-01-31T12:00:00.123Z', sequence: 42 }) }

test('a snapshot has no owner, says whose it is, and brings the claim that gives its volume back', () => {
  const { metadata, spec } = volumeSnapshot(set, claim(names[0] ?? ''), 'disks')
  assert.deepEqual(
    [metadata.name, metadata.ownerReferences, spec],
    [
      'data0-crate-data-hot-tidal-gauge-0-20260131120000-42',
      undefined,
      { volumeSnapshotClassName: 'disks', source: { persistentVolumeClaimName: names[0] } },
    ],
  )
  assert.deepEqual(metadata.labels, {
    'app.kubernetes.io/managed-by': 'skerry',
    'skerry.dev/project': 'harbour',
    'skerry.dev/database': 'tidal-gauge',
    'skerry.dev/volume-snapshots': '20260131120000-42',
  })
  assert.deepEqual(JSON.parse(metadata.annotations?.['skerry.dev/claim'] ?? ''), {
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: { name: names[0], namespace: 'project-harbour', labels: { 'app.kubernetes.io/name': 'tidal-gauge' } },
    spec: {
      accessModes: ['ReadWriteOnce'],
      storageClassName: 'crate-premium',
      resources: { requests: { storage: '96Gi' } },
      dataSource: { apiGroup: 'snapshot.storage.k8s.io', kind: 'VolumeSnapshot', name: metadata.name },
    },
  })
})

test('a group is asked for in the version that the cluster serves', () => {
  const made = [true, false].map((beta) => volumeGroupSnapshot(set, { class: 'together', beta }))
  assert.deepEqual(
    made.map(({ apiVersion, kind, metadata }) => [apiVersion, kind, metadata.name]),
    ['v1beta2', 'v1'].map((version) => [
      `groupsnapshot.storage.k8s.io/${version}`,
      'VolumeGroupSnapshot',
      'crate-tidal-gauge-20260131120000-42',
    ]),
  )
  assert.deepEqual(made[0]?.spec, {
    volumeGroupSnapshotClassName: 'together',
    source: { selector: { matchLabels: { 'skerry.dev/volume-snapshots': '20260131120000-42' } } },
  })
})
