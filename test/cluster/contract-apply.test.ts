import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Answer, Body } from './client/http.ts'
import { definitionOf, expectCode, expectFailure, startContract, uniqueName } from './contract.ts'

const contract = await startContract()
const namespace = await contract.namespace()

/** Applies an object as `manager`. */
function apply(manager: string, object: Body, query = ''): Promise<Answer> {
  const { apiVersion, kind, metadata } = object
  const plural = { ConfigMap: 'configmaps', Service: 'services', Deployment: 'deployments', Role: 'roles', Channel: 'channels' }[
    kind as string
  ]
  const root = apiVersion === 'v1' ? '/api/v1' : `/apis/${apiVersion}`
  return contract.http.patch('apply', `${root}/namespaces/${namespace}/${plural}/${metadata.name}?fieldManager=${manager}${query}`, object)
}
const configMap = (name: string, data: Record<string, string> | undefined, metadata = {}) => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, ...metadata },
  data,
})
const read = async (name: string) => expectCode(await contract.http.get(`/api/v1/namespaces/${namespace}/configmaps/${name}`), 200)
const entryOf = (object: Body, manager: string) => object.metadata.managedFields.find((entry: Body) => entry.manager === manager)

test('applying what does not exist creates it and notes who owns which field', async () => {
  const name = uniqueName('tide')
  const created = expectCode(await apply('one', configMap(name, { high: '12' }, { labels: { side: 'sea' } })), 201)
  assert.deepEqual(created.data, { high: '12' })
  const [{ time, ...entry }] = created.metadata.managedFields
  assert.match(time, /Z$/)
  assert.deepEqual(entry, {
    manager: 'one',
    operation: 'Apply',
    apiVersion: 'v1',
    fieldsType: 'FieldsV1',
    fieldsV1: { 'f:metadata': { 'f:labels': { 'f:side': {} } }, 'f:data': { 'f:high': {} } },
  })
})

test('applying needs a field manager and the kind', async () => {
  const { http } = contract
  const name = uniqueName('tide')
  const url = `/api/v1/namespaces/${namespace}/configmaps/${name}`
  expectFailure(await http.patch('apply', url, configMap(name, {})), 422, 'Invalid', /fieldManager/)
  expectFailure(await http.patch('apply', `${url}?fieldManager=one`, { metadata: { name } }), 400, 'BadRequest')
})

test('applying the same again changes nothing, not even the version', async () => {
  const name = uniqueName('tide')
  const first = expectCode(await apply('one', configMap(name, { high: '12' })), 201)
  assert.deepEqual(expectCode(await apply('one', configMap(name, { high: '12' })), 200), first)
})

test('a field that another manager set differently is a conflict that names manager and field', async () => {
  const name = uniqueName('tide')
  expectCode(await apply('one', configMap(name, { high: '12', low: '1' })), 201)
  const status = expectFailure(
    await apply('two', configMap(name, { high: '13', low: '2' })),
    409,
    'Conflict',
    /^Apply failed with 2 conflicts: /,
  )
  const causes = status.details.causes
    .map(({ reason, field }: Body) => ({ reason, field }))
    .sort((a: Body, b: Body) => (a.field < b.field ? -1 : 1))
  assert.deepEqual(causes, [
    { reason: 'FieldManagerConflict', field: '.data.high' },
    { reason: 'FieldManagerConflict', field: '.data.low' },
  ])
  for (const cause of status.details.causes) assert.match(cause.message, /conflict with "one"/)
  assert.deepEqual((await read(name)).data, { high: '12', low: '1' })
})

test('one conflict is told in the singular', async () => {
  const name = uniqueName('tide')
  expectCode(await apply('one', configMap(name, { high: '12' })), 201)
  expectFailure(
    await apply('two', configMap(name, { high: '13' })),
    409,
    'Conflict',
    'Apply failed with 1 conflict: conflict with "one": .data.high',
  )
})

test('force takes the field over from whoever had it', async () => {
  const name = uniqueName('tide')
  expectCode(await apply('one', configMap(name, { high: '12', low: '1' })), 201)
  const forced = expectCode(await apply('two', configMap(name, { high: '13' }), '&force=true'), 200)
  assert.deepEqual(forced.data, { high: '13', low: '1' })
  assert.deepEqual(entryOf(forced, 'one').fieldsV1, { 'f:data': { 'f:low': {} } })
  assert.deepEqual(entryOf(forced, 'two').fieldsV1, { 'f:data': { 'f:high': {} } })
})

test('two managers may own a field together while they agree on it', async () => {
  const name = uniqueName('tide')
  expectCode(await apply('one', configMap(name, { high: '12' })), 201)
  expectCode(await apply('two', configMap(name, { high: '12' })), 200)
  const left = expectCode(await apply('one', configMap(name, {})), 200)
  assert.deepEqual(left.data, { high: '12' })
  expectFailure(await apply('one', configMap(name, { high: '13' })), 409, 'Conflict', /conflict with "two"/)
})

test('a field that its only manager no longer applies is removed', async () => {
  const name = uniqueName('tide')
  expectCode(await apply('one', configMap(name, { high: '12', low: '1' }, { labels: { side: 'sea' } })), 201)
  const less = expectCode(await apply('one', configMap(name, { high: '12' })), 200)
  assert.deepEqual(less.data, { high: '12' })
  assert.equal(less.metadata.labels, undefined)
})

test('fields of other managers stay when one applies', async () => {
  const { http } = contract
  const name = uniqueName('tide')
  expectCode(await apply('one', configMap(name, { high: '12' })), 201)
  expectCode(await http.patch('merge', `/api/v1/namespaces/${namespace}/configmaps/${name}?fieldManager=hand`, { data: { low: '1' } }), 200)
  const again = expectCode(await apply('one', configMap(name, { high: '13' })), 200)
  assert.deepEqual(again.data, { high: '13', low: '1' })
  const { operation, fieldsV1 } = entryOf(again, 'hand')
  assert.equal(operation, 'Update')
  assert.deepEqual(fieldsV1, { 'f:data': { 'f:low': {} } })
})

test('whoever changes an applied field by an update owns it from then on', async () => {
  const { http } = contract
  const name = uniqueName('tide')
  const created = expectCode(await apply('one', configMap(name, { high: '12' })), 201)
  const url = `/api/v1/namespaces/${namespace}/configmaps/${name}?fieldManager=hand`
  const updated = expectCode(await http.put(url, { ...created, data: { high: '13' } }), 200)
  assert.equal(entryOf(updated, 'one')?.fieldsV1?.['f:data']?.['f:high'], undefined)
  expectFailure(await apply('one', configMap(name, { high: '12' })), 409, 'Conflict', /conflict with "hand" using v1.*: \.data\.high$/)
})

test('an object made by a plain request can be applied to', async () => {
  const { http } = contract
  const name = uniqueName('tide')
  expectCode(await http.post(`/api/v1/namespaces/${namespace}/configmaps?fieldManager=hand`, configMap(name, { high: '12' })), 201)
  expectFailure(await apply('one', configMap(name, { high: '13' })), 409, 'Conflict', /conflict with "hand"/)
  assert.deepEqual(expectCode(await apply('one', configMap(name, { low: '1' })), 200).data, { high: '12', low: '1' })
})

test('applying with the version of another state is a conflict', async () => {
  const name = uniqueName('tide')
  const { resourceVersion } = expectCode(await apply('one', configMap(name, { high: '12' })), 201).metadata
  expectCode(await apply('one', configMap(name, { high: '13' })), 200)
  expectFailure(await apply('one', configMap(name, { high: '14' }, { resourceVersion })), 409, 'Conflict')
})

test('applying with managedFields in it is a bad request', async () => {
  const name = uniqueName('tide')
  const created = expectCode(await apply('one', configMap(name, { high: '12' })), 201)
  expectFailure(
    await apply('one', { ...created, metadata: { ...created.metadata, resourceVersion: undefined } }),
    400,
    'BadRequest',
    /managedFields must be nil/,
  )
})

test('an applied object is validated', async () => {
  expectFailure(await apply('one', configMap(uniqueName('tide'), { 'no spaces please': 'x' })), 422, 'Invalid', /data\[no spaces please\]/)
})

test('a dry run of apply tells of a conflict', async () => {
  const name = uniqueName('tide')
  expectCode(await apply('one', configMap(name, { high: '12' })), 201)
  expectFailure(await apply('two', configMap(name, { high: '13' }), '&dryRun=All'), 409, 'Conflict')
})

test('items of a list with keys belong to who applied them', async () => {
  const name = uniqueName('quay')
  const service = (...ports: object[]) => ({ apiVersion: 'v1', kind: 'Service', metadata: { name }, spec: { ports } })
  const [http, psql] = [
    { name: 'http', port: 4200, protocol: 'TCP' },
    { name: 'psql', port: 5432, protocol: 'TCP' },
  ]
  const portsOf = (object: Body) => object.spec.ports.map((port: Body) => port.port).sort()

  const created = expectCode(await apply('one', service(http)), 201)
  assert.deepEqual(Object.keys(entryOf(created, 'one').fieldsV1['f:spec']['f:ports']), ['k:{"port":4200,"protocol":"TCP"}'])
  assert.deepEqual(portsOf(expectCode(await apply('two', service(psql)), 200)), [4200, 5432])
  expectFailure(
    await apply('two', service(psql, { ...http, name: 'web' })),
    409,
    'Conflict',
    /\.spec\.ports\[port=4200,protocol="TCP"\]\.name/,
  )
  assert.deepEqual(portsOf(expectCode(await apply('one', service({ ...http, port: 4201 })), 200)), [4201, 5432])
})

test('a list of a set holds the items of every manager', async () => {
  const name = uniqueName('tide')
  expectCode(await apply('one', configMap(name, undefined, { finalizers: ['example.com/a'] })), 201)
  const both = expectCode(await apply('two', configMap(name, undefined, { finalizers: ['example.com/b'] })), 200)
  assert.deepEqual(both.metadata.finalizers.toSorted(), ['example.com/a', 'example.com/b'])
  const rest = expectCode(await apply('one', configMap(name, undefined)), 200)
  assert.deepEqual(rest.metadata.finalizers, ['example.com/b'])
  expectCode(await apply('two', configMap(name, undefined)), 200)
})

test('an atomic list is owned whole', async () => {
  const name = uniqueName('pilot')
  const role = (verb: string) => ({
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'Role',
    metadata: { name },
    rules: [{ apiGroups: [''], resources: ['pods'], verbs: [verb] }],
  })
  expectCode(await apply('one', role('get')), 201)
  expectFailure(await apply('two', role('list')), 409, 'Conflict', 'Apply failed with 1 conflict: conflict with "one": .rules')
  assert.equal(expectCode(await apply('two', role('list'), '&force=true'), 200).rules.length, 1)
})

test('containers and their variables merge by name at every depth', async () => {
  const name = uniqueName('pier')
  const deployment = (containers: object[]) => ({
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name },
    spec: {
      replicas: 0,
      selector: { matchLabels: { app: name } },
      template: { metadata: { labels: { app: name } }, spec: { containers } },
    },
  })
  expectCode(await apply('one', deployment([{ name: 'a', image: 'a:1', env: [{ name: 'X', value: '1' }] }])), 201)
  const both = expectCode(
    await apply(
      'two',
      deployment([
        { name: 'a', image: 'a:1', env: [{ name: 'Y', value: '2' }] },
        { name: 'b', image: 'b:1' },
      ]),
    ),
    200,
  )
  const [a, b] = both.spec.template.spec.containers.toSorted((x: Body, y: Body) => (x.name < y.name ? -1 : 1))
  assert.deepEqual(a.env.map((item: Body) => item.name).sort(), ['X', 'Y'])
  assert.equal(b.image, 'b:1')
  const without = expectCode(await apply('two', deployment([{ name: 'a', image: 'a:1' }])), 200)
  assert.deepEqual(
    without.spec.template.spec.containers.map((item: Body) => [item.name, item.env]),
    [['a', [{ name: 'X', value: '1' }]]],
  )
})

test('custom objects follow the list types of their definition; without one a list is atomic', async () => {
  const item = { type: 'object', required: ['name'], properties: { name: { type: 'string' }, depth: { type: 'integer' } } }
  const properties = {
    buoys: { type: 'array', 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['name'], items: item },
    marks: { type: 'array', 'x-kubernetes-list-type': 'set', items: { type: 'string' } },
    plain: { type: 'array', items: item },
  }
  const { group } = (await contract.define(definitionOf('Channel', { spec: { type: 'object', properties } }))).spec
  const channel = (spec: Body) => ({ apiVersion: `${group}/v1`, kind: 'Channel', metadata: { name: 'north' }, spec })
  expectCode(await apply('one', channel({ buoys: [{ name: 'a', depth: 1 }], marks: ['x'], plain: [{ name: 'p' }] })), 201)
  const both = expectCode(await apply('two', channel({ buoys: [{ name: 'b', depth: 2 }], marks: ['y'] })), 200)
  assert.deepEqual(both.spec.buoys.map((buoy: Body) => buoy.name).sort(), ['a', 'b'])
  assert.deepEqual(both.spec.marks.toSorted(), ['x', 'y'])
  expectFailure(await apply('two', channel({ buoys: [{ name: 'a', depth: 9 }] })), 409, 'Conflict', /: \.spec\.buoys\[name="a"\]\.depth$/)
  expectFailure(await apply('two', channel({ plain: [{ name: 'q' }] })), 409, 'Conflict', /: \.spec\.plain$/)
})
