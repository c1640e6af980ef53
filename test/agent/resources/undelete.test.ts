import assert from 'node:assert/strict'
import { test } from 'node:test'
import { desiredCrateDB } from '../../../agent/resources/cratedb.ts'
import { desiredSecrets } from '../../../agent/resources/database-secrets.ts'
import type { RetainedDatabase, RetainedDatabaseSpec } from '../../../agent/resources/retained-database.ts'
import { retainedVolumeOf } from '../../../agent/resources/retained-record.ts'
import { planUndelete, type UndeleteBody, undeleteBody } from '../../../agent/resources/undelete.ts'
import { missingHosts } from '../../../agent/resources/volume-host.ts'
import type { KubernetesObject } from '../../../shared/kubernetes/objects.ts'
import { allSecrets, everything, options, stored, target } from './samples.ts'

const database = target.database
const home = `project-${target.project}`

function volumeOf(claim: string, storage = '64Gi'): KubernetesObject {
  return {
    apiVersion: 'v1',
    kind: 'PersistentVolume',
    metadata: { name: `pv-${claim}`, uid: `uid-${claim}` },
    spec: {
      capacity: { storage },
      storageClassName: 'crate-premium',
      persistentVolumeReclaimPolicy: 'Retain',
      claimRef: { namespace: home, name: claim, uid: 'of the claim that is gone' },
    },
    status: { phase: 'Released' },
  }
}
const ofNodes = (group: string, count: number) =>
  Array.from({ length: count }, (_, node) => volumeOf(`data0-crate-${group}-${database}-${node}`))

function evidence(volumes: KubernetesObject[], spec: Partial<RetainedDatabaseSpec> = {}) {
  const record: RetainedDatabase = {
    apiVersion: 'skerry.dev/v1',
    kind: 'RetainedDatabase',
    metadata: { name: `${database}.00000001`, namespace: 'skerry' },
    spec: {
      project: target.project,
      database,
      origin: 'found',
      deletedAt: '2026-11-30T12:00:00Z',
      deletedBy: 'nobody knows',
      volumes: volumes.map((volume) => retainedVolumeOf(volume, `${home}/${volume.spec.claimRef.name}`)),
      secrets: [],
      ...spec,
    },
  }
  return { record, volumes, claims: [], secrets: record.spec.secrets }
}
const plan = (given: ReturnType<typeof evidence>, body?: object, startsEmpty = false) =>
  planUndelete(given, { startsEmpty, body: body && (undeleteBody.parse(body) as UndeleteBody) }, options)
const messages = ({ faults }: ReturnType<typeof plan>) => faults.map(({ path, message }) => `${path} ${message}`)
const compute = { cpu: 2, memory: '4Gi' }
const shape = { version: '5.10.1', nodes: { count: 3, disk: { count: 1, size: '64Gi', storageClass: 'crate-premium' } } }

test('of a database that was found, the volumes say the shape, and the request what they cannot say', () => {
  const found = evidence(ofNodes('data-hot', 3), { shape })
  assert.deepEqual(messages(plan(found)), ['/nodes is required, with cpu and memory: the volumes do not say them'])
  const { cratedb, used, faults, notes } = plan(found, { nodes: compute })
  assert.deepEqual(faults, [])
  assert.equal(used.length, 3)
  assert.equal(cratedb.spec.cluster.version, '5.10.1')
  assert.deepEqual(cratedb.spec.nodes.data[0].resources.limits, { cpu: 2, memory: '4Gi' })
  assert.deepEqual(cratedb.spec.users, [], 'they are in the data')
  assert.match(notes.join(' '), /Nobody outside the cluster can connect/)
})

test('without a shape on them, the names of the claims say nodes and disks, and the request the version', () => {
  const found = evidence([...ofNodes('data-hot', 2), ...ofNodes('master', 3)])
  assert.deepEqual(messages(plan(found)), [
    '/version is required: the volumes do not say it',
    '/nodes is required, with cpu and memory: the volumes do not say them',
    '/master is required, with cpu and memory: the volumes do not say them',
  ])
  const { cratedb, used } = plan(found, { version: '5.10.1', nodes: compute, master: compute })
  assert.equal(used.length, 5)
  assert.deepEqual([cratedb.spec.nodes.data[0].replicas, cratedb.spec.nodes.master.replicas], [2, 3])
})

test('volumes of a node group that the API does not make are refused, and not left out', () => {
  const [message] = messages(plan(evidence(ofNodes('data-warm', 1), { shape }), { nodes: compute }))
  assert.match(message ?? '', /of the node group warm, which the API does not make/)
})

test('what is known cannot be said otherwise', () => {
  const wanted = stored()
  const given = evidence(ofNodes('data-hot', 3), {
    wanted,
    secrets: desiredSecrets(target, wanted, allSecrets).map(({ metadata }) => metadata.name),
  })
  assert.deepEqual(messages(plan(given, { nodes: compute })), ['/nodes must be left out: it is known'])
  assert.deepEqual(messages(plan(given)), [])
})

test('what refers to a Secret that is gone is left out and named, since its pods would never start', () => {
  const spec = stored(everything)
  const cratedb = desiredCrateDB(target, spec, options)
  const { labels = {}, annotations = {} } = cratedb.metadata
  const names = desiredSecrets(target, spec, allSecrets).map(({ metadata }) => metadata.name)
  const volumes = [
    ...cratedb.spec.nodes.data.flatMap(({ name, replicas }: { name: string; replicas: number }) => ofNodes(`data-${name}`, replicas)),
    ...ofNodes('master', cratedb.spec.nodes.master?.replicas ?? 0),
  ]
  const recorded = { cratedb: { labels, annotations, spec: cratedb.spec } }
  const whole = plan(evidence(volumes, { ...recorded, secrets: names }))
  assert.deepEqual(whole.cratedb.spec.users, cratedb.spec.users)
  const bare = plan(evidence(volumes, { ...recorded, secrets: [] }))
  assert.deepEqual([bare.cratedb.spec.users, bare.cratedb.spec.backups, bare.cratedb.spec.cluster.ssl], [[], undefined, undefined])
  assert.match(bare.notes.join(' '), /these users keep their passwords.*no backups by the operator.*no TLS of its own/)
})

test('a volume that is there and may not be touched is no reason to start without it', () => {
  const volumes = ofNodes('data-hot', 3)
  const [first] = volumes
  if (first) first.spec.persistentVolumeReclaimPolicy = 'Delete'
  const found = plan(evidence(volumes, { shape }), { nodes: compute }, true)
  assert.match(messages(found).join(), /has the reclaim policy Delete: its storage may be deleting it/)
})

test('nothing comes back of a database none of whose volumes is there, whatever is asked for', () => {
  const given = { ...evidence(ofNodes('data-hot', 1), { shape: { ...shape, nodes: { ...shape.nodes, count: 1 } } }), volumes: [] }
  assert.match(messages(plan(given, { nodes: compute }, true)).join(), /no longer exists/)
})

const node = (name: string, labels: Record<string, string> = {}): KubernetesObject => ({
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { name, labels: { 'kubernetes.io/hostname': name, ...labels } },
})
const onTerms = (...nodeSelectorTerms: object[]) => ({ ...volumeOf('one'), spec: { nodeAffinity: { required: { nodeSelectorTerms } } } })
const term = (operator: string, key: string, values?: string[]) => ({ matchExpressions: [{ key, operator, ...(values && { values }) }] })
const hosts = [node('edge-1', { 'topology.example/zone': 'a', generation: '7' }), node('edge-3')]

const affinities: { name: string; volume: KubernetesObject; missing: string | undefined }[] = [
  { name: 'can be used anywhere', volume: volumeOf('one'), missing: undefined },
  { name: 'is on a host that is there', volume: onTerms(term('In', 'kubernetes.io/hostname', ['edge-1'])), missing: undefined },
  {
    name: 'is on a host that is gone',
    volume: onTerms(term('In', 'kubernetes.io/hostname', ['edge-2'])),
    missing: 'kubernetes.io/hostname in (edge-2)',
  },
  {
    name: 'is on one of two hosts',
    volume: onTerms(term('In', 'kubernetes.io/hostname', ['edge-2']), term('In', 'kubernetes.io/hostname', ['edge-3'])),
    missing: undefined,
  },
  { name: 'is in a zone that is there', volume: onTerms(term('Exists', 'topology.example/zone')), missing: undefined },
  {
    name: 'is in a zone that is gone',
    volume: onTerms(term('In', 'topology.example/zone', ['b'])),
    missing: 'topology.example/zone in (b)',
  },
  { name: 'needs a newer host', volume: onTerms(term('Gt', 'generation', ['7'])), missing: 'generation gt (7)' },
  { name: 'has a term that holds nowhere', volume: onTerms({}), missing: 'nowhere' },
  {
    name: 'names its host',
    volume: onTerms({ matchFields: [{ key: 'metadata.name', operator: 'In', values: ['edge-3'] }] }),
    missing: undefined,
  },
]
for (const { name, volume, missing } of affinities)
  test(`a volume that ${name}: ${missing === undefined ? 'a host takes it' : 'no host takes it'}`, () =>
    assert.equal(missingHosts(volume, hosts), missing))
