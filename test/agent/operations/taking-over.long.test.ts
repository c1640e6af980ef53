import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { actions } from '../../../agent/operations/actions/index.ts'
import { type KindName, type KubernetesObject, kinds, pathOf } from '../../../shared/kubernetes/objects.ts'
import { until } from '../../cluster/index.ts'
import { smallDatabase } from './acting-region.ts'
import { type ActionScene, startActionScene } from './actions/scene.ts'

/*
 * Whatever an operation has written is in the cluster when it succeeds, whoever wrote the object before. A plan names the others.
 */

let scene: ActionScene
before(async () => {
  scene = await startActionScene(actions)
  await done('PUT', '/v1/projects/harbour', {})
})
after(() => scene?.close())

const waits = { prefer: 'wait=60' }

async function done(method: string, path: string, body: unknown) {
  const answer = await scene.api.call(method, path, { body, headers: waits })
  assert.ok(answer.status === 200 && (answer.body.phase ?? 'Succeeded') === 'Succeeded', answer.text)
  return answer.body
}

/** What `kubectl patch --type=merge` does, which names itself as the field manager. */
function kubectlPatch(kind: KindName, namespace: string | undefined, name: string, body: object): Promise<KubernetesObject> {
  const query = { fieldManager: 'kubectl-patch' }
  const path = pathOf(kinds[kind], namespace, name)
  return scene.region.admin.request({ method: 'PATCH', path, query, contentType: 'application/merge-patch+json', body })
}

const read = (kind: KindName, namespace: string | undefined, name: string): Promise<KubernetesObject> =>
  scene.region.admin.request({ method: 'GET', path: pathOf(kinds[kind], namespace, name) })

for (const { name, method, body } of [
  { name: 'a merge patch', method: 'PATCH', body: { quota: null } },
  { name: 'a put without it', method: 'PUT', body: {} },
]) {
  test(`a quota that kubectl has set is gone after ${name}, and the plan names kubectl`, async () => {
    await kubectlPatch('Project', undefined, 'harbour', { spec: { quota: { cpu: 2 } } })
    await until('the agent sees the quota', async () => (await scene.api.call('GET', '/v1/projects/harbour')).body.quota?.cpu === 2)
    const plan = await scene.api.call(method, '/v1/projects/harbour?dryRun=true', { body })
    const [step] = plan.body.steps
    assert.deepEqual(step.objects[0].diff, [{ path: '/spec/quota/cpu', from: 2, setBy: ['kubectl-patch'] }], plan.text)
    assert.ok(step.consequences.includes('Takes over what kubectl-patch has set in Project harbour: /spec/quota/cpu.'), plan.text)
    await done(method, '/v1/projects/harbour', body)
    assert.equal((await read('Project', undefined, 'harbour')).spec.quota, undefined)
    assert.equal((await read('ResourceQuota', 'project-harbour', 'skerry')).spec.hard?.['requests.cpu'], undefined)
  })
}

test('a value that kubectl has set is replaced, and a field of its own is removed beside the wanted ones', async () => {
  await kubectlPatch('Project', undefined, 'harbour', { spec: { displayName: 'By hand', quota: { cpu: 2, databases: 4 } } })
  await done('PUT', '/v1/projects/harbour', { displayName: 'Harbour', quota: { databases: 8 } })
  const { spec } = await read('Project', undefined, 'harbour')
  assert.deepEqual([spec.displayName, spec.quota], ['Harbour', { databases: 8 }])
})

test('labels of a project that are removed are gone from its objects, and those of others stay', async () => {
  await done('PUT', '/v1/projects/harbour', { labels: { team: '4711' } })
  await kubectlPatch('Project', undefined, 'harbour', { metadata: { labels: { team: '4712', watch: 'second' } } })
  await kubectlPatch('Project', undefined, 'harbour', { metadata: { labels: { team: '4711' } } })
  await done('PUT', '/v1/projects/harbour', {})
  const { labels = {} } = (await read('Project', undefined, 'harbour')).metadata
  assert.deepEqual([labels.team, labels.watch], [undefined, 'second'])
})

test('a project whose field is changed again and again fails with the field, its value and who sets it', async () => {
  const { region, api } = scene
  region.intercept(async ({ method, path, contentType, query }, send) => {
    const answer = await send()
    if (method === 'PATCH' && contentType?.includes('apply') && path === pathOf(kinds.Project, undefined, 'stubborn') && !query?.dryRun)
      await kubectlPatch('Project', undefined, 'stubborn', { spec: { displayName: 'By hand' } })
    return answer
  })
  const { body, text } = await api.call('PUT', '/v1/projects/stubborn', { body: { displayName: 'By the cloud' }, headers: waits })
  region.intercept()
  assert.deepEqual([body.phase, body.reason], ['Failed', 'FieldConflict'], text)
  assert.match(body.message, /^\/spec\/displayName of Project stubborn is "By hand" again, set by kubectl-patch/)
  assert.match(body.cure, /Make kubectl-patch leave the field alone/)
})

test('what kubectl has added to the spec of a CrateDB is removed with what it belongs to', async () => {
  const path = '/v1/projects/harbour/databases/gauge'
  const { id: _, ...given } = smallDatabase({ id: 'gauge', exposure: { type: 'traefik', hostname: 'gauge.harbour.example' } } as never)
  await done('PUT', path, given)
  await kubectlPatch('CrateDB', 'project-harbour', 'gauge', { spec: { cluster: { externalDNS: 'other.harbour.example' } } })
  const body = { exposure: { type: 'loadbalancer', hostname: null } }
  await until('the agent sees it', async () => (await scene.api.call('GET', path)).body.exposure.hostname === 'other.harbour.example')
  const plan = await scene.api.call('PATCH', `${path}?dryRun=true`, { body })
  const removed = plan.body.steps[0].objects[0].diff.find(({ path }: { path: string }) => path === '/spec/cluster/externalDNS')
  assert.deepEqual(removed, { path: '/spec/cluster/externalDNS', from: 'other.harbour.example', setBy: ['kubectl-patch'] }, plan.text)
  await done('PATCH', path, body)
  assert.equal((await read('CrateDB', 'project-harbour', 'gauge')).spec.cluster.externalDNS, undefined)
})

test('a key that kubectl has added to a Secret of a database is gone after new credentials', async () => {
  const aws = { bucket: 'harbour', region: 'eu-west-1', cron: '0 4 * * *', accessKeyId: 'AKIAOLD', secretAccessKey: 'old-secret' }
  const path = '/v1/projects/harbour/databases/keys'
  const { id: _, ...given } = smallDatabase({ id: 'keys', backups: { aws } } as never)
  await done('PUT', path, given)
  const name = 'backup-keys'
  await kubectlPatch('Secret', 'project-harbour', name, { data: { endpoint: 'b3RoZXI=', region: 'b3RoZXI=' } })
  await done('PATCH', path, { backups: { aws: { accessKeyId: 'AKIANEW', secretAccessKey: 'new-secret' } } })
  const { data } = await read('Secret', 'project-harbour', name)
  assert.deepEqual(Object.keys(data).sort(), ['access-key-id', 'bucket', 'region', 'secret-access-key'])
  assert.equal(data.region, Buffer.from('eu-west-1').toString('base64'))
})

test('a write that does not hold fails with the field and its value', async () => {
  const { region, api } = scene
  const path = '/v1/projects/harbour/databases/bent'
  const { id: _, ...given } = smallDatabase({ id: 'bent' })
  await done('PUT', path, given)
  // As a mutating webhook does.
  region.intercept(async (request, send) => {
    const { method, path, contentType } = request
    const isMeant = method === 'PATCH' && contentType?.includes('apply') && path === pathOf(kinds.CrateDB, 'project-harbour', 'bent')
    if (!isMeant) return send()
    const bent = structuredClone(request.body as KubernetesObject)
    bent.spec.nodes.data[0].replicas = 1
    return region.admin.request({ ...request, body: bent })
  })
  const { body, text } = await api.call('PATCH', path, { body: { nodes: { count: 2 } }, headers: waits })
  region.intercept()
  assert.deepEqual([body.phase, body.reason], ['Failed', 'FieldConflict'], text)
  assert.match(body.message, /\/spec\/nodes\/data of CrateDB project-harbour\/bent is \[/)
})

test('the same networks in another order are held', async () => {
  const path = '/v1/projects/harbour/databases/order'
  const { id: _, ...given } = smallDatabase({ id: 'order', allowedCIDRs: ['10.1.0.0/16', '10.2.0.0/16'] } as never)
  await done('PUT', path, given)
  await done('PATCH', path, { nodes: { count: 2 }, allowedCIDRs: ['10.2.0.0/16', '10.1.0.0/16'] })
})

test('a user that the Crate Operator renames meanwhile, as after a restore, is no conflict', async () => {
  const path = '/v1/projects/harbour/databases/admin'
  const { id: _, ...given } = smallDatabase({ id: 'admin' })
  await done('PUT', path, given)
  await scene.api.call('POST', `${path}/actions/restart`)
  const change = done('PATCH', path, { allowedCIDRs: ['10.9.0.0/16'] })
  const { users } = (await read('CrateDB', 'project-harbour', 'admin')).spec
  await kubectlPatch('CrateDB', 'project-harbour', 'admin', { spec: { users: [{ ...users[0], name: 'restored' }] } })
  await change
  assert.equal((await read('CrateDB', 'project-harbour', 'admin')).spec.users[0].name, 'restored')
})
