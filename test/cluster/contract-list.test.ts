import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Body } from './client/http.ts'
import { expectCode, expectFailure, startContract } from './contract.ts'

const contract = await startContract()
const { http } = contract

const namesOf = (list: Body): string[] => list.items.map((item: Body) => item.metadata.name)

/** A namespace with Leases named l00 …; only the test creates Leases there. Resolves with their path. */
async function leases(count: number): Promise<string> {
  const path = `/apis/coordination.k8s.io/v1/namespaces/${await contract.namespace()}/leases`
  for (let i = 0; i < count; i++) {
    const labels = { number: String(i), parity: i % 2 === 0 ? 'even' : 'odd', ...(i === 0 ? { first: '' } : {}) }
    expectCode(await http.post(path, { metadata: { name: `l${String(i).padStart(2, '0')}`, labels } }), 201)
  }
  return path
}

test('a list has a kind and a version of its own, and its items come in order of name', async () => {
  const path = await leases(3)
  const list = expectCode(await http.get(path), 200)
  assert.equal(list.kind, 'LeaseList')
  assert.equal(list.apiVersion, 'coordination.k8s.io/v1')
  assert.deepEqual(namesOf(list), ['l00', 'l01', 'l02'])
  assert.ok(Number(list.metadata.resourceVersion) >= Math.max(...list.items.map((item: Body) => Number(item.metadata.resourceVersion))))
})

test('an empty list has an empty array', async () => {
  assert.deepEqual(expectCode(await http.get(await leases(0)), 200).items, [])
})

test('a list across namespaces is in order of namespace and name', async () => {
  const namespaces = [await contract.namespace(), await contract.namespace()]
  for (const namespace of namespaces) {
    expectCode(
      await http.post(`/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases`, {
        metadata: { name: 'across', labels: { across: 'yes' } },
      }),
      201,
    )
  }
  const list = expectCode(await http.get('/apis/coordination.k8s.io/v1/leases?labelSelector=across%3Dyes'), 200)
  assert.deepEqual(
    list.items.map((item: Body) => item.metadata.namespace),
    namespaces.toSorted(),
  )
})

test('limit and continue walk through a list in pages of one version', async () => {
  const path = await leases(7)
  const first = expectCode(await http.get(`${path}?limit=3`), 200)
  assert.deepEqual(namesOf(first), ['l00', 'l01', 'l02'])
  assert.equal(first.metadata.remainingItemCount, 4)
  assert.ok(first.metadata.continue)

  // Changes between two pages are not seen: all pages are of the version of the first one.
  expectCode(await http.post(path, { metadata: { name: 'l99' } }), 201)
  expectCode(await http.delete(`${path}/l04`), 200)

  const second = expectCode(await http.get(`${path}?limit=3&continue=${encodeURIComponent(first.metadata.continue)}`), 200)
  assert.deepEqual(namesOf(second), ['l03', 'l04', 'l05'])
  assert.equal(second.metadata.resourceVersion, first.metadata.resourceVersion)
  const third = expectCode(await http.get(`${path}?limit=3&continue=${encodeURIComponent(second.metadata.continue)}`), 200)
  assert.deepEqual(namesOf(third), ['l06'])
  assert.equal(third.metadata.continue ?? '', '')
  assert.equal(third.metadata.remainingItemCount, undefined)
})

test('a limit that nothing exceeds gives no continue', async () => {
  const list = expectCode(await http.get(`${await leases(3)}?limit=3`), 200)
  assert.equal(list.items.length, 3)
  assert.equal(list.metadata.continue ?? '', '')
})

test('limit counts what the selector lets through', async () => {
  const path = await leases(7)
  const first = expectCode(await http.get(`${path}?limit=2&labelSelector=parity%3Deven`), 200)
  assert.deepEqual(namesOf(first), ['l00', 'l02'])
  const second = expectCode(
    await http.get(`${path}?limit=2&labelSelector=parity%3Deven&continue=${encodeURIComponent(first.metadata.continue)}`),
    200,
  )
  assert.deepEqual(namesOf(second), ['l04', 'l06'])
})

test('a continue that nobody gave out is refused', async () => {
  const answer = await http.get(`${await leases(1)}?limit=1&continue=invented`)
  assert.equal(answer.status, 400, answer.text)
})

const byLabel = [
  { selector: 'parity=even', names: ['l00', 'l02'] },
  { selector: 'parity==even', names: ['l00', 'l02'] },
  { selector: 'parity!=even', names: ['l01', 'l03'] },
  { selector: 'number in (1,2)', names: ['l01', 'l02'] },
  { selector: 'number notin (1,2)', names: ['l00', 'l03'] },
  { selector: 'first', names: ['l00'] },
  { selector: '!first', names: ['l01', 'l02', 'l03'] },
  { selector: 'first=', names: ['l00'] },
  { selector: 'absent!=x', names: ['l00', 'l01', 'l02', 'l03'] },
  { selector: 'parity=even,number!=0', names: ['l02'] },
  { selector: 'number>1', names: ['l02', 'l03'] },
  { selector: '', names: ['l00', 'l01', 'l02', 'l03'] },
]
const byField = [
  { selector: 'metadata.name=l01', names: ['l01'] },
  { selector: 'metadata.name!=l01', names: ['l00', 'l02', 'l03'] },
  { selector: 'metadata.name=absent', names: [] },
]
const four = await leases(4)
for (const { selector, names } of byLabel) {
  test(`the label selector "${selector}" is understood`, async () => {
    assert.deepEqual(namesOf(expectCode(await http.get(`${four}?labelSelector=${encodeURIComponent(selector)}`), 200)), names)
  })
}
for (const { selector, names } of byField) {
  test(`the field selector "${selector}" is understood`, async () => {
    assert.deepEqual(namesOf(expectCode(await http.get(`${four}?fieldSelector=${encodeURIComponent(selector)}`), 200)), names)
  })
}

test('kinds have fields of their own to select by', async () => {
  const namespace = await contract.namespace()
  const secrets = `/api/v1/namespaces/${namespace}/secrets`
  expectCode(await http.post(secrets, { metadata: { name: 'plain' } }), 201)
  expectCode(await http.post(secrets, { metadata: { name: 'own' }, type: 'example.com/own' }), 201)
  assert.deepEqual(namesOf(expectCode(await http.get(`${secrets}?fieldSelector=${encodeURIComponent('type=example.com/own')}`), 200)), [
    'own',
  ])

  const pods = `/api/v1/namespaces/${namespace}/pods`
  for (const [name, nodeName] of [
    ['a', 'rock'],
    ['b', undefined],
  ]) {
    const spec = { nodeName, containers: [{ name: 'c', image: 'c:1' }], terminationGracePeriodSeconds: 0 }
    expectCode(await http.post(pods, { metadata: { name }, spec }), 201)
  }
  const select = async (selector: string) =>
    namesOf(expectCode(await http.get(`${pods}?fieldSelector=${encodeURIComponent(selector)}`), 200))
  assert.deepEqual(await select('spec.nodeName=rock'), ['a'])
  assert.deepEqual(await select('spec.nodeName='), ['b'])
  assert.deepEqual(await select('status.phase=Pending,metadata.name!=a'), ['b'])
})

for (const query of [
  'fieldSelector=spec.holderIdentity%3Dx',
  'labelSelector=a%20b',
  'labelSelector=a%20in%20(',
  'labelSelector=a%3D%3D%3Db',
]) {
  test(`a selector that cannot be understood (${decodeURIComponent(query)}) is a bad request`, async () => {
    expectFailure(await http.get(`${four}?${query}`), 400, 'BadRequest')
  })
}

test('resourceVersion=0 and a version that is known give a list, one from the future does not', async () => {
  const path = await leases(2)
  const { items } = expectCode(await http.get(path), 200)
  // The version of the list may be from a change of another kind, which the API server's cache of Leases does not see.
  const resourceVersion = Math.max(...items.map(({ metadata }: Body) => Number(metadata.resourceVersion)))
  assert.equal(expectCode(await http.get(`${path}?resourceVersion=${resourceVersion}`), 200).items.length, 2)
  expectCode(await http.get(`${path}?resourceVersion=0`), 200)
  const answer = await http.get(`${path}?resourceVersion=${resourceVersion + 1_000_000}`)
  assert.equal(answer.status, 504, answer.text)
  assert.match(answer.body.message, /Too large resource version/)
})

test('a list can be had as a Table', async () => {
  const accept = 'application/json;as=Table;v=v1;g=meta.k8s.io,application/json'
  const table = expectCode(await http.get(four, { headers: { accept } }), 200)
  assert.equal(table.kind, 'Table')
  assert.equal(table.apiVersion, 'meta.k8s.io/v1')
  assert.equal(table.columnDefinitions[0].name, 'Name')
  assert.deepEqual(
    table.rows.map((row: Body) => row.cells[0]),
    ['l00', 'l01', 'l02', 'l03'],
  )
  assert.equal(table.rows[0].object.kind, 'PartialObjectMetadata')
})

test('a list can be had without spec and status', async () => {
  const accept = 'application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io'
  const list = expectCode(await http.get(four, { headers: { accept } }), 200)
  assert.equal(list.kind, 'PartialObjectMetadataList')
  assert.deepEqual(namesOf(list), ['l00', 'l01', 'l02', 'l03'])
  assert.equal(list.items[0].spec, undefined)
})
