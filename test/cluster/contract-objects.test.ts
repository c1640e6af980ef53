import assert from 'node:assert/strict'
import { test } from 'node:test'
import { causesOf, expectCode, expectFailure, startContract, uniqueName } from './contract.ts'

const contract = await startContract()
const configMaps = (namespace: string) => `/api/v1/namespaces/${namespace}/configmaps`

test('a created object comes back with uid, version and time, and is read back the same', async () => {
  const { http } = contract
  const namespace = await contract.namespace()
  const created = expectCode(
    await http.post(configMaps(namespace), { metadata: { name: 'tide', labels: { a: 'b' } }, data: { high: '12' } }),
    201,
  )
  assert.equal(created.kind, 'ConfigMap')
  assert.equal(created.apiVersion, 'v1')
  assert.equal(created.metadata.namespace, namespace)
  assert.match(created.metadata.uid, /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/)
  assert.match(created.metadata.resourceVersion, /^\d+$/)
  assert.match(created.metadata.creationTimestamp, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/)
  assert.equal(created.metadata.generation, undefined)
  assert.deepEqual(created.data, { high: '12' })
  assert.deepEqual(expectCode(await http.get(`${configMaps(namespace)}/tide`), 200), created)
})

test('what a client says of uid and times does not count', async () => {
  const { http } = contract
  const namespace = await contract.namespace()
  const metadata = { name: 'tide', uid: '00000000-0000-0000-0000-000000000000', creationTimestamp: '2001-01-01T00:00:00Z' }
  const created = expectCode(await http.post(configMaps(namespace), { metadata }), 201)
  assert.notEqual(created.metadata.uid, metadata.uid)
  assert.notEqual(created.metadata.creationTimestamp, metadata.creationTimestamp)
})

test('creating with a resourceVersion is refused', async () => {
  const namespace = await contract.namespace()
  const answer = await contract.http.post(configMaps(namespace), { metadata: { name: 'tide', resourceVersion: '1' } })
  assert.equal(answer.body.kind, 'Status')
  assert.match(answer.body.message, /resourceVersion should not be set on objects to be created/)
})

test('creating what exists is a conflict that names it', async () => {
  const { http } = contract
  const namespace = await contract.namespace()
  expectCode(await http.post(configMaps(namespace), { metadata: { name: 'tide' } }), 201)
  const status = expectFailure(
    await http.post(configMaps(namespace), { metadata: { name: 'tide' } }),
    409,
    'AlreadyExists',
    'configmaps "tide" already exists',
  )
  assert.deepEqual(status.details, { name: 'tide', kind: 'configmaps' })
})

const missing = [
  {
    what: 'a core object',
    path: 'api/v1/namespaces/NS/configmaps/absent',
    message: 'configmaps "absent" not found',
    details: { name: 'absent', kind: 'configmaps' },
  },
  {
    what: 'an object of a group',
    path: 'apis/apps/v1/namespaces/NS/deployments/absent',
    message: 'deployments.apps "absent" not found',
    details: { name: 'absent', group: 'apps', kind: 'deployments' },
  },
  {
    what: 'a cluster-wide object',
    path: 'api/v1/namespaces/absent',
    message: 'namespaces "absent" not found',
    details: { name: 'absent', kind: 'namespaces' },
  },
]
for (const { what, path, message, details } of missing) {
  test(`reading, patching and deleting ${what} that does not exist is NotFound`, async () => {
    const { http } = contract
    const url = `/${path.replace('NS', await contract.namespace())}`
    for (const answer of [
      await http.get(url),
      await http.patch('merge', url, { metadata: { labels: { a: 'b' } } }),
      await http.delete(url),
    ]) {
      assert.deepEqual(expectFailure(answer, 404, 'NotFound', message).details, details)
    }
  })
}

test('replacing what does not exist is NotFound', async () => {
  const namespace = await contract.namespace()
  expectFailure(await contract.http.put(`${configMaps(namespace)}/absent`, { metadata: { name: 'absent' } }), 404, 'NotFound')
})

test('creating in a namespace that does not exist names the namespace', async () => {
  const status = expectFailure(
    await contract.http.post(configMaps('nowhere'), { metadata: { name: 'tide' } }),
    404,
    'NotFound',
    'namespaces "nowhere" not found',
  )
  assert.deepEqual(status.details, { name: 'nowhere', kind: 'namespaces' })
})

test('reading a kind that is not served is NotFound', async () => {
  const answer = await contract.http.get('/apis/nobody.example/v1/things')
  assert.equal(answer.status, 404)
})

test('generateName adds five characters that differ from object to object', async () => {
  const { http } = contract
  const namespace = await contract.namespace()
  const create = async () => expectCode(await http.post(configMaps(namespace), { metadata: { generateName: 'tide-' } }), 201).metadata.name
  const names = [await create(), await create()]
  for (const name of names) assert.match(name, /^tide-[a-z0-9]{5}$/)
  assert.notEqual(names[0], names[1])
})

const refused = [
  { what: 'no name', metadata: {}, causes: ['metadata.name: FieldValueRequired'], message: /name or generateName is required/ },
  {
    what: 'a name with capitals',
    metadata: { name: 'Tide' },
    causes: ['metadata.name: FieldValueInvalid'],
    message: /^ConfigMap "Tide" is invalid: metadata.name: Invalid value: "Tide"/,
  },
  {
    what: 'a name that is too long',
    metadata: { name: 'a'.repeat(254) },
    causes: ['metadata.name: FieldValueInvalid'],
    message: /must be no more than 253 characters/,
  },
  {
    what: 'a label value with a space',
    metadata: { name: 'tide', labels: { a: 'b c' } },
    causes: ['metadata.labels: FieldValueInvalid'],
    message: /metadata.labels: Invalid value: "b c"/,
  },
  {
    what: 'a label key with a space',
    metadata: { name: 'tide', labels: { 'a b': 'c' } },
    causes: ['metadata.labels: FieldValueInvalid'],
    message: /metadata.labels: Invalid value: "a b"/,
  },
  {
    what: 'two faults at once',
    metadata: { name: 'Tide', labels: { a: 'b c' } },
    causes: ['metadata.labels: FieldValueInvalid', 'metadata.name: FieldValueInvalid'],
    message: /metadata.name: .*metadata.labels: /,
  },
]
for (const { what, metadata, causes, message } of refused) {
  test(`an object with ${what} is refused with the path of the fault`, async () => {
    const status = expectFailure(await contract.http.post(configMaps(await contract.namespace()), { metadata }), 422, 'Invalid', message)
    assert.deepEqual(causesOf(status), causes)
    assert.equal(status.details.kind, 'ConfigMap')
  })
}

test('a namespace name may not have dots, a ConfigMap name may', async () => {
  const { http } = contract
  expectFailure(await http.post('/api/v1/namespaces', { metadata: { name: `${uniqueName('a')}.b` } }), 422, 'Invalid', /metadata.name/)
  expectCode(await http.post(configMaps(await contract.namespace()), { metadata: { name: 'a.b' } }), 201)
})

test('a body that contradicts the path is a bad request', async () => {
  const { http } = contract
  const namespace = await contract.namespace()
  const path = configMaps(namespace)
  expectFailure(
    await http.post(path, { metadata: { name: 'tide', namespace: 'other' } }),
    400,
    'BadRequest',
    /namespace of the (provided )?object does not match/,
  )
  expectCode(await http.post(path, { metadata: { name: 'tide' } }), 201)
  expectFailure(
    await http.put(`${path}/tide`, { metadata: { name: 'ebb' } }),
    400,
    'BadRequest',
    /the name of the object \(ebb\) does not match the name on the URL \(tide\)/,
  )
  expectFailure(await http.post(path, { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'ebb' } }), 400, 'BadRequest')
})

test('a body that is not JSON, or has a field of the wrong type, is a bad request', async () => {
  const { http } = contract
  const path = configMaps(await contract.namespace())
  expectFailure(await http.post(path, '{"metadata":'), 400, 'BadRequest')
  expectFailure(await http.post(path, { metadata: { name: 'tide' }, data: 5 }), 400, 'BadRequest')
})

test('a content type that nobody reads is unsupported', async () => {
  const path = configMaps(await contract.namespace())
  expectFailure(await contract.http.post(path, 'metadata', { contentType: 'text/plain' }), 415, 'UnsupportedMediaType')
})

test('YAML is read as JSON is', async () => {
  const path = configMaps(await contract.namespace())
  const created = expectCode(
    await contract.http.post(path, 'metadata: {name: tide}\ndata: {high: "12"}', { contentType: 'application/yaml' }),
    201,
  )
  assert.deepEqual(created.data, { high: '12' })
})

test('a verb that a path does not have is not allowed', async () => {
  const path = configMaps(await contract.namespace())
  expectFailure(await contract.http.post(`${path}/tide`, { metadata: { name: 'tide' } }), 405, 'MethodNotAllowed')
})

test('deleting answers with what is gone, and it is gone', async () => {
  const { http } = contract
  const path = configMaps(await contract.namespace())
  const created = expectCode(await http.post(path, { metadata: { name: 'tide' } }), 201)
  const status = expectCode(await http.delete(`${path}/tide`), 200)
  assert.equal(status.status, 'Success')
  assert.deepEqual(status.details, { name: 'tide', kind: 'configmaps', uid: created.metadata.uid })
  expectFailure(await http.get(`${path}/tide`), 404, 'NotFound')
})

test('deleting a collection takes what the selector names and nothing else', async () => {
  const { http } = contract
  const path = configMaps(await contract.namespace())
  for (const [name, side] of [
    ['a', 'sea'],
    ['b', 'sea'],
    ['c', 'land'],
  ])
    await http.post(path, { metadata: { name, labels: { side } } })
  expectCode(await http.delete(`${path}?labelSelector=side%3Dsea`), 200)
  const left = expectCode(await http.get(path), 200).items.map((item: { metadata: { name: string } }) => item.metadata.name)
  assert.deepEqual(
    left.filter((name: string) => name.length === 1),
    ['c'],
  )
})

test('replacing takes away what the new object does not have, and keeps what the server owns', async () => {
  const { http } = contract
  const path = configMaps(await contract.namespace())
  const created = expectCode(await http.post(path, { metadata: { name: 'tide', labels: { a: 'b' } }, data: { high: '12', low: '1' } }), 201)
  const replaced = expectCode(await http.put(`${path}/tide`, { metadata: { name: 'tide' }, data: { high: '13' } }), 200)
  assert.deepEqual(replaced.data, { high: '13' })
  assert.equal(replaced.metadata.labels, undefined)
  assert.equal(replaced.metadata.uid, created.metadata.uid)
  assert.equal(replaced.metadata.creationTimestamp, created.metadata.creationTimestamp)
  assert.ok(Number(replaced.metadata.resourceVersion) > Number(created.metadata.resourceVersion))
})

test('replacing an object by itself changes nothing, not even its version', async () => {
  const { http } = contract
  const path = configMaps(await contract.namespace())
  const created = expectCode(await http.post(path, { metadata: { name: 'tide' }, data: { high: '12' } }), 201)
  assert.equal(expectCode(await http.put(`${path}/tide`, created), 200).metadata.resourceVersion, created.metadata.resourceVersion)
})

test('an immutable ConfigMap keeps its data', async () => {
  const { http } = contract
  const path = configMaps(await contract.namespace())
  expectCode(await http.post(path, { metadata: { name: 'tide' }, data: { high: '12' }, immutable: true }), 201)
  const status = expectFailure(
    await http.patch('merge', `${path}/tide`, { data: { high: '13' } }),
    422,
    'Invalid',
    /field is immutable when `immutable` is set/,
  )
  assert.deepEqual(causesOf(status), ['data: FieldValueForbidden'])
})

test('stringData of a Secret becomes data, wins over it, and is not given back', async () => {
  const { http } = contract
  const path = `/api/v1/namespaces/${await contract.namespace()}/secrets`
  const created = expectCode(
    await http.post(path, { metadata: { name: 'pass' }, data: { a: btoa('old'), b: btoa('kept') }, stringData: { a: 'new' } }),
    201,
  )
  assert.deepEqual(created.data, { a: btoa('new'), b: btoa('kept') })
  assert.equal(created.stringData, undefined)
  assert.equal(created.type, 'Opaque')
  const patched = expectCode(await http.patch('merge', `${path}/pass`, { stringData: { c: 'third' } }), 200)
  assert.deepEqual(patched.data, { a: btoa('new'), b: btoa('kept'), c: btoa('third') })
})

test('a Secret keeps its type, and its data must be base64', async () => {
  const { http } = contract
  const path = `/api/v1/namespaces/${await contract.namespace()}/secrets`
  const created = expectCode(await http.post(path, { metadata: { name: 'pass' } }), 201)
  const status = expectFailure(await http.put(`${path}/pass`, { ...created, type: 'example.com/other' }), 422, 'Invalid')
  assert.deepEqual(causesOf(status), ['type: FieldValueInvalid'])
  expectFailure(await http.post(path, { metadata: { name: 'other' }, data: { a: 'not base64!' } }), 400, 'BadRequest')
})

for (const { verb, run } of [
  {
    verb: 'create',
    run: async (path: string) => expectCode(await contract.http.post(`${path}?dryRun=All`, { metadata: { name: 'new' } }), 201),
  },
  {
    verb: 'replace',
    run: async (path: string) =>
      expectCode(await contract.http.put(`${path}/tide?dryRun=All`, { metadata: { name: 'tide' }, data: { high: '13' } }), 200),
  },
  {
    verb: 'patch',
    run: async (path: string) => expectCode(await contract.http.patch('merge', `${path}/tide?dryRun=All`, { data: { high: '13' } }), 200),
  },
  {
    verb: 'apply',
    run: async (path: string) =>
      expectCode(
        await contract.http.patch('apply', `${path}/new?dryRun=All&fieldManager=m`, {
          apiVersion: 'v1',
          kind: 'ConfigMap',
          metadata: { name: 'new' },
          data: { a: 'b' },
        }),
        201,
      ),
  },
  { verb: 'delete', run: async (path: string) => expectCode(await contract.http.delete(`${path}/tide?dryRun=All`), 200) },
]) {
  test(`a dry run of ${verb} answers as the real one does and leaves everything as it was`, async () => {
    const { http } = contract
    const path = configMaps(await contract.namespace())
    const created = expectCode(await http.post(path, { metadata: { name: 'tide' }, data: { high: '12' } }), 201)
    const answer = await run(path)
    if (verb === 'replace' || verb === 'patch') assert.equal(answer.data.high, '13')
    assert.deepEqual(expectCode(await http.get(`${path}/tide`), 200), created)
    expectFailure(await http.get(`${path}/new`), 404, 'NotFound')
  })
}

test('a dry run is refused as the real request would be', async () => {
  const { http } = contract
  const path = `${configMaps(await contract.namespace())}?dryRun=All`
  expectFailure(await http.post(path, { metadata: { name: 'Tide' } }), 422, 'Invalid')
  expectFailure(await http.post(`${configMaps('nowhere')}?dryRun=All`, { metadata: { name: 'tide' } }), 404, 'NotFound')
  expectFailure(await http.post(path.replace('All', 'Some'), { metadata: { name: 'tide' } }), 422, 'Invalid')
})
