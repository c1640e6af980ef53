import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { type MakerParts, RegionMaker } from '../../../agent/export/maker.ts'
import { createAcceptedState } from '../../../agent/operations/accepted.ts'
import { readRegionFile } from '../../../agent/region-file/reading.ts'
import { writeRegionFile } from '../../../agent/region-file/writing.ts'
import { desiredCrateDB } from '../../../agent/resources/cratedb.ts'
import { desiredProject, projectSpec } from '../../../agent/resources/project.ts'
import type { RetainedDatabaseSpec } from '../../../agent/resources/retained-database.ts'
import { Problem } from '../../../shared/errors.ts'
import type { ClusterRequest } from '../../../shared/kubernetes/connection.ts'
import type { KubernetesObject } from '../../../shared/kubernetes/objects.ts'
import { cachesInHand } from '../caches-in-hand.ts'
import { csiVolume } from '../region-file/region-sample.ts'
import { assertGolden } from '../resources/golden.ts'
import { nodes, options, stored } from '../resources/samples.ts'

const hand = await cachesInHand('skerry')
after(() => hand.stop())

const backups = { aws: { bucket: 'harbour-snapshots', region: 'eu-north-1', cron: '17 * * * *' } }
const crateDb = (id: string, fields: object = {}): KubernetesObject =>
  desiredCrateDB({ kind: 'database', project: 'harbour', database: id }, stored({ id, ...fields }), options)

/** A CrateDB of another tool: in a pool of hosts, which the API cannot say. */
function foreign(): KubernetesObject {
  const object = crateDb('lock-gate', { nodes: nodes({ count: 1 }) })
  object.spec.nodes.data[0].nodepool = 'shared'
  const progress = '{"started":"2026-01-31T12:00:00","success":true}'
  object.metadata.annotations = {
    ...object.metadata.annotations,
    team: 'tides',
    'operator.cloud.crate.io/last': '{}',
    'operator.cloud.crate.io/cluster_create': progress,
  }
  return object
}

const released = (database: string, node: number): KubernetesObject => ({
  ...csiVolume('harbour', database, node, { name: `kept-${database}-${node}` }),
  status: { phase: 'Released' },
})

const record: RetainedDatabaseSpec = {
  project: 'harbour',
  database: 'tidal-gauge',
  uid: '5d0b0c9e-6f4e-4f0f-9d0b-3d1f6d7c1f10',
  origin: 'operation',
  deletedAt: '2026-01-30T12:00:00Z',
  deletedBy: 'token:cloud',
  operation: '0000000041',
  expiresAt: '2026-02-06T12:00:00Z',
  wanted: stored(),
  volumes: [
    { volume: 'kept-tidal-gauge-0', uid: 'uid-of-kept-tidal-gauge-0', claim: 'project-harbour/data0-crate-data-hot-tidal-gauge-0' },
    { volume: 'kept-tidal-gauge-1', uid: 'that-of-an-earlier-volume', claim: 'project-harbour/data0-crate-data-hot-tidal-gauge-1' },
  ],
  secrets: ['user-password-tidal-gauge-0'],
}

for (const object of [
  desiredProject(projectSpec.parse({ id: 'harbour', quota: { cpu: 24 }, keepDeletedDays: 30 })),
  crateDb('tidal-gauge', { backups }),
  foreign(),
  { apiVersion: 'skerry.dev/v1', kind: 'RetainedDatabase', metadata: { name: 'tidal-gauge.0f3a9c1e', namespace: 'skerry' }, spec: record },
])
  await hand.set(object)

const unlabelled = csiVolume('harbour', 'tidal-gauge', 2)
delete unlabelled.metadata.labels
const elsewhere = csiVolume('harbour', 'tidal-gauge', 7, { name: 'of-another-namespace' })
elsewhere.spec.claimRef.namespace = 'monitoring'
const ofHeapDumps = csiVolume('harbour', 'tidal-gauge', 0, { name: 'of-heap-dumps' })
ofHeapDumps.spec.claimRef.name = 'debug-crate-data-hot-tidal-gauge-0'

/** As a list has them, in the order of their names. */
const volumes = [
  csiVolume('harbour', 'tidal-gauge', 1),
  csiVolume('harbour', 'tidal-gauge', 0),
  { ...csiVolume('harbour', 'tidal-gauge', 0, { name: 'meant-for-the-same-claim' }), status: { phase: 'Available' } },
  unlabelled,
  csiVolume('harbour', 'lock-gate', 0),
  released('tidal-gauge', 0),
  released('tidal-gauge', 1),
  elsewhere,
  ofHeapDumps,
]

const requests: ClusterRequest[] = []
/** The first answers to a list of volumes; then there are pages of two. */
let refusals: Error[] = []

const cluster = {
  // biome-ignore lint/suspicious/noExplicitAny: as the interface has it
  async request(request: ClusterRequest): Promise<any> {
    requests.push(request)
    if (request.path.endsWith('/namespaces/kube-system'))
      return { metadata: { name: 'kube-system', uid: '7b0c0c9e-6f4e-4f0f-9d0b-3d1f6d7c1f10' } }
    const refusal = refusals.shift()
    if (refusal) throw refusal
    const from = Number(request.query?.continue ?? 0)
    const isLast = from + 2 >= volumes.length
    return { metadata: isLast ? {} : { continue: String(from + 2) }, items: structuredClone(volumes.slice(from, from + 2)) }
  },
}

function makerWith(given: Partial<MakerParts> = {}): RegionMaker {
  const noJournal = { unended: () => [], unendedTargets: () => [], lastSucceeded: () => undefined }
  const { projects, databases, operations, ledger, retained } = hand.caches
  return new RegionMaker({
    config: { region: { id: 'harbour-1', name: 'Harbour' } },
    caches: { projects, databases, operations, ledger, retained },
    accepted: createAcceptedState({ journal: noJournal, caches: hand.caches }),
    journal: { head: () => ({ sequence: 117, hash: `sha256:${'4c'.repeat(32)}` }) },
    kubernetes: { current: 'v1.34.1' },
    clocks: {
      read: () => ({ cloud: { offsetMs: 12, uncertaintyMs: 30 }, apiServer: undefined, nodes: new Map(), steps: 0, lastStep: undefined }),
    },
    stack: {
      workloads: [],
      components: () => ({
        'crate-operator': { state: 'current', have: '2.64.0', want: '2.64.0', namespace: 'crate-operator', ready: true },
        loki: { state: 'missing', want: '6.0.0' },
      }),
    },
    cluster,
    clock: { now: () => Date.UTC(2026, 0, 31, 12) },
    ...given,
  })
}

const never = new AbortController().signal
const documentOf = ({ bytes }: { bytes: Buffer }) => JSON.parse(bytes.toString()).document

test('the file of a region says everything that it can be made again from, and a reader takes it', async () => {
  const written = await writeRegionFile((await makerWith().make(never)).document)
  const document = documentOf(written)
  assertGolden('region-file', [{ ...document, skerry: { version: 'of the agent' } }], import.meta.url)
  const read = await readRegionFile(written.bytes)
  assert.ok(read.ok, JSON.stringify(read))
  assert.equal(read.digest, written.digest)
})

test('the text of a region file is canonical JSON, whoever makes it canonical', async () => {
  const { default: canonicalize } = await import('canonicalize')
  const { bytes } = await writeRegionFile((await makerWith().make(never)).document)
  assert.ok(bytes.toString().startsWith(`{"document":${canonicalize(documentOf({ bytes }))},"digest":`))
})

test('a region that is the same has the same content later, although its file differs', async () => {
  const one = await writeRegionFile((await makerWith().make(never)).document)
  const later = makerWith({
    clock: { now: () => Date.UTC(2026, 1, 1) },
    journal: { head: () => ({ sequence: 118, hash: `sha256:${'5d'.repeat(32)}` }) },
  })
  const other = await writeRegionFile((await later.make(never)).document)
  assert.notEqual(other.digest, one.digest)
  assert.equal(other.content, one.content)
  const renamed = await writeRegionFile(
    (await makerWith({ config: { region: { id: 'harbour-1', name: 'The harbour' } } }).make(never)).document,
  )
  assert.notEqual(renamed.content, one.content)
})

test('volumes are read page by page, and from the beginning when the API server has forgotten the list', async () => {
  requests.length = 0
  refusals = [new Problem('gone', 'The list is too old.')]
  const document = documentOf(await writeRegionFile((await makerWith().make(never)).document))
  assert.equal(document.databases.length, 2)
  const pages = requests.filter(({ path }) => path.endsWith('/persistentvolumes')).map(({ query }) => query?.continue)
  assert.deepEqual(pages, [undefined, undefined, '2', '4', '6', '8'])
})

test('what no reader would take is left out and named, so that it spoils nothing else', async (t) => {
  const long = `${'tidal-gauge-of-the-outer-harbour-'.repeat(2)}1`
  const bad: KubernetesObject[] = [
    // Another tool may call a database as the API would not, and that is no reason to lose it.
    { ...crateDb('one'), metadata: { name: long, namespace: 'project-harbour' } },
    { ...desiredProject(projectSpec.parse({ id: 'x' })), metadata: { name: 'not.an.id' } },
    {
      apiVersion: 'skerry.dev/v1',
      kind: 'RetainedDatabase',
      metadata: { name: 'by-hand', namespace: 'skerry' },
      spec: { project: 'harbour', volumes: [], secrets: [] },
    },
    {
      apiVersion: 'skerry.dev/v1',
      kind: 'RetainedDatabase',
      metadata: { name: 'tidal-gauge.ffffffff', namespace: 'skerry' },
      spec: record,
    },
  ]
  for (const object of bad) await hand.set(object)
  const odd = csiVolume('harbour', 'tidal-gauge', 9, { name: 'odd' })
  odd.spec.accessModes = []
  volumes.push(odd)
  t.after(async () => {
    volumes.pop()
    for (const object of bad) await hand.remove(object)
  })
  const written = await writeRegionFile((await makerWith().make(never)).document)
  const read = await readRegionFile(written.bytes)
  assert.ok(read.ok, JSON.stringify(read))
  assert.deepEqual(
    read.document.leftOut?.map(({ what }) => what),
    ['volume odd', 'projects not.an.id', 'retained by-hand'],
  )
  assert.match(read.document.leftOut?.[2]?.why ?? '', /^record\/database is required/)
  assert.deepEqual(read.document.databases.map(({ body: { id } }) => id).sort(), ['lock-gate', long, 'tidal-gauge'].sort())
  const volumesOf = (id: string) => read.document.retained.find((each) => each.id === id)?.volumes.length
  assert.deepEqual([volumesOf('tidal-gauge.0f3a9c1e'), volumesOf('tidal-gauge.ffffffff')], [1, 0], 'a volume belongs to one record')
})

test('databases whose project somebody has deleted are in the file, with a project without limits', async (t) => {
  const project = desiredProject(projectSpec.parse({ id: 'harbour', quota: { cpu: 24 }, keepDeletedDays: 30 }))
  await hand.remove(project)
  t.after(() => hand.set(project))
  const document = documentOf(await writeRegionFile((await makerWith().make(never)).document))
  assert.deepEqual(
    document.projects.map(({ id, quota }: { id: string; quota?: object }) => [id, quota]),
    [['harbour', undefined]],
  )
  assert.equal(document.databases.length, 2)
})

test('no file is made while something cannot be followed: objects of a CRD that was deleted look as if they were gone', async () => {
  const troubled = { ...hand.caches, projects: Object.create(hand.caches.projects, { trouble: { value: 'The CRD is missing.' } }) }
  await assert.rejects(makerWith({ caches: troubled }).make(never), /projects of the cluster cannot be followed: The CRD is missing\./)
})

test('no file is made while a part of the cluster has not been read: what is missing would look as if it were gone', async () => {
  const unread = { ...hand.caches, retained: Object.create(hand.caches.retained, { synced: { value: false } }) }
  await assert.rejects(makerWith({ caches: unread }).make(never), /have not been read yet/)
})
