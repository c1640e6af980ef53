import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Body } from './client/http.ts'
import { expectCode, expectFailure, startContract, uniqueName } from './contract.ts'

const contract = await startContract()
const namespace = await contract.namespace()
const path = `/api/v1/namespaces/${namespace}/configmaps`

test('replacing an older state is a conflict', async () => {
  const { http } = contract
  const created = expectCode(await http.post(path, { metadata: { name: 'stale' }, data: { high: '12' } }), 201)
  expectCode(await http.put(`${path}/stale`, { ...created, data: { high: '13' } }), 200)
  const message =
    'Operation cannot be fulfilled on configmaps "stale": the object has been modified; please apply your changes to the latest version and try again'
  const status = expectFailure(await http.put(`${path}/stale`, { ...created, data: { high: '14' } }), 409, 'Conflict', message)
  assert.deepEqual(status.details, { name: 'stale', kind: 'configmaps' })
})

test('replacing without a version overwrites', async () => {
  const { http } = contract
  expectCode(await http.post(path, { metadata: { name: 'blind' }, data: { high: '12' } }), 201)
  expectCode(await http.put(`${path}/blind`, { metadata: { name: 'blind' }, data: { high: '13' } }), 200)
})

test('replacing with the uid of an earlier object of the name is a conflict', async () => {
  const { http } = contract
  const first = expectCode(await http.post(path, { metadata: { name: 'again' } }), 201)
  expectCode(await http.delete(`${path}/again`), 200)
  expectCode(await http.post(path, { metadata: { name: 'again' } }), 201)
  expectFailure(await http.put(`${path}/again`, { metadata: { name: 'again', uid: first.metadata.uid } }), 409, 'Conflict')
})

test('of many that create one name, one succeeds', async () => {
  const answers = await Promise.all(Array.from({ length: 20 }, () => contract.http.post(path, { metadata: { name: 'race' } })))
  assert.equal(answers.filter((answer) => answer.status === 201).length, 1)
  for (const answer of answers) if (answer.status !== 201) expectFailure(answer, 409, 'AlreadyExists')
})

test('counting by read, replace and try again loses no step', async () => {
  const { http } = contract
  expectCode(await http.post(path, { metadata: { name: 'count' }, data: { n: '0' } }), 201)
  const increment = async () => {
    for (;;) {
      const current = expectCode(await http.get(`${path}/count`), 200)
      const answer = await http.put(`${path}/count`, { ...current, data: { n: String(Number(current.data.n) + 1) } })
      if (answer.status === 200) return
      expectFailure(answer, 409, 'Conflict')
    }
  }
  await Promise.all(Array.from({ length: 8 }, () => increment().then(increment)))
  assert.equal(expectCode(await http.get(`${path}/count`), 200).data.n, '16')
})

test('merge patches of different fields at the same time all take effect', async () => {
  const { http } = contract
  expectCode(await http.post(path, { metadata: { name: 'merge' } }), 201)
  const keys = Array.from({ length: 10 }, (_, i) => `k${i}`)
  await Promise.all(keys.map(async (key) => expectCode(await http.patch('merge', `${path}/merge`, { data: { [key]: key } }), 200)))
  assert.deepEqual(Object.keys(expectCode(await http.get(`${path}/merge`), 200).data).sort(), keys)
})

test('versions grow with every change, across kinds', async () => {
  const { http } = contract
  const versions: number[] = []
  for (const kind of ['configmaps', 'secrets', 'configmaps', 'services']) {
    const spec = kind === 'services' ? { ports: [{ port: 80 }] } : undefined
    const created = expectCode(
      await http.post(`/api/v1/namespaces/${namespace}/${kind}`, { metadata: { name: uniqueName('order') }, spec }),
      201,
    )
    versions.push(Number(created.metadata.resourceVersion))
  }
  assert.deepEqual(
    versions,
    versions.toSorted((a, b) => a - b),
  )
  assert.equal(new Set(versions).size, versions.length)
})

for (const { what, preconditions } of [
  { what: 'uid', preconditions: { uid: '00000000-0000-0000-0000-000000000000' } },
  { what: 'version', preconditions: { resourceVersion: '1' } },
]) {
  test(`deleting on condition of another ${what} is a conflict and deletes nothing`, async () => {
    const { http } = contract
    const name = uniqueName('kept')
    const { metadata } = expectCode(await http.post(path, { metadata: { name } }), 201)
    expectFailure(await http.delete(`${path}/${name}`, { preconditions }), 409, 'Conflict', /[Pp]recondition/)
    const { uid, resourceVersion } = metadata
    expectCode(await http.delete(`${path}/${name}`, { preconditions: { uid, resourceVersion } }), 200)
  })
}

test('of many candidates for a Lease, one gets it, one takes it over when it has run out, and none is holder beside another', async () => {
  const { http } = contract
  const leases = `/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases`
  const candidates = Array.from({ length: 10 }, (_, i) => `agent-${i}`)
  const spec = (holderIdentity: string, leaseTransitions: number) => {
    const now = new Date().toISOString().replace('Z', '000Z') // MicroTime: six digits
    return { holderIdentity, leaseDurationSeconds: 15, leaseTransitions, acquireTime: now, renewTime: now }
  }

  const creations = await Promise.all(candidates.map((name) => http.post(leases, { metadata: { name: 'leader' }, spec: spec(name, 0) })))
  const created = creations.filter((answer) => answer.status === 201)
  assert.equal(created.length, 1)
  let held: Body = created[0]?.body
  assert.match(held.spec.renewTime, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/)

  for (let round = 1; round <= 5; round++) {
    const seen = held
    const attempts = await Promise.all(candidates.map((name) => http.put(`${leases}/leader`, { ...seen, spec: spec(name, round) })))
    const won = attempts.filter((answer) => answer.status === 200)
    assert.equal(won.length, 1, `round ${round}`)
    for (const answer of attempts) if (answer.status !== 200) expectFailure(answer, 409, 'Conflict')
    held = won[0]?.body
    assert.deepEqual(expectCode(await http.get(`${leases}/leader`), 200).spec, held.spec)
  }
})
