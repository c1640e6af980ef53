import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { Cluster } from '../../../shared/kubernetes/connection.ts'
import { problemOfAnswer } from '../../../shared/kubernetes/failures.ts'
import { kinds, pathOf } from '../../../shared/kubernetes/objects.ts'
import { startCluster, type TestCluster } from '../../cluster/index.ts'
import { connectTo } from './connected.ts'

let cluster: TestCluster
let admin: Cluster

before(async () => {
  cluster = await startCluster()
  admin = connectTo(cluster)
})
after(async () => {
  admin?.close()
  await cluster?.stop()
})

const nowhere = pathOf(kinds.ConfigMap, 'nowhere')
const body = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'tide' } }

for (const [what, type, request] of [
  ['an object that is not there', 'not-found', { method: 'GET', path: pathOf(kinds.Secret, 'default', 'absent') }],
  ['an object in a namespace that is not there', 'not-found', { method: 'POST', path: nowhere, body }],
  ['an object of a kind that nobody defined', 'not-served', { method: 'GET', path: pathOf(kinds.CrateDB, 'default', 'absent') }],
  ['a list of a kind that nobody defined', 'not-served', { method: 'GET', path: pathOf(kinds.CrateDB) }],
] as const)
  test(`${what} is ${type}`, async () => {
    await assert.rejects(admin.request(request), { type })
  })

test('the faults of a refusal are JSON pointers, also where Kubernetes names no field', () => {
  // As 1.36 answers; older ones name the field only.
  const causes = [
    { reason: 'FieldValueTypeInvalid', message: 'must be of type integer', field: 'spec.nodes.data[0].replicas' },
    { reason: 'FieldValueInvalid', message: 'Checked value must be of type integer', field: '<nil>' },
    { reason: 'FieldValueInvalid', message: 'some validation rules were not checked' },
  ]
  const { faults } = problemOfAnswer('POST /', 422, JSON.stringify({ reason: 'Invalid', code: 422, details: { causes } }))
  assert.deepEqual(
    faults.map((fault) => 'path' in fault && fault.path),
    ['/spec/nodes/data/0/replicas', '', ''],
  )
})

for (const [what, message, type] of [
  [
    'an account without the right',
    'pods is forbidden: User "pilot" cannot list resource "pods" in API group "" at the cluster scope',
    'cluster-forbidden',
  ],
  [
    'a webhook',
    'admission webhook "validation.gatekeeper.sh" denied the request: [labels] you must provide labels: {"owner"}',
    'rejected-by-cluster',
  ],
  ['a webhook without words', 'admission webhook "silent.example.com" denied the request without explanation', 'rejected-by-cluster'],
  [
    'a policy',
    "secrets \"loot\" is forbidden: ValidatingAdmissionPolicy 'skerry-agent-boundary' with binding 'skerry-agent-boundary' denied request: the agent makes no tokens of service accounts.",
    'rejected-by-cluster',
  ],
] as const)
  test(`forbidden by ${what} is ${type}`, () => {
    const problem = problemOfAnswer('POST /', 403, JSON.stringify({ reason: 'Forbidden', code: 403, message }))
    assert.deepEqual([problem.type, problem.detail], [type, `POST /: ${message}`])
  })
