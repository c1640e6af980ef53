import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Body } from './client/http.ts'
import { crds, definitionOf, expectCode, startContract, until } from './contract.ts'

const contract = await startContract()
const { http } = contract

const resource = (list: Body, name: string) => list.resources.find((one: Body) => one.name === name)

test('the server tells its version', async () => {
  const version = expectCode(await http.get('/version'), 200)
  assert.match(version.gitVersion, /^v1\.\d+\.\d+/)
  assert.equal(version.major, '1')
  assert.match(version.minor, /^\d+/)
})

for (const path of ['/healthz', '/livez', '/readyz']) {
  test(`${path} is ok`, async () => {
    const answer = await http.get(path)
    assert.deepEqual([answer.status, answer.text], [200, 'ok'])
  })
}

test('the core group has one version', async () => {
  const versions = expectCode(await http.get('/api'), 200)
  assert.equal(versions.kind, 'APIVersions')
  assert.deepEqual(versions.versions, ['v1'])
})

test('the core resources tell scope, kind, verbs, short names and subresources', async () => {
  const list = expectCode(await http.get('/api/v1'), 200)
  assert.equal(list.kind, 'APIResourceList')
  assert.equal(list.groupVersion, 'v1')
  const configMaps = resource(list, 'configmaps')
  assert.deepEqual([configMaps.kind, configMaps.namespaced, configMaps.shortNames], ['ConfigMap', true, ['cm']])
  assert.deepEqual(configMaps.verbs.toSorted(), ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch'])
  const namespaces = resource(list, 'namespaces')
  assert.deepEqual([namespaces.kind, namespaces.namespaced, namespaces.shortNames], ['Namespace', false, ['ns']])
  assert.equal(namespaces.verbs.includes('deletecollection'), false)
  assert.deepEqual(resource(list, 'pods/status').verbs.toSorted(), ['get', 'patch', 'update'])
  assert.equal(resource(list, 'serviceaccounts/token').verbs.includes('create'), true)
})

// The kinds that a database operator and its tests use.
const served: Record<string, string[]> = {
  v1: [
    'configmaps',
    'events',
    'namespaces',
    'nodes',
    'persistentvolumeclaims',
    'persistentvolumes',
    'pods',
    'resourcequotas',
    'limitranges',
    'secrets',
    'serviceaccounts',
    'services',
  ],
  'apps/v1': [
    'controllerrevisions',
    'daemonsets',
    'deployments',
    'deployments/scale',
    'replicasets',
    'statefulsets',
    'statefulsets/status',
  ],
  'authorization.k8s.io/v1': ['selfsubjectaccessreviews'],
  'coordination.k8s.io/v1': ['leases'],
  'networking.k8s.io/v1': ['ingressclasses', 'ingresses', 'networkpolicies'],
  'rbac.authorization.k8s.io/v1': ['clusterrolebindings', 'clusterroles', 'rolebindings', 'roles'],
  'storage.k8s.io/v1': ['csidrivers', 'storageclasses', 'volumeattachments'],
  'apiextensions.k8s.io/v1': ['customresourcedefinitions', 'customresourcedefinitions/status'],
}
test('every group that an operator for databases needs is listed with its preferred version', async () => {
  const groupVersions = Object.keys(served).filter((name) => name.includes('/'))
  // A real API server that has just started lists them one after the other.
  const list = await until('all are listed', async () => {
    const body = expectCode(await http.get('/apis'), 200)
    return groupVersions.every((groupVersion) => body.groups.some((one: Body) => one.name === groupVersion.split('/')[0])) && body
  })
  assert.equal(list.kind, 'APIGroupList')
  for (const groupVersion of groupVersions) {
    const [name] = groupVersion.split('/')
    const group = list.groups.find((one: Body) => one.name === name)
    assert.ok(group, `${name} is listed`)
    assert.ok(group.versions.some((version: Body) => version.groupVersion === groupVersion))
    assert.equal(group.preferredVersion.groupVersion, groupVersion)
    const { name: alone, versions } = expectCode(await http.get(`/apis/${name}`), 200)
    assert.deepEqual({ name: alone, versions }, { name, versions: group.versions })
  }
})
for (const [groupVersion, names] of Object.entries(served)) {
  test(`${groupVersion} serves ${names.join(', ')}`, async () => {
    const list = expectCode(await http.get(groupVersion === 'v1' ? '/api/v1' : `/apis/${groupVersion}`), 200)
    assert.deepEqual(
      names.filter((name) => !resource(list, name)),
      [],
    )
  })
}

test('a group, version or resource that does not exist is not found', async () => {
  for (const path of ['/apis/nobody.example', '/apis/nobody.example/v1', '/apis/apps/v7', '/api/v1/things', '/nothing/here']) {
    assert.equal((await http.get(path)).status, 404, path)
  }
})

test('a defined kind is discovered with its names and scope, and no longer once undefined', async () => {
  const definition = definitionOf('Buoy', {}, { subresources: { status: {} } })
  definition.spec.names = { ...definition.spec.names, singular: 'buoy', shortNames: ['by'], categories: ['all'] }
  const { metadata, spec } = await contract.define(definition)
  const found = await until('the kind is discovered', async () => {
    const answer = await http.get(`/apis/${spec.group}/v1`)
    return answer.status === 200 && resource(answer.body, 'buoys') && answer.body
  })
  const { name, kind, namespaced, singularName, shortNames, categories, verbs } = resource(found, 'buoys')
  assert.deepEqual(
    { name, kind, namespaced, singularName, shortNames, categories },
    { name: 'buoys', kind: 'Buoy', namespaced: true, singularName: 'buoy', shortNames: ['by'], categories: ['all'] },
  )
  assert.deepEqual(verbs.toSorted(), ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch'])
  assert.deepEqual(resource(found, 'buoys/status').verbs.toSorted(), ['get', 'patch', 'update'])
  const isListed = async () => expectCode(await http.get('/apis'), 200).groups.some((group: Body) => group.name === spec.group)
  await until('the group is listed', isListed)

  expectCode(await http.delete(`${crds}/${metadata.name}`), 200)
  await until('the group is listed no longer', async () => !(await isListed()))
})
