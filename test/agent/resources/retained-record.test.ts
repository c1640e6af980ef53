import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  recordedCrateDB,
  retainedDatabase,
  retainedId,
  retainedSecret,
  retainedVolumeOf,
  secretsIn,
  secretsNamedBy,
} from '../../../agent/resources/retained-record.ts'
import type { KubernetesObject } from '../../../shared/kubernetes/objects.ts'
import { crateDB } from '../region/scene.ts'

const target = { kind: 'database' as const, project: 'harbour', database: 'tide' }
const volumes = [{ volume: 'pv-1', uid: 'u-1', claim: 'project-harbour/data0-crate-data-hot-tide-0' }]
const deletion = {
  origin: 'operation' as const,
  deletedAt: '2026-11-30T12:00:00.000Z',
  deletedBy: 'token:cloud',
  operation: 'op-0000000007',
  uid: '3f9a01bc-1111-2222-3333-444455556666',
}

const standing = (): KubernetesObject => {
  const database: KubernetesObject = crateDB('project-harbour', 'tide')
  database.metadata.annotations = {
    ...database.metadata.annotations,
    'example.org/team': 'tides',
    'operator.cloud.crate.io/last': 'what the operator noted',
    'kubectl.kubernetes.io/last-applied-configuration': '{}',
  }
  database.spec.cluster.restoreSnapshot = { snapshot: 'of a Secret that is gone' }
  database.spec.backups = {
    aws: {
      accessKeyId: { secretKeyRef: { name: 'their-keys', key: 'id' } },
      bucket: { secretKeyRef: { name: 'their-keys', key: 'bucket' } },
    },
  }
  return database
}

test('a record has the CrateDB as it stood, without what described only the object that is gone', () => {
  const cratedb = standing()
  const record = retainedDatabase('skerry', target, { cratedb, volumes, secrets: ['b', 'a'] }, { ...deletion, keepDays: 7 })
  assert.deepEqual(record.metadata.labels, {
    'app.kubernetes.io/managed-by': 'skerry',
    'skerry.dev/project': 'harbour',
    'skerry.dev/database': 'tide',
  })
  const { spec } = record
  assert.equal(spec.expiresAt, '2026-12-07T12:00:00.000Z')
  assert.deepEqual(spec.secrets, ['a', 'b'])
  assert.equal(spec.wanted?.version, '5.10.1')
  assert.equal(spec.cratedb?.annotations['example.org/team'], 'tides')
  assert.deepEqual(
    Object.keys(spec.cratedb?.annotations ?? {}).filter((key) => /operator|kubectl/.test(key)),
    [],
  )
  const again = recordedCrateDB(record)
  const { restoreSnapshot: _, ...cluster } = cratedb.spec.cluster
  assert.deepEqual(again?.spec, { ...cratedb.spec, cluster })
  assert.deepEqual([again?.metadata.namespace, again?.metadata.name], ['project-harbour', 'tide'])
})

test('nothing expires that nobody decided to let go, and zero days expire at once', () => {
  const without = retainedDatabase('skerry', target, { volumes, secrets: [] }, deletion)
  assert.equal(without.spec.expiresAt, undefined)
  assert.equal(without.spec.wanted, undefined)
  const none = retainedDatabase('skerry', target, { volumes, secrets: [] }, { ...deletion, keepDays: 0 })
  assert.equal(none.spec.expiresAt, deletion.deletedAt)
})

test('the id is that of the CrateDB, or of the volumes in any order', () => {
  const uid = 'u'
  assert.match(retainedId('tide', { uid, volumes }), /^tide\.[0-9a-f]{8}$/)
  assert.equal(retainedId('tide', { uid, volumes }), retainedId('tide', { uid, volumes: [] }))
  const [one, two] = [{ uid: 'a' }, { uid: 'b' }]
  assert.equal(retainedId('tide', { volumes: [one, two] }), retainedId('tide', { volumes: [two, one] }))
  assert.notEqual(retainedId('tide', { volumes: [one] }), retainedId('tide', { volumes: [one, two] }))
})

test('Secrets come back as they were, and one that nobody can read does not stand in the way of the others', () => {
  const record = retainedDatabase('skerry', target, { volumes, secrets: [] }, deletion)
  const labels = { 'skerry.dev/database': 'tide' }
  const metadata = { name: 'user-password-tide-0', namespace: 'project-harbour', labels, uid: 'gone', annotations: { note: 'gone' } }
  const secret = { apiVersion: 'v1', kind: 'Secret', metadata, type: 'Opaque', data: { password: 'czNjcmV0' } }
  const kept = retainedSecret({ ...record, metadata: { ...record.metadata, uid: 'r-1' } }, [secret])
  assert.deepEqual(kept.metadata.ownerReferences, [
    { apiVersion: 'skerry.dev/v1', kind: 'RetainedDatabase', name: record.metadata.name, uid: 'r-1' },
  ])
  assert.ok(!JSON.stringify(kept.metadata).includes('czNjcmV0'))
  const back = { ...secret, metadata: { name: 'user-password-tide-0', namespace: 'project-harbour', labels } }
  assert.deepEqual(secretsIn({ ...kept, data: { ...kept.data, broken: 'bm8ganNvbg==' } }, 'harbour'), [back])
})

test('a volume is named with what finds its disk again', () => {
  const volume = (source: object) => ({
    apiVersion: 'v1',
    kind: 'PersistentVolume',
    metadata: { name: 'pv-1', uid: 'u-1' },
    spec: { capacity: { storage: '8Gi' }, storageClassName: 'crate-premium', ...source },
  })
  for (const source of [
    { csi: { driver: 'd', volumeHandle: 'disk-7' } },
    { cinder: { volumeID: 'disk-7' } },
    { hostPath: { path: 'disk-7' } },
    { local: { path: 'disk-7' } },
  ]) {
    assert.deepEqual(retainedVolumeOf(volume(source), 'n/c'), {
      volume: 'pv-1',
      uid: 'u-1',
      claim: 'n/c',
      capacity: '8Gi',
      storageClass: 'crate-premium',
      handle: 'disk-7',
    })
  }
})

test('the Secrets that a CrateDB of another tool refers to are known', () => {
  assert.ok(secretsNamedBy(standing()).includes('their-keys'))
})
