import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Body } from './client/http.ts'
import { expectCode, expectFailure, startContract, uniqueName } from './contract.ts'

const contract = await startContract()
const path = `/api/v1/namespaces/${await contract.namespace()}/configmaps`

async function create(data: Record<string, string>): Promise<{ url: string; created: Body }> {
  const created = expectCode(await contract.http.post(path, { metadata: { name: uniqueName('tide') }, data }), 201)
  return { url: `${path}/${created.metadata.name}`, created }
}

test('a merge patch sets what it has, removes what it has as null, and leaves the rest', async () => {
  const { url } = await create({ high: '12', low: '1', same: 'x' })
  const patched = expectCode(
    await contract.http.patch('merge', url, { data: { high: '13', low: null }, metadata: { labels: { a: 'b' } } }),
    200,
  )
  assert.deepEqual(patched.data, { high: '13', same: 'x' })
  assert.deepEqual(patched.metadata.labels, { a: 'b' })
})

test('a merge patch that changes nothing keeps the version', async () => {
  const { url, created } = await create({ high: '12' })
  const patched = expectCode(await contract.http.patch('merge', url, { data: { high: '12' } }), 200)
  assert.equal(patched.metadata.resourceVersion, created.metadata.resourceVersion)
})

test('a merge patch with a stale version is a conflict, with the current one it is done', async () => {
  const { http } = contract
  const { url, created } = await create({ high: '12' })
  const { resourceVersion } = created.metadata
  expectCode(await http.patch('merge', url, { metadata: { resourceVersion }, data: { high: '13' } }), 200)
  expectFailure(await http.patch('merge', url, { metadata: { resourceVersion }, data: { high: '14' } }), 409, 'Conflict')
})

test('a merge patch of another uid is refused', async () => {
  const { url } = await create({ high: '12' })
  const answer = await contract.http.patch('merge', url, { metadata: { uid: 'other' } })
  assert.ok(answer.status === 409 || answer.status === 422, answer.text)
})

test('JSON Patch operations are done in order', async () => {
  const { url } = await create({ high: '12', low: '1' })
  const operations = [
    { op: 'test', path: '/data/high', value: '12' },
    { op: 'replace', path: '/data/high', value: '13' },
    { op: 'add', path: '/metadata/labels', value: {} },
    { op: 'add', path: '/metadata/labels/example.com~1side', value: 'sea' },
    { op: 'copy', from: '/data/high', path: '/data/copy' },
    { op: 'move', from: '/data/low', path: '/data/ebb' },
    { op: 'remove', path: '/data/copy' },
  ]
  const patched = expectCode(await contract.http.patch('json', url, operations), 200)
  assert.deepEqual(patched.data, { high: '13', ebb: '1' })
  assert.deepEqual(patched.metadata.labels, { 'example.com/side': 'sea' })
})

for (const { what, operations } of [
  {
    what: 'a test that fails',
    operations: [
      { op: 'replace', path: '/data/high', value: '9' },
      { op: 'test', path: '/data/high', value: '12' },
    ],
  },
  {
    what: 'a removal of what is not there',
    operations: [
      { op: 'replace', path: '/data/high', value: '9' },
      { op: 'remove', path: '/data/absent' },
    ],
  },
]) {
  test(`JSON Patch with ${what} is refused whole`, async () => {
    const { url, created } = await create({ high: '12' })
    expectFailure(await contract.http.patch('json', url, operations), 422, 'Invalid')
    assert.deepEqual(expectCode(await contract.http.get(url), 200), created)
  })
}

test('a patch that is not JSON is refused and changes nothing', async () => {
  const { url, created } = await create({ high: '12' })
  const { status } = await contract.http.patch('merge', url, '{"data":')
  assert.ok(status === 400 || status === 500, `${status}: a bad request, which Kubernetes 1.20 takes for a fault of its own`)
  assert.deepEqual(expectCode(await contract.http.get(url), 200), created)
})

test('a patch cannot give an object another name', async () => {
  const { url } = await create({})
  const answer = await contract.http.patch('merge', url, { metadata: { name: 'other' } })
  assert.ok(answer.status === 400 || answer.status === 422, answer.text)
})

test('a patched object is validated as a written one is', async () => {
  const { url } = await create({})
  expectFailure(await contract.http.patch('merge', url, { metadata: { labels: { a: 'b c' } } }), 422, 'Invalid', /metadata.labels/)
  expectFailure(await contract.http.patch('merge', url, { data: { 'no spaces please': 'x' } }), 422, 'Invalid', /data\[no spaces please\]/)
})

test('an unknown kind of patch is an unsupported media type', async () => {
  const { url } = await create({})
  expectFailure(await contract.http.send('PATCH', url, {}, { contentType: 'application/json' }), 415, 'UnsupportedMediaType')
})

const container = (name: string, more: object = {}) => ({ name, image: `${name}:1`, ...more })

async function createDeployment(containers: object[]): Promise<string> {
  const name = uniqueName('pier')
  const deployments = path.replace('/api/v1', '/apis/apps/v1').replace('/configmaps', '/deployments')
  const template = { metadata: { labels: { app: name } }, spec: { containers } }
  expectCode(
    await contract.http.post(deployments, {
      metadata: { name },
      spec: { replicas: 0, selector: { matchLabels: { app: name } }, template },
    }),
    201,
  )
  return `${deployments}/${name}`
}
const containersOf = (deployment: Body) => deployment.spec.template.spec.containers

test('a strategic patch merges lists by their key', async () => {
  const url = await createDeployment([container('a', { env: [{ name: 'X', value: '1' }] }), container('b')])
  const change = [{ name: 'a', env: [{ name: 'Y', value: '2' }] }, container('c')]
  const patched = expectCode(await contract.http.patch('strategic', url, { spec: { template: { spec: { containers: change } } } }), 200)
  const byName = Object.fromEntries(containersOf(patched).map((item: Body) => [item.name, item]))
  assert.deepEqual(Object.keys(byName).sort(), ['a', 'b', 'c'])
  assert.equal(byName.a.image, 'a:1')
  assert.deepEqual(Object.fromEntries(byName.a.env.map((item: Body) => [item.name, item.value])), { X: '1', Y: '2' })
})

test('a strategic patch deletes an item by its key, and replaces where it is told to', async () => {
  const { http } = contract
  const url = await createDeployment([container('a'), container('b')])
  const less = { spec: { template: { spec: { containers: [{ name: 'b', $patch: 'delete' }] } } } }
  assert.deepEqual(
    containersOf(expectCode(await http.patch('strategic', url, less), 200)).map((item: Body) => item.name),
    ['a'],
  )
  const other = { spec: { template: { spec: { containers: [container('z'), { $patch: 'replace' }] } } } }
  assert.deepEqual(
    containersOf(expectCode(await http.patch('strategic', url, other), 200)).map((item: Body) => item.name),
    ['z'],
  )
})

test('a merge patch replaces a list whole', async () => {
  const url = await createDeployment([container('a'), container('b')])
  const patched = expectCode(
    await contract.http.patch('merge', url, { spec: { template: { spec: { containers: [container('c')] } } } }),
    200,
  )
  assert.deepEqual(
    containersOf(patched).map((item: Body) => item.name),
    ['c'],
  )
})
