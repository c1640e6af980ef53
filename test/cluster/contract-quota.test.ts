import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Body } from './client/http.ts'
import { expectCode, expectFailure, startContract, until, untilQuotasCount } from './contract.ts'

const contract = await startContract()
const { http } = contract

/** A namespace with a quota that is in effect; resolves with its path. */
async function withQuota(hard: Record<string, string>): Promise<string> {
  const namespace = await contract.namespace()
  const path = `/api/v1/namespaces/${namespace}`
  expectCode(await http.post(`${path}/resourcequotas`, { metadata: { name: 'limit' }, spec: { hard } }), 201)
  await untilQuotasCount(contract.cluster, namespace)
  return path
}
const quota = async (path: string): Promise<Body> => expectCode(await http.get(`${path}/resourcequotas/limit`), 200)
const used = (path: string, expected: Record<string, string>) =>
  until(`used is ${JSON.stringify(expected)}`, async () => {
    const { status } = await quota(path)
    return Object.entries(expected).every(([name, amount]) => status?.used?.[name] === amount)
  })
const claim = (name: string, storage: string, storageClassName = 'crate') => ({
  metadata: { name },
  spec: { accessModes: ['ReadWriteOnce'], storageClassName, resources: { requests: { storage } } },
})
const pod = (name: string, resources: Body = {}) => ({
  metadata: { name },
  spec: { terminationGracePeriodSeconds: 0, containers: [{ name: 'c', image: 'c:1', resources }] },
})

test('a quota shows what is used as soon as it is in force, and follows what comes and goes', async () => {
  const path = `/api/v1/namespaces/${await contract.namespace()}`
  expectCode(await http.post(`${path}/persistentvolumeclaims`, claim('a', '1Gi')), 201)
  const hard = { 'requests.storage': '10Gi', persistentvolumeclaims: '5' }
  expectCode(await http.post(`${path}/resourcequotas`, { metadata: { name: 'limit' }, spec: { hard } }), 201)
  await used(path, { 'requests.storage': '1Gi', persistentvolumeclaims: '1' })
  assert.deepEqual((await quota(path)).status.hard, hard)
  expectCode(await http.post(`${path}/persistentvolumeclaims`, claim('b', '512Mi')), 201)
  await used(path, { 'requests.storage': '1536Mi', persistentvolumeclaims: '2' })
  expectCode(await http.patch('merge', `${path}/persistentvolumeclaims/a`, { metadata: { finalizers: null } }), 200)
  expectCode(await http.delete(`${path}/persistentvolumeclaims/a`), 200)
  await used(path, { 'requests.storage': '512Mi', persistentvolumeclaims: '1' })
})

test('what exceeds a quota of storage is refused with the numbers', async () => {
  const path = await withQuota({ 'requests.storage': '2Gi' })
  expectCode(await http.post(`${path}/persistentvolumeclaims`, claim('a', '1536Mi')), 201)
  await used(path, { 'requests.storage': '1536Mi' })
  const message =
    'persistentvolumeclaims "b" is forbidden: exceeded quota: limit, requested: requests.storage=1Gi, used: requests.storage=1536Mi, limited: requests.storage=2Gi'
  const status = expectFailure(await http.post(`${path}/persistentvolumeclaims`, claim('b', '1Gi')), 403, 'Forbidden', message)
  assert.deepEqual(status.details, { name: 'b', kind: 'persistentvolumeclaims' })
  expectFailure(await http.post(`${path}/persistentvolumeclaims?dryRun=All`, claim('b', '1Gi')), 403, 'Forbidden', message)
  expectCode(await http.post(`${path}/persistentvolumeclaims`, claim('c', '512Mi')), 201)
})

test('storage can be limited for one class', async () => {
  const path = await withQuota({ 'crate.storageclass.storage.k8s.io/requests.storage': '1Gi' })
  expectCode(await http.post(`${path}/persistentvolumeclaims`, claim('a', '5Gi', 'other')), 201)
  expectFailure(
    await http.post(`${path}/persistentvolumeclaims`, claim('b', '5Gi', 'crate')),
    403,
    'Forbidden',
    /exceeded quota: limit, requested: crate.storageclass/,
  )
})

test('objects of a kind can be counted', async () => {
  const path = await withQuota({ 'count/deployments.apps': '1' })
  const deployments = path.replace('/api/v1', '/apis/apps/v1').concat('/deployments')
  const deployment = (name: string) => {
    const labels = { app: name }
    return {
      metadata: { name },
      spec: {
        replicas: 0,
        selector: { matchLabels: labels },
        template: { metadata: { labels }, spec: { containers: [{ name: 'c', image: 'c:1' }] } },
      },
    }
  }
  expectCode(await http.post(deployments, deployment('a')), 201)
  await used(path, { 'count/deployments.apps': '1' })
  const message =
    'deployments.apps "b" is forbidden: exceeded quota: limit, requested: count/deployments.apps=1, used: count/deployments.apps=1, limited: count/deployments.apps=1'
  expectFailure(await http.post(deployments, deployment('b')), 403, 'Forbidden', message)
})

test('of many that would exceed a quota together, as many as fit are created', async () => {
  const path = await withQuota({ services: '3' })
  const service = (name: string) => ({ metadata: { name }, spec: { ports: [{ port: 80 }] } })
  const answers = await Promise.all(Array.from({ length: 8 }, (_, i) => http.post(`${path}/services`, service(`s${i}`))))
  assert.equal(answers.filter((answer) => answer.status === 201).length, 3)
  await used(path, { services: '3' })
})

test('pods are counted by what they request, and must request what is limited', async () => {
  const path = await withQuota({ 'requests.cpu': '1', 'requests.memory': '1Gi', pods: '2' })
  expectCode(await http.post(`${path}/pods`, pod('a', { requests: { cpu: '600m', memory: '512Mi' } })), 201)
  await used(path, { 'requests.cpu': '600m', 'requests.memory': '512Mi', pods: '1' })
  expectFailure(
    await http.post(`${path}/pods`, pod('b', { requests: { cpu: '500m', memory: '1Mi' } })),
    403,
    'Forbidden',
    'pods "b" is forbidden: exceeded quota: limit, requested: requests.cpu=500m, used: requests.cpu=600m, limited: requests.cpu=1',
  )
  expectFailure(
    await http.post(`${path}/pods`, pod('c')),
    403,
    'Forbidden',
    /^pods "c" is forbidden: failed quota: limit: must specify .*requests.cpu/,
  )
})

test('a LimitRange fills in what a pod leaves out, and bounds what it asks for', async () => {
  const path = `/api/v1/namespaces/${await contract.namespace()}`
  const limits = [{ type: 'Container', default: { cpu: '500m' }, defaultRequest: { cpu: '250m' }, max: { cpu: '1' } }]
  expectCode(await http.post(`${path}/limitranges`, { metadata: { name: 'usual' }, spec: { limits } }), 201)
  const created = await until('the range is in force', async () => {
    const { spec } = expectCode(await http.post(`${path}/pods?dryRun=All`, pod('a')), 201)
    return spec.containers[0].resources.limits && spec
  })
  assert.deepEqual(created.containers[0].resources, { limits: { cpu: '500m' }, requests: { cpu: '250m' } })
  expectFailure(
    await http.post(`${path}/pods`, pod('b', { limits: { cpu: '2' } })),
    403,
    'Forbidden',
    /maximum cpu usage per Container is 1/,
  )
})

test('a quota that is raised lets in what it kept out', async () => {
  const path = await withQuota({ 'requests.storage': '1Gi' })
  expectFailure(await http.post(`${path}/persistentvolumeclaims`, claim('a', '2Gi')), 403, 'Forbidden')
  expectCode(await http.patch('merge', `${path}/resourcequotas/limit`, { spec: { hard: { 'requests.storage': '3Gi' } } }), 200)
  await until('the claim is let in', async () => (await http.post(`${path}/persistentvolumeclaims`, claim('a', '2Gi'))).status === 201)
})

test('an amount that is none is refused', async () => {
  const path = `/api/v1/namespaces/${await contract.namespace()}/resourcequotas`
  const answer = await http.post(path, { metadata: { name: 'limit' }, spec: { hard: { 'requests.storage': 'much' } } })
  assert.ok(answer.status === 400 || answer.status === 422, answer.text)
  expectFailure(await http.post(path, { metadata: { name: 'limit' }, spec: { hard: { 'requests.storage': '-1' } } }), 422, 'Invalid')
})
