import assert from 'node:assert/strict'
import { test } from 'node:test'
import { packItems, unpackItems } from '../../../../agent/region-file/import/pieces.ts'
import { type ImportOptions, importPlan, judgeAll, type RegionFacts, shownPlan } from '../../../../agent/region-file/import/plan.ts'
import { withinQuotas } from '../../../../agent/region-file/import/quotas.ts'
import { sameDataIn, withoutSameData } from '../../../../agent/region-file/import/same-data.ts'
import { deletionHere, type ImportScene, judge, type StandingVolume } from '../../../../agent/region-file/import/verdict.ts'
import type { ExportedDatabase } from '../../../../agent/region-file/schema.ts'
import { desiredCrateDB } from '../../../../agent/resources/cratedb.ts'
import { dataOf } from '../../../../agent/resources/volume-source.ts'
import type { KubernetesObject } from '../../../../shared/kubernetes/objects.ts'
import { exportedDatabase, regionContent } from '../region-sample.ts'

const zone = 'topology.ebs.csi.aws.com/zone'
const node = (name: string, labels: Record<string, string> = { [zone]: 'eu-north-1a' }): KubernetesObject => ({
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { name, labels: { 'kubernetes.io/hostname': name, ...labels } },
})
const premium: KubernetesObject = {
  apiVersion: 'storage.k8s.io/v1',
  kind: 'StorageClass',
  metadata: { name: 'crate-premium' },
  provisioner: 'ebs.csi.aws.com',
  parameters: {
    'csi.storage.k8s.io/controller-expand-secret-name': 'ebs-expand',
    'csi.storage.k8s.io/controller-expand-secret-namespace': 'kube-system',
    'csi.storage.k8s.io/provisioner-secret-name': 'ebs-deletion',
    'csi.storage.k8s.io/provisioner-secret-namespace': 'kube-system',
  },
}

/** What the site allows. */
const site: ImportScene['site'] = {
  imageRegistry: 'registry.example/crate',
  allowedKeys: { labels: ['example.org/'], annotations: [] },
  storageClasses: [{ name: 'crate-premium', provisioner: 'ebs.csi.aws.com', expandable: true, reclaims: true, isDefault: false }],
  heapDumpVolume: { size: '64Gi', storageClass: undefined },
  endpoints: { allowed: [], clusterNetworks: () => [], namespaces: [] },
}

/** An empty cluster with the storage class of the sample, and a node in its zone. */
function scene({ volumes = [], ...given }: Partial<ImportScene> & { volumes?: StandingVolume[] } = {}): ImportScene {
  return {
    database: () => undefined,
    volume: (name) => volumes.find((each) => each.name === name),
    volumeWith: (data) => volumes.find((each) => each.data === data),
    nodes: [node('quay-1')],
    storageClass: (name) => (name === 'crate-premium' ? premium : undefined),
    hostFolders: ['/srv/volumes'],
    site,
    ...given,
  }
}

/** The sample with another place for its data. */
function placed(change: (spec: Record<string, unknown>) => void, id = 'tidal-gauge'): ExportedDatabase {
  const entry = structuredClone(exportedDatabase('harbour', id))
  for (const { spec } of entry.volumes) change(spec)
  return entry
}

/** The sample with other members. */
const with_ = (body: Partial<ExportedDatabase['body']>): ExportedDatabase => ({ ...sample, body: { ...sample.body, ...body } })

/** Its volumes as they stand, in this phase. */
const standing = (entry: ExportedDatabase, change: Partial<StandingVolume> = {}): StandingVolume[] =>
  entry.volumes.map(({ metadata, spec }) => ({
    name: metadata.name,
    claim: `${spec.claimRef.namespace}/${spec.claimRef.name}`,
    owner: undefined,
    phase: 'Released',
    data: dataOf({ spec }),
    attachedTo: undefined,
    ...change,
  }))

const onHost = (host: string, path = '/srv/volumes/one') =>
  placed((spec) => {
    delete spec.csi
    spec.local = { path }
    spec.nodeAffinity = {
      required: { nodeSelectorTerms: [{ matchExpressions: [{ key: 'kubernetes.io/hostname', operator: 'In', values: [host] }] }] },
    }
  })

const sample = exportedDatabase('harbour', 'tidal-gauge')
const hosts = new Map<string, string>()
const verdictOf = (entry: ExportedDatabase, in_: ImportScene, names: ReadonlyMap<string, string> = hosts) =>
  judge(entry, in_, names).verdict

test('a database is ready whose volumes the cluster lacks, and found whose volumes stand released', () => {
  assert.equal(verdictOf(sample, scene()).verdict, 'ready')
  assert.equal(verdictOf(sample, scene({ volumes: standing(sample) })).verdict, 'volumes-found')
})

test('a database is unchanged that stands with the same volumes', () => {
  const volumes = standing(sample, { phase: 'Bound', attachedTo: 'quay-1' })
  assert.equal(verdictOf(sample, scene({ volumes, database: () => ({ stands: true, operation: undefined }) })).verdict, 'unchanged')
})

/** A CrateDB that another tool made. */
function foreign(change: (spec: KubernetesObject['spec']) => void = () => {}): ExportedDatabase {
  const target = { kind: 'database' as const, project: 'harbour', database: 'tidal-gauge' }
  const { spec } = desiredCrateDB(target, sample.body, { imageRegistry: 'registry.example/crate' })
  const made = structuredClone(spec)
  made.nodes.data[0].nodepool = 'shared'
  made.nodes.data[0].labels = { 'example.org/rack': 'quay' }
  change(made)
  return { ...structuredClone(sample), cratedb: { labels: { 'example.org/unit': 'tides' }, annotations: { by: 'hand' }, spec: made } }
}

test('a database of another tool gets nothing that a request could not ask for', () => {
  const given = foreign((spec) => {
    spec.cluster.imageRegistry = 'mallory.example/crate'
    spec.cluster.service = { annotations: { 'service.beta.kubernetes.io/aws-load-balancer-internal': 'false' } }
    spec.grandCentral = { backendEnabled: true, backendImage: 'mallory.example/console' }
    spec.nodes.data[0].annotations = { 'sidecar.istio.io/inject': 'true' }
    spec.nodes.data[0].labels = { 'example.org/rack': 'quay', 'policies.example/exempt': 'true' }
  })
  Object.assign(given.cratedb?.labels ?? {}, { 'skerry.dev/project': 'pier' })
  const { verdict, entry } = judge(given, scene(), hosts)
  assert.equal(verdict.verdict, 'ready', JSON.stringify(verdict.obstacles))
  assert.deepEqual(verdict.notes, [
    'Its image comes from registry.example/crate as of all databases, and no longer from mallory.example/crate.',
    'The annotations of its Service are left out: they instruct the load balancer of the site.',
    'It has no console of CrateDB Cloud (grandCentral) afterwards.',
    'Its nodes have a host each, and none of a pool of hosts (nodepool).',
    'These labels are left out, which this region does not allow: policies.example/exempt.',
    'These annotations are left out, which this region does not allow: sidecar.istio.io/inject.',
    'These labels are left out, which this region does not allow: skerry.dev/project.',
  ])
  const plain = foreign((spec) => {
    delete spec.nodes.data[0].nodepool
    spec.nodes.data[0].annotations = {}
    spec.cluster.service = {}
  })
  assert.deepEqual(entry.cratedb, plain.cratedb)
  assert.deepEqual(judge(entry, scene(), hosts).verdict.notes, [])
})

test('a database of another tool is as large as its CrateDB says, whatever the file says beside it', () => {
  const given = foreign((spec) => {
    spec.nodes.data[0].resources.limits = { cpu: 64, memory: '256Gi' }
  })
  const { body } = judge(given, scene(), hosts).entry
  assert.deepEqual([body.nodes.cpu, body.nodes.memory, body.nodes.count], [64, '256Gi', 3])
})

test('a deleted database of the file comes back within the rules of the site, too', () => {
  const { body, cratedb, volumes } = foreign((spec) => {
    spec.cluster.imageRegistry = 'mallory.example/crate'
  })
  const record = { project: 'harbour', database: body.id, cratedb } as never
  const here = deletionHere({ id: 'tidal-gauge.0f3a9c1e', record, volumes }, hosts, site)
  assert.match(JSON.stringify(here.record.cratedb), /"imageRegistry":"registry.example\/crate"/)
})

test('whoever makes a volume of a region file again knows it as that of the database', () => {
  const entry = structuredClone(sample)
  for (const volume of entry.volumes) delete volume.metadata.labels
  for (const { metadata } of judge(entry, scene(), hosts).entry.volumes)
    assert.deepEqual(metadata.labels, { 'skerry.dev/project': 'harbour', 'skerry.dev/database': 'tidal-gauge' })
})

test('a file cannot say that a volume goes with its database, is for anybody, or has served another claim', () => {
  const entry = structuredClone(sample)
  for (const { metadata } of entry.volumes)
    Object.assign(metadata.annotations ?? {}, {
      'skerry.dev/let-go-by': 'op-0000000001',
      'skerry.dev/retained-from': 'project-pier/data0-crate-data-hot-ebb-0',
      'pv.kubernetes.io/bound-by-controller': 'yes',
    })
  const [made] = judge(entry, scene(), hosts).entry.volumes
  assert.equal(made?.metadata.annotations?.['skerry.dev/let-go-by'], undefined)
  assert.equal(made?.metadata.annotations?.['pv.kubernetes.io/bound-by-controller'], undefined)
  assert.equal(made?.metadata.annotations?.['skerry.dev/retained-from'], 'project-harbour/data0-crate-data-hot-tidal-gauge-0')
})

test('two databases of a file over the same data are both refused, whatever their volumes are called', async () => {
  const pier = placed((spec) => Object.assign(spec, { csi: structuredClone(sample.volumes[0]?.spec.csi) }), 'pier')
  const judged = await judgeAll({ ...file, document: regionContent([sample, pier, exportedDatabase('harbour', 'ebb')]) }, scene(), hosts)
  const refused = withoutSameData(judged, sameDataIn(judged, []))
  assert.deepEqual(
    refused.map(({ verdict }) => verdict.verdict),
    ['refused', 'refused', 'ready'],
  )
  assert.match(
    refused[0]?.verdict.obstacles[0]?.message ?? '',
    /volume pvc-harbour-tidal-gauge-0 .* is that of volume pvc-harbour-pier-0 in the file/,
  )
})

test('two volumes of hosts become the same data when both hosts get one name', async () => {
  const [one, other] = [onHost('edge-1'), { ...onHost('edge-2'), body: { ...sample.body, id: 'ebb' } }]
  one.volumes = one.volumes.slice(0, 1)
  other.volumes = other.volumes.slice(1, 2)
  const into = async (names: [string, string][]) => {
    const judged = await judgeAll({ ...file, document: regionContent([one, other]) }, scene(), new Map(names))
    return sameDataIn(judged, [])(judged.flatMap(({ entry }) => entry.volumes)).length
  }
  assert.equal(await into([['edge-1', 'quay-1']]), 0)
  const both: [string, string][] = [
    ['edge-1', 'quay-1'],
    ['edge-2', 'quay-1'],
  ]
  assert.equal(await into(both), 2)
})

const refused: { name: string; entry?: ExportedDatabase; in?: ImportScene; code: string; says: RegExp }[] = [
  {
    name: 'its name is taken',
    in: scene({ database: () => ({ stands: true, operation: undefined }) }),
    code: 'name-taken',
    says: /stands/,
  },
  {
    name: 'an operation is making one of its name',
    in: scene({ database: () => ({ stands: false, operation: 'op-0000000007' }) }),
    code: 'name-taken',
    says: /op-0000000007/,
  },
  {
    name: 'another volume has the name of its volume',
    in: scene({ volumes: standing(sample, { data: 'csi ebs.csi.aws.com vol-other' }) }),
    code: 'volume-taken',
    says: /another one here: its data is csi ebs.csi.aws.com vol-other/,
  },
  {
    name: 'its volume serves another claim',
    in: scene({ volumes: standing(sample, { claim: 'project-harbour/data0-crate-data-hot-ebb-0' }) }),
    code: 'volume-taken',
    says: /serves project-harbour\/data0-crate-data-hot-ebb-0/,
  },
  {
    name: 'its volume has the data of another database, whose claim has the same name',
    in: scene({ volumes: standing(sample, { owner: 'harbour/hot-tidal-gauge' }) }),
    code: 'volume-taken',
    says: /has the data of database harbour\/hot-tidal-gauge/,
  },
  {
    name: 'its volume is bound although it does not stand',
    in: scene({ volumes: standing(sample, { phase: 'Bound' }) }),
    code: 'volume-taken',
    says: /is bound/,
  },
  {
    name: 'a volume of another name has its data',
    in: scene({ volumes: standing(sample).map((volume) => ({ ...volume, name: `other-${volume.name}` })) }),
    code: 'handle-taken',
    says: /vol-harbour-tidal-gauge-0\) is that of volume other-pvc-harbour-tidal-gauge-0/,
  },
  {
    name: 'its volume is attached',
    in: scene({ volumes: standing(sample, { attachedTo: 'quay-9' }) }),
    code: 'attached',
    says: /attached to node quay-9/,
  },
  {
    name: 'no node is in its zone',
    in: scene({ nodes: [node('quay-1', {})] }),
    code: 'host-unknown',
    says: /eu-north-1a is of another cluster/,
  },
  { name: 'its host is of another cluster', entry: onHost('edge-1'), code: 'host-unknown', says: /hosts=edge-1=NAME/ },
  { name: 'its storage class is missing', in: scene({ storageClass: () => undefined }), code: 'class-missing', says: /crate-premium/ },
  {
    name: 'the file lacks a volume of it',
    entry: { ...sample, volumes: sample.volumes.slice(1) },
    code: 'volumes-missing',
    says: /2 of its 3 volumes, and not that of data0-crate-data-hot-tidal-gauge-0/,
  },
  {
    name: 'another tool gave it a setting that no request may give',
    entry: foreign((spec) => {
      spec.nodes.data[0].settings = { 'auth.trust.http_default_user': 'crate' }
    }),
    code: 'not-allowed',
    says: /its setting auth.trust.http_default_user/,
  },
  {
    name: 'it has a label that this region does not allow',
    entry: with_({ labels: { 'example.org/unit': 'tides', 'policies.example/exempt': 'true' } }),
    code: 'not-allowed',
    says: /^\/labels\/policies\.example~1exempt is not allowed: this region allows example\.org\//,
  },
  {
    name: 'it has an annotation that this region does not allow',
    entry: with_({ annotations: { 'sidecar.istio.io/inject': 'true' } }),
    code: 'not-allowed',
    says: /^\/annotations\/sidecar\.istio\.io~1inject is not allowed: this region allows no annotations/,
  },
  {
    name: 'its backups go to an address inside the cluster',
    entry: with_({ snapshots: { s3: { bucket: 'harbour', endpointUrl: 'https://minio.storage.svc' }, keep: 7 } }),
    code: 'not-allowed',
    says: /^\/snapshots\/s3\/endpointUrl must be outside the cluster/,
  },
  {
    name: 'the operator gives each node a volume of a class that is missing',
    in: scene({ site: { ...site, heapDumpVolume: { size: '64Gi', storageClass: 'of-the-former-cluster' } } }),
    code: 'not-allowed',
    says: /^\/nodes cannot start here: .* heap-dump volume of the storage class of-the-former-cluster/,
  },
  {
    name: 'another tool made it with a storage class that is missing',
    entry: foreign((spec) => {
      spec.nodes.data[0].resources.disk.storageClass = 'of-the-former-cluster'
    }),
    code: 'class-missing',
    says: /of-the-former-cluster/,
  },
  { name: 'it needs a keystore', entry: { ...sample, body: { ...sample.body, ssl: {} } }, code: 'secrets-missing', says: /keystore/ },
  {
    name: 'its volume is in a folder of the host that is not for volumes',
    entry: onHost('quay-1', '/etc/kubernetes'),
    code: 'volume-refused',
    says: /"\/etc\/kubernetes" is outside/,
  },
  { name: 'its path is that folder itself', entry: onHost('quay-1', '/srv/volumes/'), code: 'volume-refused', says: /outside/ },
  { name: 'its path is that folder in other words', entry: onHost('quay-1', '/srv/volumes/.'), code: 'volume-refused', says: /outside/ },
  { name: 'its path leaves that folder', entry: onHost('quay-1', '/srv/volumes/../../etc'), code: 'volume-refused', says: /outside/ },
  {
    name: 'its volume names a Secret that its class does not name',
    entry: placed((spec) => ({ ...Object.assign(spec.csi as object, { nodeStageSecretRef: { name: 'root', namespace: 'kube-system' } }) })),
    code: 'volume-refused',
    says: /nodeStageSecretRef is not the Secret/,
  },
  {
    name: 'its deletion would use a Secret that its class does not name',
    entry: (() => {
      const entry = placed(() => {})
      for (const { metadata } of entry.volumes)
        Object.assign(metadata.annotations ?? {}, { 'volume.kubernetes.io/provisioner-deletion-secret-name': 'root' })
      return entry
    })(),
    code: 'volume-refused',
    says: /provisioner-deletion-secret-name is not the Secret/,
  },
  {
    name: 'its volume names a Secret for OpenStack',
    entry: placed((spec) => {
      delete spec.csi
      spec.cinder = { volumeID: '5f0c', secretRef: { name: 'root', namespace: 'kube-system' } }
    }),
    code: 'volume-refused',
    says: /cinder\.secretRef/,
  },
  {
    name: 'its volume is of a kind that names a server',
    entry: placed((spec) => {
      delete spec.csi
      spec.nfs = { server: 'mallory.example', path: '/' }
    }),
    code: 'volume-refused',
    says: /its data is in nfs/,
  },
  {
    name: 'its node affinity is none',
    entry: placed((spec) => {
      spec.nodeAffinity = { required: { nodeSelectorTerms: 'all' } }
    }),
    code: 'volume-refused',
    says: /is none of Kubernetes/,
  },
]
for (const { name, entry = sample, in: given = scene(), code, says } of refused)
  test(`a database is refused when ${name}`, () => {
    const { verdict, obstacles } = verdictOf(entry, given)
    assert.equal(verdict, 'refused')
    assert.ok(
      obstacles.some((each) => each.code === code && says.test(each.message)),
      JSON.stringify(obstacles),
    )
  })

test('secrets that come with the file are those of the database', () => {
  const backups = { aws: { bucket: 'harbour', region: 'eu-north-1', cron: '17 * * * *' } }
  const entry = { ...sample, body: { ...sample.body, ssl: {}, backups } }
  const ssl = { 'ssl.keystore': '/u3+7Q==', 'ssl.keystorePassword': 'one', 'ssl.keystoreKeyPassword': 'two' }
  const keys = { 'backups.aws.accessKeyId': 'AKIA', 'backups.aws.secretAccessKey': 'three' }
  assert.deepEqual(verdictOf({ ...entry, secrets: { ...ssl, ...keys } } as never, scene()).notes, [])
  assert.match(verdictOf({ ...entry, secrets: ssl } as never, scene()).notes.join(), /backups fail until their keys are put again/)
})

test('a volume of a host that was given another name is made for that one', () => {
  const { verdict, entry } = judge(onHost('edge-1'), scene(), new Map([['edge-1', 'quay-1']]))
  assert.equal(verdict.verdict, 'ready', JSON.stringify(verdict.obstacles))
  assert.match(JSON.stringify(entry.volumes[0]?.spec.nodeAffinity), /"values":\["quay-1"\]/)
})

test('disks become as large as the smallest volume, when one had not grown yet', () => {
  const entry = structuredClone(sample)
  entry.body = { ...entry.body, nodes: { ...entry.body.nodes, disk: { ...entry.body.nodes.disk, size: '96Gi' } } }
  const { verdict, entry: made } = judge(entry, scene(), hosts)
  assert.equal(verdict.verdict, 'ready')
  assert.match(verdict.notes.join(' '), /"data-hot" has 64 GiB, and 96 GiB are asked for/)
  assert.equal(made.body.nodes.disk.size, '64Gi')
})

test('a folder of a host is the same data however its path is written', () => {
  for (const path of ['/srv/volumes/one/', '/srv//volumes/./one', '/srv/volumes/two/../one'])
    assert.equal(dataOf({ spec: { hostPath: { path } } }), dataOf({ spec: { hostPath: { path: '/srv/volumes/one' } } }))
})

test('a volume of OpenStack is the same before and after it was migrated to its driver', () => {
  const inTree = dataOf({ spec: { cinder: { volumeID: '5f0c' }, capacity: {} } })
  assert.equal(inTree, dataOf({ spec: { csi: { driver: 'cinder.csi.openstack.org', volumeHandle: '5f0c' } } }))
})

const file = { document: regionContent(), digest: 'a'.repeat(64), origin: { by: 'digest' as const } }
const facts: RegionFacts = {
  ...{ id: 'harbour-1', cluster: 'another', sequence: 0, lastImport: undefined },
  project: () => undefined,
}
const usual: ImportOptions = { oldClusterIsGone: true, adoptRegion: false, olderFile: false }
const before = { digest: 'b'.repeat(64), createdAt: '2026-02-01T00:00:00.000Z' }
const same = file.document.kubernetes.cluster as string

const whole: { name: string; facts?: Partial<RegionFacts>; options?: Partial<ImportOptions>; codes: string[] }[] = [
  { name: 'of a cluster that is gone is taken', codes: [] },
  { name: 'is refused while the old cluster may be alive', options: { oldClusterIsGone: false }, codes: ['old-cluster'] },
  {
    name: 'is refused where this cluster is not known',
    facts: { cluster: undefined },
    options: { oldClusterIsGone: false },
    codes: ['old-cluster'],
  },
  { name: 'of the same cluster is taken', facts: { cluster: same }, options: { oldClusterIsGone: false }, codes: [] },
  { name: 'of another region is refused', facts: { id: 'pier-2' }, codes: ['other-region'] },
  { name: 'of another region is taken when told so', facts: { id: 'pier-2' }, options: { adoptRegion: true }, codes: [] },
  { name: 'is refused that is older than the ledger', facts: { cluster: same, sequence: 118 }, codes: ['older-file'] },
  { name: 'is refused that is older than the last one', facts: { lastImport: before }, codes: ['older-file'] },
  { name: 'that is older is taken when told so', facts: { lastImport: before }, options: { olderFile: true }, codes: [] },
  { name: 'is taken again', facts: { cluster: same, sequence: 200, lastImport: { ...before, digest: file.digest } }, codes: [] },
]
for (const { name, facts: given, options, codes } of whole)
  test(`a region file ${name}`, () => {
    const { refusals } = importPlan(file, { ...facts, ...given }, [], { ...usual, ...options })
    assert.deepEqual(
      refusals.map(({ code }) => code),
      codes,
    )
  })

test('a project that stands otherwise stays, and the plan says so', () => {
  const [spec] = file.document.projects
  assert.ok(spec)
  const verdictWith = (standing: typeof spec | undefined) =>
    importPlan(file, { ...facts, project: () => standing }, [], usual).projects[0]?.verdict
  assert.deepEqual([undefined, spec, { ...spec, displayName: 'Pier' }].map(verdictWith), ['ready', 'unchanged', 'differs'])
})

test('of ten thousand databases the plan shows a thousand, those that are refused first, and the count of all', async () => {
  const databases = Array.from({ length: 10_000 }, (_, index) => {
    const entry = exportedDatabase('harbour', `tide-${index}`)
    return index < 9_990 ? entry : { ...entry, volumes: [] }
  })
  const document = regionContent(databases)
  const judged = await judgeAll({ ...file, document }, scene(), hosts)
  const verdicts = judged.map(({ verdict }) => verdict)
  const shown = shownPlan({ ...file, document }, importPlan({ ...file, document }, facts, verdicts, usual))
  assert.deepEqual(shown.counts, { ready: 9_990, 'volumes-found': 0, unchanged: 0, refused: 10 })
  assert.deepEqual([shown.databases.length, shown.more.databases], [1_000, 9_000])
  assert.ok(shown.databases.slice(0, 10).every(({ verdict }) => verdict === 'refused'))
})

test('the quota of a project is taken by the databases of the file one after the other, beside what is here, for ten thousand too', async () => {
  const databases = Array.from({ length: 10_000 }, (_, index) => exportedDatabase('harbour', `tide-${index}`))
  const judged = await judgeAll({ ...file, document: regionContent(databases) }, scene(), hosts)
  const [project] = file.document.projects
  assert.ok(project)
  const gib = 2n ** 30n
  const ofOne = 3n * (64n + 64n)
  const kept = { databases: 1, volumes: 3, bytes: ofOne * gib }
  const storage = `${ofOne * 5_002n}Gi`
  const refusedOf = async (comesBack: string | undefined) => {
    const quotas = await withinQuotas(judged, {
      project: () => ({ ...project, quota: { storage } }),
      databases: () => [exportedDatabase('harbour', 'stands').body],
      retained: () => kept,
      takenBack: ({ body }) => (body.id === comesBack ? kept : undefined),
      heapDumpVolume: site.heapDumpVolume,
    })
    assert.equal(quotas.length, judged.length)
    return quotas.filter(({ verdict }) => verdict.verdict === 'refused').map(({ verdict }) => verdict)
  }
  const refused = await refusedOf(undefined)
  assert.deepEqual([refused.length, refused[0]?.database, refused[0]?.obstacles[0]?.code], [5_000, 'tide-5000', 'quota-exceeded'])
  assert.match(refused[0]?.obstacles[0]?.message ?? '', /384 GiB of storage wanted, .* 384 GiB in 3 volumes of 1 deleted database kept/)
  // What its volumes hold here already does not count twice.
  assert.equal((await refusedOf('tide-7')).length, 4_999)
})

test('what an operation keeps of a file is in small pieces, each of which can be read alone', async () => {
  const items = Array.from({ length: 400 }, (_, index) => ({
    kind: 'database' as const,
    entry: exportedDatabase('harbour', `tide-${index}`),
    obstacles: [],
  }))
  const pieces = await packItems(items, { maxBytes: 2_000, maxPieces: 400 })
  assert.ok(pieces.length > 1)
  assert.ok(pieces.every(({ byteLength }) => byteLength <= 2_000))
  assert.deepEqual((await Promise.all(pieces.map(unpackItems))).flat(), items)
  await assert.rejects(packItems(items, { maxBytes: 2_000, maxPieces: 1 }), /larger than what an operation keeps/)
})
