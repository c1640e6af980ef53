import assert from 'node:assert/strict'
import { test } from 'node:test'
import { foundVolumeOf, generationsOf } from '../../../agent/resources/found-volumes.ts'
import type { KubernetesObject } from '../../../shared/kubernetes/objects.ts'

const target = { kind: 'database' as const, project: 'harbour', database: 'tide' }
const nodes = (count: number) => ({ count, disk: { count: 1, size: '8Gi', storageClass: 'crate-premium' } })
const shape = (count: number) => JSON.stringify({ version: '5.10.1', nodes: nodes(count) })

type Given = { name?: string; claim?: string; at?: string; phase?: string; shape?: string; metadata?: object; policy?: string }

function volume(given: Given = {}): KubernetesObject {
  const { claim = 'data0-crate-data-hot-tide-0', at = '2026-11-30T10:00:00Z', phase = 'Released', policy = 'Retain' } = given
  const name = given.name ?? `${claim}@${at}`
  return {
    apiVersion: 'v1',
    kind: 'PersistentVolume',
    metadata: {
      name,
      uid: name,
      creationTimestamp: at,
      labels: { 'skerry.dev/project': 'harbour', 'skerry.dev/database': 'tide' },
      annotations: { 'skerry.dev/database-shape': given.shape ?? shape(2) },
      ...given.metadata,
    },
    spec: {
      capacity: { storage: '8Gi' },
      claimRef: { namespace: 'project-harbour', name: claim, uid: 'of the claim' },
      persistentVolumeReclaimPolicy: policy,
    },
    status: { phase },
  }
}

const labels = (more: object) => ({ labels: { 'skerry.dev/project': 'harbour', 'skerry.dev/database': 'tide', ...more } })
const cases: { name: string; given: Given; found: boolean }[] = [
  { name: 'released', given: {}, found: true },
  { name: 'reserved for a claim that does not exist yet', given: { phase: 'Available' }, found: true },
  { name: 'in use', given: { phase: 'Bound' }, found: false },
  { name: 'that its storage failed to delete', given: { phase: 'Failed', policy: 'Delete' }, found: false },
  { name: 'that its storage is about to delete', given: { policy: 'Delete' }, found: false },
  { name: 'that is being deleted', given: { metadata: { ...labels({}), deletionTimestamp: '2026-11-30T10:00:00Z' } }, found: false },
  { name: 'without our labels', given: { metadata: { labels: {} } }, found: false },
  { name: 'with the label of another project', given: { metadata: labels({ 'skerry.dev/project': 'other' }) }, found: false },
  { name: 'with the label of another database', given: { metadata: labels({ 'skerry.dev/database': 'ebb' }) }, found: false },
  { name: 'for heap dumps', given: { claim: 'debug-crate-data-hot-tide-0' }, found: false },
  {
    name: 'that an operation was asked to let go',
    given: { metadata: { ...labels({}), annotations: { 'skerry.dev/let-go-by': 'op-0000000001' } } },
    found: false,
  },
]
for (const { name, given, found } of cases) {
  test(`a volume ${name} is ${found ? '' : 'not '}one that holds the data of a deleted database`, () => {
    assert.equal(foundVolumeOf(volume(given)) !== undefined, found)
  })
}

const [first, second] = ['data0-crate-data-hot-tide-0', 'data0-crate-data-hot-tide-1']
const generations = (...given: Given[]) =>
  generationsOf(
    target,
    given.flatMap((each) => foundVolumeOf(volume(each)) ?? []),
  ).map(({ volumes }) => volumes.map(({ volume }) => volume))

test('volumes of one database are one deleted database', () => {
  assert.deepEqual(generations({ claim: second }, { claim: first }), [[`${first}@2026-11-30T10:00:00Z`, `${second}@2026-11-30T10:00:00Z`]])
})

test('a claim that had several volumes was that of several databases, the newest first', () => {
  const [old, late] = ['2026-01-01T00:00:00Z', '2026-02-01T00:00:00Z']
  assert.deepEqual(
    generations({ claim: first, at: late }, { claim: second, at: old }, { claim: first, at: old }, { claim: second, at: late }),
    [late, old].map((at) => [`${first}@${at}`, `${second}@${at}`]),
  )
  // One of the newer database is lost: it is not made up for with an older one.
  assert.deepEqual(generations({ claim: first, at: late }, { claim: second, at: old }, { claim: first, at: old }), [
    [`${first}@${late}`],
    [`${first}@${old}`, `${second}@${old}`],
  ])
})

test('databases of other shapes are never mixed', () => {
  const [old, late] = ['2026-01-01T00:00:00Z', '2026-02-01T00:00:00Z']
  const given = [
    { claim: first, at: old, shape: shape(1) },
    { claim: second, at: late, shape: shape(2) },
    { claim: first, at: late, shape: shape(2) },
  ]
  assert.deepEqual(generations(...given), [[`${first}@${late}`, `${second}@${late}`], [`${first}@${old}`]])
})

test('a volume of a node or disk that was removed is not part of the database', () => {
  const master = 'data0-crate-master-tide-0'
  const others = ['data0-crate-data-hot-tide-2', 'data1-crate-data-hot-tide-0', master, 'data0-crate-data-cold-tide-7']
  assert.deepEqual(generations({ claim: first }, ...others.map((claim) => ({ claim }))), [
    // A group that Skerry does not make may have any number of nodes.
    ['data0-crate-data-cold-tide-7@2026-11-30T10:00:00Z', `${first}@2026-11-30T10:00:00Z`],
  ])
  const withMasters = JSON.stringify({ version: '5.10.1', nodes: nodes(1), master: nodes(3) })
  assert.equal(generations({ claim: first, shape: withMasters }, { claim: master, shape: withMasters })[0]?.length, 2)
})

test('a shape that is nonsense keeps no volume from being had back', () => {
  for (const text of ['{', 'null', '{"nodes":{"count":-1}}', `{"version":"${'5'.repeat(100_000)}"}`])
    assert.deepEqual(generations({ name: 'a', shape: text }), [['a']])
})
