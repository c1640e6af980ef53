import assert from 'node:assert/strict'
import { test } from 'node:test'
import { desiredCrateDB, desiredDatabase, readDatabase } from '../../../agent/resources/cratedb.ts'
import { databaseSpec, splitSecrets } from '../../../agent/resources/database.ts'
import { changedSecrets, readSecrets } from '../../../agent/resources/database-secrets.ts'
import type { KubernetesObject } from '../../../shared/kubernetes/objects.ts'
import { fc } from '../../shared/property.ts'
import { assertGolden } from './golden.ts'
import { allSecrets, anyStored, everything, options, stored, target } from './samples.ts'

test('the objects of the smallest database', () => {
  assertGolden('database-smallest', desiredDatabase(target, stored(), allSecrets, options))
})

test('the objects of a database with everything', () => {
  const { spec, secrets } = splitSecrets(databaseSpec.parse(everything))
  assertGolden('database-everything', desiredDatabase(target, spec, secrets, { imageRegistry: 'mirror.harbour.example/crate' }))
})

test('the objects of a suspended database with backups on Azure', () => {
  const backups = { azureBlob: { accountName: 'harbour', container: 'snapshots', region: 'northeurope', cron: '0 3 * * *' } }
  assertGolden('database-azure-suspended', desiredDatabase(target, stored({ backups, suspended: true }), allSecrets, options))
})

test('what a CrateDB says is what it was made from', () => {
  fc.assert(fc.property(anyStored, (spec) => assert.deepEqual(readDatabase(desiredCrateDB(target, spec, options)), spec)))
})

test('the CrateDB of a request holds no undefined value, which server-side apply would not see', () => {
  fc.assert(
    fc.property(anyStored, (spec) => {
      const cratedb = desiredCrateDB(target, spec, options)
      assert.deepStrictEqual(JSON.parse(JSON.stringify(cratedb)), cratedb)
    }),
  )
})

test('reads the version that is really there after an upgrade was rolled back', () => {
  const cratedb = desiredCrateDB(target, stored({ version: '5.10.2' }), options)
  cratedb.spec.cluster.version = '5.10.1'
  assert.equal(readDatabase(cratedb).version, '5.10.1')
})

test('takes an absent or empty allow list for what it is: open to everyone', () => {
  const cratedb = desiredCrateDB(target, stored(), options)
  cratedb.spec.cluster.allowedCIDRs = []
  assert.deepEqual(readDatabase(cratedb).allowedCIDRs, ['0.0.0.0/0', '::/0'])
  delete cratedb.spec.cluster.allowedCIDRs
  assert.deepEqual(readDatabase(cratedb).allowedCIDRs, ['0.0.0.0/0', '::/0'])
})

test('a database that was suspended with kubectl keeps the node count that it had', () => {
  const cratedb = desiredCrateDB(target, stored(), options)
  cratedb.spec.nodes.data[0].replicas = 0
  const { suspended, nodes } = readDatabase(cratedb)
  assert.deepEqual({ suspended, count: nodes.count }, { suspended: true, count: 3 })
})

test('labels that somebody else put on the object are not taken for the request', () => {
  const cratedb = desiredCrateDB(target, stored({ labels: { a: 'b' } }), options)
  cratedb.metadata.labels = { ...cratedb.metadata.labels, theirs: 'x' }
  assert.deepEqual(readDatabase(cratedb).labels, { a: 'b' })
})

test("reads a CrateDB of somebody else's, with the operator's spelling of sizes and its deprecated fields", () => {
  const resources = { cpus: 2, memory: '4GiB', heapRatio: 0.5, disk: { count: 1, size: '128GiB', storageClass: 'x' } }
  const foreign: KubernetesObject = {
    apiVersion: 'cloud.crate.io/v1',
    kind: 'CrateDB',
    metadata: { name: 'a', annotations: { 'skerry.dev/database': '{broken' } },
    spec: { cluster: { name: 'a', version: '5.9.0', imageRegistry: 'crate' }, nodes: { data: [{ name: 'hot', replicas: 2, resources }] } },
  }
  assert.deepEqual(readDatabase(foreign), {
    id: 'a',
    version: '5.9.0',
    nodes: { count: 2, cpu: 2, memory: '4Gi', heapRatio: 0.5, disk: { count: 1, size: '128Gi', storageClass: 'x' } },
    users: [],
    allowedCIDRs: ['0.0.0.0/0', '::/0'],
    settings: {},
    labels: {},
    annotations: {},
    exposure: { type: 'loadbalancer' },
    suspended: false,
    deletionProtection: false,
    retainVolumes: true,
  })
})

test('an object without anything in it is read without an error', () => {
  for (const spec of [undefined, {}, { cluster: {}, nodes: {}, users: 'x' }, { nodes: { data: [], master: {} }, backups: { aws: {} } }]) {
    assert.doesNotThrow(() => readDatabase({ apiVersion: 'cloud.crate.io/v1', kind: 'CrateDB', metadata: { name: 'a' }, spec }))
  }
})

test('a missing value is an error that names its place and nothing else', () => {
  const { spec, secrets } = splitSecrets(databaseSpec.parse(everything))
  const { 'users.1.password': _, ...others } = secrets
  assert.throws(() => desiredDatabase(target, spec, others, options), {
    name: 'TypeError',
    message: 'the secret users.1.password is missing',
  })
})

test('values come back from the Secrets as they were given, so that the same request changes nothing', () => {
  const { spec, secrets } = splitSecrets(databaseSpec.parse(everything))
  const present = readSecrets(target, spec, desiredDatabase(target, spec, secrets, options))
  assert.deepEqual(present, secrets)
  assert.deepEqual(changedSecrets(secrets, present), [])
  assert.deepEqual(changedSecrets({ ...secrets, 'users.0.password': 'another password' }, present), ['users.0.password'])
  assert.deepEqual(readSecrets(target, spec, []), {})
})
