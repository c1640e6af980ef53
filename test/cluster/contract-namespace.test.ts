import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Body } from './client/http.ts'
import { definitionOf, expectCode, expectFailure, startContract, until } from './contract.ts'

const contract = await startContract()
const { http } = contract

const isGone = async (url: string) => (await http.get(url)).status === 404
const read = async (namespace: string) => expectCode(await http.get(`/api/v1/namespaces/${namespace}`), 200)
const condition = (namespace: Body, type: string) => namespace.status.conditions?.find((one: Body) => one.type === type)

test('a namespace is active from the start and bears the finalizer of its content', async () => {
  const namespace = await read(await contract.namespace())
  assert.equal(namespace.status.phase, 'Active')
  assert.deepEqual(namespace.spec.finalizers, ['kubernetes'])
})

test('the namespaces that every cluster has are there', async () => {
  for (const name of ['default', 'kube-system', 'kube-public', 'kube-node-lease']) assert.equal((await read(name)).status.phase, 'Active')
})

test('a deleted namespace takes its content along and then goes', async () => {
  const name = await contract.namespace()
  const paths = [
    `/api/v1/namespaces/${name}/configmaps`,
    `/api/v1/namespaces/${name}/secrets`,
    `/apis/coordination.k8s.io/v1/namespaces/${name}/leases`,
  ]
  for (const path of paths) expectCode(await http.post(path, { metadata: { name: 'tide' } }), 201)
  const deleted = expectCode(await http.delete(`/api/v1/namespaces/${name}`), 200)
  assert.equal(deleted.kind, 'Namespace')
  assert.equal(deleted.status.phase, 'Terminating')
  assert.ok(deleted.metadata.deletionTimestamp)
  await until('the namespace is gone', () => isGone(`/api/v1/namespaces/${name}`))
  for (const path of paths) assert.equal(await isGone(`${path}/tide`), true)
  expectCode(await http.post('/api/v1/namespaces', { metadata: { name } }), 201)
  for (const path of paths) assert.equal(await isGone(`${path}/tide`), true)
})

test('a namespace whose content is held says so in its conditions, refuses new content, and goes once released', async () => {
  const name = await contract.namespace()
  const path = `/api/v1/namespaces/${name}/configmaps`
  expectCode(await http.post(path, { metadata: { name: 'held', finalizers: ['example.com/hold'] } }), 201)
  expectCode(await http.post(path, { metadata: { name: 'free' } }), 201)
  expectCode(await http.delete(`/api/v1/namespaces/${name}`), 200)

  // Objects that were being created when the namespace was deleted, such as its default ServiceAccount, may remain for a moment too.
  const held = await until('the conditions tell of it alone', async () => {
    const namespace = await read(name)
    const isAlone = condition(namespace, 'NamespaceContentRemaining')?.message.endsWith(' configmaps. has 1 resource instances')
    return isAlone && condition(namespace, 'NamespaceFinalizersRemaining')?.status === 'True' && namespace
  })
  assert.equal(held.status.phase, 'Terminating')
  const { reason, message } = condition(held, 'NamespaceFinalizersRemaining')
  assert.equal(reason, 'SomeFinalizersRemain')
  assert.equal(message, 'Some content in the namespace has finalizers remaining: example.com/hold in 1 resource instances')
  const remaining = condition(held, 'NamespaceContentRemaining')
  assert.deepEqual([remaining.status, remaining.reason], ['True', 'SomeResourcesRemain'])
  assert.equal(remaining.message, 'Some resources are remaining: configmaps. has 1 resource instances')
  assert.deepEqual(
    [condition(held, 'NamespaceDeletionContentFailure').status, condition(held, 'NamespaceDeletionDiscoveryFailure').status],
    ['False', 'False'],
  )
  assert.equal(await isGone(`${path}/free`), true)
  assert.ok(expectCode(await http.get(`${path}/held`), 200).metadata.deletionTimestamp)

  const refusal = `configmaps "new" is forbidden: unable to create new content in namespace ${name} because it is being terminated`
  const status = expectFailure(await http.post(path, { metadata: { name: 'new' } }), 403, 'Forbidden', refusal)
  assert.deepEqual(
    status.details.causes.map(({ reason, field }: Body) => ({ reason, field })),
    [{ reason: 'NamespaceTerminating', field: 'metadata.namespace' }],
  )
  const apply = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'new' } }
  expectFailure(await http.patch('apply', `${path}/new?fieldManager=one`, apply), 403, 'Forbidden', refusal)
  expectCode(await http.patch('merge', `${path}/held`, { data: { a: 'b' } }), 200)

  expectCode(await http.patch('merge', `${path}/held`, { metadata: { finalizers: null } }), 200)
  await until('the namespace is gone', () => isGone(`/api/v1/namespaces/${name}`))
})

test('custom objects go with their namespace, and their finalizers hold it', async () => {
  const definition = await contract.define(definitionOf('Mooring'))
  const { group } = definition.spec
  const name = await contract.namespace()
  const path = `/apis/${group}/v1/namespaces/${name}/moorings`
  const object = (metadata: Body) => ({ apiVersion: `${group}/v1`, kind: 'Mooring', metadata })
  expectCode(await http.post(path, object({ name: 'held', finalizers: ['example.com/hold'] })), 201)
  expectCode(await http.delete(`/api/v1/namespaces/${name}`), 200)
  const message = `Some resources are remaining: moorings.${group} has 1 resource instances`
  await until('the conditions tell', async () => condition(await read(name), 'NamespaceContentRemaining')?.message === message)
  expectCode(await http.patch('merge', `${path}/held`, { metadata: { finalizers: null } }), 200)
  await until('the namespace is gone', () => isGone(`/api/v1/namespaces/${name}`))
})

test('the namespace default cannot be deleted', async () => {
  expectFailure(
    await http.delete('/api/v1/namespaces/default'),
    403,
    'Forbidden',
    'namespaces "default" is forbidden: this namespace may not be deleted',
  )
})
