import assert from 'node:assert/strict'
import { test } from 'node:test'
import { connect } from 'node:tls'
import { generate } from 'selfsigned'
import { type Body, createHttp } from './client/http.ts'
import { expectCode, expectFailure, startContract, uniqueName, until } from './contract.ts'

const contract = await startContract()
const { cluster, http } = contract

const rbac = '/apis/rbac.authorization.k8s.io/v1'

/** A ServiceAccount without permissions. */
async function account(): Promise<{ namespace: string; name: string; token: string; user: string }> {
  const namespace = await contract.namespace()
  const name = 'pilot'
  return { namespace, name, token: await cluster.serviceAccountToken(namespace, name), user: `system:serviceaccount:${namespace}:${name}` }
}

/** Grants `rules` to an account in the namespace `within`, or everywhere if that is undefined. */
async function allow(
  who: { namespace: string; name: string },
  rules: Body[],
  within: string | undefined = who.namespace,
  subject?: Body,
): Promise<string> {
  const name = uniqueName('pilot')
  const root = within === 'everywhere' ? rbac : `${rbac}/namespaces/${within}`
  const kind = within === 'everywhere' ? 'ClusterRole' : 'Role'
  expectCode(await http.post(`${root}/${kind.toLowerCase()}s`, { metadata: { name }, rules }), 201)
  const subjects = [subject ?? { kind: 'ServiceAccount', namespace: who.namespace, name: who.name }]
  const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind, name }
  expectCode(await http.post(`${root}/${kind.toLowerCase()}bindings`, { metadata: { name }, subjects, roleRef }), 201)
  return name
}

/** The authorizer of the real API server learns of a new binding from a watch, a moment after it was created. */
const untilAllowed = (path: string, token: string) =>
  until(`GET ${path} is allowed`, async () => (await http.get(path, { token })).status === 200)

async function mayI(token: string, resourceAttributes: Body): Promise<boolean> {
  const review = { apiVersion: 'authorization.k8s.io/v1', kind: 'SelfSubjectAccessReview', spec: { resourceAttributes } }
  return expectCode(await http.post('/apis/authorization.k8s.io/v1/selfsubjectaccessreviews', review, { token }), 201).status.allowed
}

test('the certificate is from the authority given and for the address given', async () => {
  const { hostname, port } = new URL(cluster.url)
  const socket = connect({ host: hostname, port: Number(port), ca: cluster.ca })
  await new Promise((resolve, reject) => socket.once('secureConnect', resolve).once('error', reject))
  assert.equal(socket.authorized, true)
  socket.destroy()
})

test('a client that trusts another authority does not connect', async () => {
  const { cert } = await generate([{ name: 'commonName', value: 'another authority' }], { keyType: 'ec', algorithm: 'sha256' })
  const stranger = createHttp({ url: cluster.url, ca: cert, token: cluster.adminToken })
  await assert.rejects(stranger.get('/version'), /certificate/)
  stranger.close()
})

test('an unknown token is unauthorised, whatever it asks for', async () => {
  for (const token of ['invented', `${cluster.adminToken}x`, 'a.b.c']) {
    expectFailure(await http.get('/api/v1/namespaces', { token }), 401, 'Unauthorized', 'Unauthorized')
    expectFailure(await http.get('/version', { token }), 401, 'Unauthorized')
  }
})

test('without a token one is nobody, who may see the version and health and nothing more', async () => {
  expectFailure(
    await http.get('/api/v1/namespaces', { token: null }),
    403,
    'Forbidden',
    /^namespaces is forbidden: User "system:anonymous" cannot list resource "namespaces"/,
  )
  expectCode(await http.get('/version', { token: null }), 200)
  expectCode(await http.get('/readyz', { token: null }), 200)
})

test('the administrator may do everything', async () => {
  assert.equal(await mayI(cluster.adminToken, { verb: '*', group: '*', resource: '*' }), true)
})

test('an account without a role is refused with who, what and where', async () => {
  const { namespace, token, user } = await account()
  const path = `/api/v1/namespaces/${namespace}/configmaps`
  const where = `in API group "" in the namespace "${namespace}"`
  const list = expectFailure(
    await http.get(path, { token }),
    403,
    'Forbidden',
    `configmaps is forbidden: User "${user}" cannot list resource "configmaps" ${where}`,
  )
  assert.deepEqual(list.details, { kind: 'configmaps' })
  const get = expectFailure(
    await http.get(`${path}/tide`, { token }),
    403,
    'Forbidden',
    `configmaps "tide" is forbidden: User "${user}" cannot get resource "configmaps" ${where}`,
  )
  assert.deepEqual(get.details, { name: 'tide', kind: 'configmaps' })
  const leases = await http.post(`/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases`, { metadata: { name: 'tide' } }, { token })
  expectFailure(
    leases,
    403,
    'Forbidden',
    `leases.coordination.k8s.io is forbidden: User "${user}" cannot create resource "leases" in API group "coordination.k8s.io" in the namespace "${namespace}"`,
  )
  expectFailure(
    await http.get('/api/v1/nodes', { token }),
    403,
    'Forbidden',
    `nodes is forbidden: User "${user}" cannot list resource "nodes" in API group "" at the cluster scope`,
  )
  expectFailure(await http.get('/metrics', { token }), 403, 'Forbidden', `forbidden: User "${user}" cannot get path "/metrics"`)
})

test('every account may discover the API and review its own access', async () => {
  const { token, namespace } = await account()
  for (const path of ['/api', '/apis', '/api/v1', '/apis/apps/v1', '/version', '/readyz']) expectCode(await http.get(path, { token }), 200)
  assert.equal(await mayI(token, { verb: 'list', resource: 'configmaps', namespace }), false)
})

test('a role allows its verbs on its resources in its namespace, and nothing beside', async () => {
  const who = await account()
  const { namespace, token } = who
  await allow(who, [{ apiGroups: [''], resources: ['configmaps'], verbs: ['get', 'list', 'create'] }])
  const path = `/api/v1/namespaces/${namespace}/configmaps`
  await untilAllowed(path, token)
  expectCode(await http.post(path, { metadata: { name: 'tide' } }, { token }), 201)
  expectCode(await http.get(`${path}/tide`, { token }), 200)

  const elsewhere = await contract.namespace()
  for (const [what, answer] of Object.entries({
    watch: await http.get(`${path}?watch=true`, { token }),
    delete: await http.delete(`${path}/tide`, undefined, { token }),
    deletecollection: await http.delete(path, undefined, { token }),
    update: await http.put(`${path}/tide`, { metadata: { name: 'tide' } }, { token }),
    patch: await http.patch('merge', `${path}/tide`, {}, { token }),
    'another resource': await http.get(path.replace('configmaps', 'secrets'), { token }),
    'another namespace': await http.get(path.replace(namespace, elsewhere), { token }),
    'all namespaces': await http.get('/api/v1/configmaps', { token }),
  })) {
    assert.equal(answer.status, 403, what)
  }
  assert.equal(await mayI(token, { verb: 'create', resource: 'configmaps', namespace }), true)
  assert.equal(await mayI(token, { verb: 'patch', resource: 'configmaps', namespace }), false)
  assert.equal(await mayI(token, { verb: 'create', resource: 'configmaps', namespace: elsewhere }), false)
  assert.equal(await mayI(token, { verb: 'create', group: 'apps', resource: 'configmaps', namespace }), false)
})

test('applying needs patch, and create too where nothing is yet', async () => {
  const who = await account()
  const { namespace, token } = who
  await allow(who, [{ apiGroups: [''], resources: ['configmaps'], verbs: ['list', 'patch'] }])
  const path = `/api/v1/namespaces/${namespace}/configmaps`
  await untilAllowed(path, token)
  const apply = (name: string) =>
    http.patch('apply', `${path}/${name}?fieldManager=m`, { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name } }, { token })
  expectFailure(await apply('absent'), 403, 'Forbidden', /^configmaps "absent" is forbidden: /)
  expectCode(await http.post(path, { metadata: { name: 'tide' } }), 201)
  expectCode(await apply('tide'), 200)
})

test('a role can be narrowed to names, and a subresource is a resource of its own', async () => {
  const who = await account()
  const { namespace, token } = who
  await allow(who, [
    { apiGroups: [''], resources: ['configmaps'], resourceNames: ['mine'], verbs: ['get', 'list'] },
    { apiGroups: ['apps'], resources: ['deployments/status'], verbs: ['get'] },
  ])
  const path = `/api/v1/namespaces/${namespace}/configmaps`
  for (const name of ['mine', 'yours']) expectCode(await http.post(path, { metadata: { name } }), 201)
  await untilAllowed(`${path}/mine`, token)
  assert.equal((await http.get(`${path}/yours`, { token })).status, 403)
  assert.equal((await http.get(path, { token })).status, 403)
  expectCode(await http.get(`${path}?fieldSelector=metadata.name%3Dmine`, { token }), 200)
  assert.equal(await mayI(token, { verb: 'get', group: 'apps', resource: 'deployments', subresource: 'status', namespace }), true)
  assert.equal(await mayI(token, { verb: 'get', group: 'apps', resource: 'deployments', namespace }), false)
})

test('a cluster role counts everywhere when bound to the cluster, and in one namespace when bound there', async () => {
  const [wide, narrow] = [await account(), await account()]
  const rules = [{ apiGroups: ['*'], resources: ['*'], verbs: ['list'] }]
  const name = await allow(wide, rules, 'everywhere')
  await untilAllowed('/api/v1/configmaps', wide.token)
  expectCode(await http.get('/api/v1/nodes', { token: wide.token }), 200)

  const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name }
  const subjects = [{ kind: 'ServiceAccount', namespace: narrow.namespace, name: narrow.name }]
  expectCode(await http.post(`${rbac}/namespaces/${narrow.namespace}/rolebindings`, { metadata: { name }, subjects, roleRef }), 201)
  await untilAllowed(`/api/v1/namespaces/${narrow.namespace}/configmaps`, narrow.token)
  assert.equal((await http.get('/api/v1/configmaps', { token: narrow.token })).status, 403)
  assert.equal((await http.get('/api/v1/nodes', { token: narrow.token })).status, 403)
})

test('a role can be bound to all accounts of a namespace, and is gone with its binding', async () => {
  const who = await account()
  const group = { kind: 'Group', apiGroup: 'rbac.authorization.k8s.io', name: `system:serviceaccounts:${who.namespace}` }
  const name = await allow(who, [{ apiGroups: [''], resources: ['configmaps'], verbs: ['list'] }], who.namespace, group)
  const path = `/api/v1/namespaces/${who.namespace}/configmaps`
  await untilAllowed(path, who.token)
  expectCode(await http.delete(`${rbac}/namespaces/${who.namespace}/rolebindings/${name}`), 200)
  await until('nothing is allowed', async () => (await http.get(path, { token: who.token })).status === 403)
})

test('a role reference cannot be changed', async () => {
  const who = await account()
  const name = await allow(who, [])
  const answer = await http.patch('merge', `${rbac}/namespaces/${who.namespace}/rolebindings/${name}`, { roleRef: { name: 'other' } })
  expectFailure(answer, 422, 'Invalid', /cannot change roleRef/)
})

test('a refusal names the role of a binding that does not exist', async () => {
  const { namespace, name, token, user } = await account()
  const subjects = [{ kind: 'ServiceAccount', namespace, name }]
  const bindings = `${rbac}/namespaces/${namespace}/rolebindings`
  const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: uniqueName('nobody-made-it') }
  expectCode(await http.post(bindings, { metadata: { name: 'tide' }, subjects, roleRef }), 201)
  const list = () => http.get(`/api/v1/namespaces/${namespace}/configmaps`, { token })
  const words = `configmaps is forbidden: User "${user}" cannot list resource "configmaps" in API group "" in the namespace "${namespace}"`
  const absent = `clusterrole.rbac.authorization.k8s.io "${roleRef.name}" not found`
  await until('the binding is in effect', async () => String((await list()).body.message).includes('RBAC'))
  expectFailure(await list(), 403, 'Forbidden', `${words}: RBAC: ${absent}`)
})
