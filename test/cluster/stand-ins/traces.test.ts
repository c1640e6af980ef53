import assert from 'node:assert/strict'
import { test } from 'node:test'
import { diffOf } from './crate-operator/diff.ts'
import { essenceOf, progressKey } from './crate-operator/traces.ts'
import { formatBytes, parseQuantity } from './quantity.ts'

test('a handler of up to 63 characters has its id as the key, with dots', () => {
  assert.equal(
    progressKey('cluster_update/before_cluster_update/disable_cronjob'),
    'operator.cloud.crate.io/cluster_update.before_cluster_update.disable_cronjob',
  )
  const longest = `cluster_update/${'x'.repeat(48)}`
  assert.equal(progressKey(longest), `operator.cloud.crate.io/${longest.replace('/', '.')}`)
})

test('a longer id is cut to 63 characters and told from its like by the end', () => {
  const restore = 'cluster_restore/spec.cluster.restoreSnapshot'
  const keys = ['send_success_notification', 'restore_system_user_password'].map(
    (id) => progressKey(`${restore}/${id}`).split('/')[1] as string,
  )
  for (const key of keys) {
    assert.ok(key.length <= 63)
    assert.match(key, /^cluster_restore\.spec\.cluster\.restoreSnapshot\..*-[A-Za-z0-9.-]*[A-Za-z0-9]$/)
  }
  assert.notEqual(keys[0]?.slice(-6), keys[1]?.slice(-6))
})

test('what is compared is an object without status, system metadata and the annotations of tools', () => {
  const annotations = { mine: 'kept', 'operator.cloud.crate.io/last': '{}', 'kubectl.kubernetes.io/last-applied-configuration': '{}' }
  const object = {
    apiVersion: 'v1',
    kind: 'X',
    metadata: { name: 'x', uid: 'u', labels: {}, annotations },
    spec: { a: 1 },
    status: { b: 2 },
  }
  assert.deepEqual(essenceOf(object), { spec: { a: 1 }, metadata: { annotations: { mine: 'kept' } } })
})

test('a difference names fields of objects, and lists as a whole', () => {
  const old = { spec: { nodes: { data: [{ replicas: 2 }], master: { replicas: 3 } }, gone: 1 } }
  const next = { spec: { nodes: { data: [{ replicas: 3 }], master: { replicas: 5 } }, come: { a: 1 } } }
  assert.deepEqual(diffOf(old, next), [
    { operation: 'change', path: ['spec', 'nodes', 'data'], old: [{ replicas: 2 }], new: [{ replicas: 3 }] },
    { operation: 'change', path: ['spec', 'nodes', 'master', 'replicas'], old: 3, new: 5 },
    { operation: 'remove', path: ['spec', 'gone'], old: 1, new: undefined },
    { operation: 'add', path: ['spec', 'come'], old: undefined, new: { a: 1 } },
  ])
  assert.deepEqual(diffOf({ a: 1, b: 2 }, { b: 2, a: 1 }), [])
})

test('quantities are read with and without the B that the CrateDB resource allows', () => {
  assert.deepEqual(['500m', '2', '64GiB', '64Gi', '1G', 1.5].map(parseQuantity), [0.5, 2, 64 * 2 ** 30, 64 * 2 ** 30, 1e9, 1.5])
  assert.throws(() => parseQuantity('much'), RangeError)
  assert.deepEqual([64 * 2 ** 30, 1.5 * 2 ** 30, 1000].map(formatBytes), ['64Gi', '1536Mi', '1000'])
})
