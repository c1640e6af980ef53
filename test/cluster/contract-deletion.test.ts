import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Body } from './client/http.ts'
import { causesOf, expectCode, expectFailure, startContract, until } from './contract.ts'

const contract = await startContract()
const { http } = contract

const newPath = async () => `/api/v1/namespaces/${await contract.namespace()}/configmaps`
const create = async (path: string, metadata: Body) => expectCode(await http.post(path, { metadata }), 201)
const isGone = async (url: string) => (await http.get(url)).status === 404
const ownedBy = (owner: Body, more = {}) => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  name: owner.metadata.name,
  uid: owner.metadata.uid,
  ...more,
})

test('a finalizer holds a deleted object until it is taken away', async () => {
  const path = await newPath()
  const created = await create(path, { name: 'tide', finalizers: ['example.com/hold'] })
  await using watch = await http.watch(`${path}?watch=true&resourceVersion=${created.metadata.resourceVersion}`)

  const deleted = expectCode(await http.delete(`${path}/tide`), 200)
  assert.match(deleted.metadata.deletionTimestamp, /Z$/)
  assert.equal(deleted.metadata.deletionGracePeriodSeconds, 0)
  assert.deepEqual(deleted.metadata.finalizers, ['example.com/hold'])
  assert.deepEqual(expectCode(await http.get(`${path}/tide`), 200), deleted)
  assert.equal((await watch.next()).type, 'MODIFIED')

  expectCode(await http.patch('merge', `${path}/tide`, { metadata: { finalizers: null } }), 200)
  assert.equal(await isGone(`${path}/tide`), true)
  const last = await watch.next((event) => event.type === 'DELETED')
  assert.equal(last.object.metadata.deletionTimestamp, deleted.metadata.deletionTimestamp)
})

test('a volume is held by its protection, which goes a moment after the deletion', async () => {
  const path = '/api/v1/persistentvolumes'
  const name = `tide-${await contract.namespace()}`
  const spec = { capacity: { storage: '1Gi' }, accessModes: ['ReadWriteOnce'], hostPath: { path: '/srv/tide' } }
  const created = expectCode(await http.post(path, { metadata: { name }, spec }), 201)
  assert.deepEqual(created.metadata.finalizers, ['kubernetes.io/pv-protection'])
  const deleted = expectCode(await http.delete(`${path}/${name}`), 200)
  assert.match(deleted.metadata.deletionTimestamp, /Z$/)
  await until('the volume is gone', () => isGone(`${path}/${name}`))
})

test('deleting again changes nothing while a finalizer holds', async () => {
  const path = await newPath()
  await create(path, { name: 'tide', finalizers: ['example.com/hold'] })
  const first = expectCode(await http.delete(`${path}/tide`), 200)
  const second = expectCode(await http.delete(`${path}/tide`), 200)
  assert.equal(second.metadata.deletionTimestamp, first.metadata.deletionTimestamp)
  assert.equal(second.metadata.resourceVersion, first.metadata.resourceVersion)
  expectCode(await http.patch('merge', `${path}/tide`, { metadata: { finalizers: null } }), 200)
})

test('an object being deleted can be changed but neither revived nor given another finalizer', async () => {
  const path = await newPath()
  await create(path, { name: 'tide', finalizers: ['example.com/hold'] })
  const deleted = expectCode(await http.delete(`${path}/tide`), 200)
  const changed = expectCode(await http.patch('merge', `${path}/tide`, { data: { a: 'b' } }), 200)
  assert.deepEqual(changed.data, { a: 'b' })
  const status = expectFailure(
    await http.patch('merge', `${path}/tide`, { metadata: { finalizers: ['example.com/hold', 'example.com/more'] } }),
    422,
    'Invalid',
    /no new finalizers can be added if the object is being deleted/,
  )
  assert.deepEqual(causesOf(status), ['metadata.finalizers: FieldValueForbidden'])
  const { deletionTimestamp, ...metadata } = changed.metadata
  const replaced = expectCode(await http.put(`${path}/tide`, { ...changed, metadata }), 200)
  assert.equal(replaced.metadata.deletionTimestamp, deleted.metadata.deletionTimestamp)
  expectCode(await http.put(`${path}/tide`, { ...replaced, metadata: { ...replaced.metadata, finalizers: [] } }), 200)
  assert.equal(await isGone(`${path}/tide`), true)
})

test('a finalizer without a domain is refused', async () => {
  expectFailure(
    await http.post(await newPath(), { metadata: { name: 'tide', finalizers: ['hold'] } }),
    422,
    'Invalid',
    /metadata.finalizers/,
  )
})

test('what an object owns is collected after it', async () => {
  const path = await newPath()
  const owner = await create(path, { name: 'owner' })
  const child = await create(path, { name: 'child', ownerReferences: [ownedBy(owner)] })
  await create(path, { name: 'grandchild', ownerReferences: [ownedBy(child)] })
  expectCode(await http.delete(`${path}/owner`, { propagationPolicy: 'Background' }), 200)
  assert.equal(await isGone(`${path}/owner`), true)
  await until('the grandchild is collected', () => isGone(`${path}/grandchild`))
  assert.equal(await isGone(`${path}/child`), true)
})

test('what an object owns is collected across kinds', async () => {
  const path = await newPath()
  const owner = await create(path, { name: 'owner' })
  const secret = `${path.replace('configmaps', 'secrets')}`
  await create(secret, { name: 'child', ownerReferences: [ownedBy(owner)] })
  expectCode(await http.delete(`${path}/owner`), 200)
  await until('the Secret is collected', () => isGone(`${secret}/child`))
})

test('orphaned children stay and lose the reference', async () => {
  const path = await newPath()
  const owner = await create(path, { name: 'owner' })
  await create(path, { name: 'child', ownerReferences: [ownedBy(owner)] })
  expectCode(await http.delete(`${path}/owner`, { propagationPolicy: 'Orphan' }), 200)
  await until('the owner is gone', () => isGone(`${path}/owner`))
  assert.equal(expectCode(await http.get(`${path}/child`), 200).metadata.ownerReferences, undefined)
})

test('a foreground deletion keeps the owner until what blocks it is gone', async () => {
  const path = await newPath()
  const owner = await create(path, { name: 'owner' })
  await create(path, { name: 'child', finalizers: ['example.com/hold'], ownerReferences: [ownedBy(owner, { blockOwnerDeletion: true })] })
  const deleted = expectCode(await http.delete(`${path}/owner`, { propagationPolicy: 'Foreground' }), 200)
  assert.ok(deleted.metadata.finalizers.includes('foregroundDeletion'))
  await until('the child is being deleted', async () => expectCode(await http.get(`${path}/child`), 200).metadata.deletionTimestamp)
  expectCode(await http.get(`${path}/owner`), 200)
  expectCode(await http.patch('merge', `${path}/child`, { metadata: { finalizers: null } }), 200)
  await until('the owner is gone', () => isGone(`${path}/owner`))
})

test('a child of two owners stays until both are gone', async () => {
  const path = await newPath()
  const owners = [await create(path, { name: 'one' }), await create(path, { name: 'two' })]
  await create(path, { name: 'child', ownerReferences: owners.map((owner) => ownedBy(owner)) })
  expectCode(await http.delete(`${path}/one`), 200)
  await until('one reference is left', async () => expectCode(await http.get(`${path}/child`), 200).metadata.ownerReferences.length === 1)
  expectCode(await http.delete(`${path}/two`), 200)
  await until('the child is collected', () => isGone(`${path}/child`))
})

test('a child whose owner never was, or bears another uid, is collected', async () => {
  const path = await newPath()
  const owner = await create(path, { name: 'owner' })
  await create(path, { name: 'child', ownerReferences: [{ ...ownedBy(owner), uid: '00000000-0000-0000-0000-000000000000' }] })
  await until('the child is collected', () => isGone(`${path}/child`))
  expectCode(await http.get(`${path}/owner`), 200)
})

test('an owner reference needs kind, name and uid, and one controller at most', async () => {
  const path = await newPath()
  const owner = await create(path, { name: 'owner' })
  const status = expectFailure(
    await http.post(path, { metadata: { name: 'child', ownerReferences: [{ apiVersion: 'v1' }] } }),
    422,
    'Invalid',
  )
  assert.deepEqual(
    causesOf(status).map((cause) => cause.split(': ')[0]),
    ['kind', 'name', 'uid'].map((field) => `metadata.ownerReferences.${field}`),
  )
  const controllers = [ownedBy(owner, { controller: true }), { ...ownedBy(owner, { controller: true }), uid: 'other' }]
  expectFailure(
    await http.post(path, { metadata: { name: 'child', ownerReferences: controllers } }),
    422,
    'Invalid',
    /Only one reference can have Controller set to true/,
  )
})
