import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { parseAllDocuments } from 'yaml'
import { applyObject } from '../../../shared/kubernetes/apply.ts'
import { type KubernetesObject, kinds, pathOf, pathOfObject } from '../../../shared/kubernetes/objects.ts'
import { readObject } from '../../../shared/kubernetes/read.ts'
import { serveCloud } from '../../cloud/serve.ts'
import { runSnapshots, snapshotDefinitions, startCluster, startStandIns, until } from '../../cluster/index.ts'
import type { AgentProcess } from '../../region/agent-process.ts'
import { type Client, createClient } from '../../region/client.ts'
import { regionDefinitions } from '../../region/definitions.ts'
import { prepareRegion, servesPolicies } from '../../region/index.ts'
import { connectTo } from '../../shared/kubernetes/connected.ts'
import { makeSnapshotClass } from '../operations/snapshot-storage.ts'
import { muster } from '../tunnel/crew.ts'
import { installedByHelm, tunnelGiven } from '../tunnel-sample.ts'
import { becomeAdministrator, bindProjectRights, installAccountOfPower } from './attack.ts'
import { type Deed, deedsOf, recordCluster } from './recording-proxy.ts'
import { crateDB } from './scene.ts'

type Rule = { apiGroups: string[]; resources: string[]; resourceNames?: string[]; verbs: string[] }

const documents = parseAllDocuments(await readFile('deploy/rbac/agent.yaml', 'utf8')).map((document) => document.toJS() as KubernetesObject)
const rulesOf = (kind: string, name = 'skerry-agent'): Rule[] =>
  documents.find((document) => document.kind === kind && document.metadata.name === name)?.rules ?? []
const everywhere = rulesOf('ClusterRole')
const inProjects = rulesOf('ClusterRole', 'skerry-agent-project')
const atHome = rulesOf('Role')
const atNodes = rulesOf('Role', 'skerry-agent-clocks')

/** `patch networkpolicies.networking.k8s.io` for each verb on each resource, `patch deployments.apps cloudflared` where names are given. */
const rights = (rules: Rule[]) =>
  rules.flatMap(({ apiGroups, resources, resourceNames, verbs }) =>
    apiGroups.flatMap((group) =>
      resources.flatMap((resource) =>
        verbs.flatMap((verb) => {
          const right = `${verb} ${resource}${group === '' ? '' : `.${group}`}`
          return resourceNames?.map((name) => `${right} ${name}`) ?? [right]
        }),
      ),
    ),
  )

test('the manifest names every right by itself, and each once', () => {
  for (const rules of [everywhere, inProjects, atHome, atNodes]) {
    assert.ok(rules.length > 0)
    assert.equal(JSON.stringify(rules).includes('*'), false)
    assert.deepEqual(rights(rules).toSorted(), [...new Set(rights(rules))].toSorted())
  }
  assert.deepEqual(
    rights([...atHome, ...inProjects]).filter((right) => rights(everywhere).includes(right)),
    [],
    'what may be done everywhere need not be allowed anywhere else',
  )
  const bound = documents.filter(({ kind }) => kind === 'ClusterRoleBinding').map(({ roleRef }) => roleRef.name)
  assert.deepEqual(bound, ['skerry-agent'])
})

test('what it may write everywhere is a project, its namespace, a volume, an Event, and one binding of one role', () => {
  assert.deepEqual(
    rights(everywhere).filter((right) => !/^(get|list|watch) /.test(right)),
    [
      ...['create', 'patch', 'delete'].map((verb) => `${verb} projects.skerry.dev`),
      'update projects/status.skerry.dev',
      ...['create', 'patch', 'delete'].map((verb) => `${verb} namespaces`),
      'bind clusterroles.rbac.authorization.k8s.io skerry-agent-project',
      ...['create', 'patch'].map((verb) => `${verb} rolebindings.rbac.authorization.k8s.io skerry-agent-project`),
      'patch persistentvolumes',
      'create events',
      'patch events',
    ],
  )
})

test('nothing in it lets the agent run code, become somebody else, or read the secrets of the cluster', () => {
  const all = rights([...everywhere, ...inProjects, ...atHome, ...atNodes])
  for (const forbidden of [
    /pods\/(exec|attach|portforward|ephemeralcontainers)/,
    /^(create|patch|update) pods/,
    /^(escalate|impersonate) /,
    /^bind (?!clusterroles\.rbac\.authorization\.k8s\.io skerry-agent-project$)/,
    /^(create|patch|update|delete) cluster/,
    /serviceaccounts\/token/,
    /^(create|patch|update|delete) nodes/,
    /^(create|patch|update|delete) (deployments|replicasets|statefulsets|daemonsets|jobs|cronjobs)/,
    /^\w+ configmaps$/,
  ]) {
    assert.deepEqual(
      all.filter((right) => forbidden.test(right)),
      [],
    )
  }
  assert.deepEqual(
    rights(everywhere).filter((right) => right.endsWith(' secrets')),
    [],
  )
  assert.equal(rights(inProjects).includes('watch secrets'), false)
})

const cases: [method: string, url: string, status: number, deeds: string[]][] = [
  ['GET', '/api/v1/namespaces', 200, ['list namespaces']],
  ['GET', '/api/v1/namespaces/a', 200, ['get namespaces']],
  ['GET', '/api/v1/namespaces/a/pods?watch=true', 200, ['watch pods']],
  ['DELETE', '/api/v1/namespaces/a/pods/b', 200, ['delete pods']],
  [
    'PATCH',
    '/apis/networking.k8s.io/v1/namespaces/a/networkpolicies/b?force=true',
    201,
    ['patch networkpolicies.networking.k8s.io', 'create networkpolicies.networking.k8s.io'],
  ],
  ['PUT', '/apis/skerry.dev/v1/projects/a/status', 200, ['update projects/status.skerry.dev']],
  ['GET', '/version', 200, []],
]
test('the recording knows about which object a request was', () => {
  const named = (method: string, url: string, status = 200) => deedsOf(method, url, status).map(({ verb, name }) => `${verb} ${name}`)
  assert.deepEqual(named('PATCH', '/api/v1/namespaces/a/configmaps/b', 201), ['patch b', 'create b'])
  assert.deepEqual(named('GET', '/api/v1/namespaces/a/configmaps?fieldSelector=metadata.name%3Db&limit=100'), ['list b'])
  assert.deepEqual(named('GET', '/api/v1/namespaces/a/configmaps?watch=true'), ['watch undefined'])
})

for (const [method, url, status, deeds] of cases) {
  test(`the recording calls ${method} ${url} what RBAC calls it`, () => {
    assert.deepEqual(
      deedsOf(method, url, status).map(({ verb, resource }) => `${verb} ${resource}`),
      deeds,
    )
  })
}

const testCluster = await startCluster({ crds: [...regionDefinitions(), snapshotDefinitions] })
// What the stand-ins are refused, such as an event in a namespace that goes, is none of the agent's deeds.
const standIns = await startStandIns(testCluster, { nodes: 4 })
const snapshots = await runSnapshots(standIns.world)
const cluster = await recordCluster(testCluster)
const region = await prepareRegion(cluster)
const served = await serveCloud()
const folder = await mkdtemp(join(tmpdir(), 'skerry-rights-'))
await writeFile(join(folder, 'ca.pem'), served.ca)
const recipient = generateKeyPairSync('x25519').publicKey.export({ type: 'spki', format: 'pem' })
await writeFile(join(folder, 'recipient.pem'), recipient)
const config = {
  cloud: { url: served.origin, caFile: join(folder, 'ca.pem') },
  databases: { sqlUrl: `${standIns.database.url}/{namespace}/{database}/_sql` },
  operations: { recheck: '500ms', keep: 1 },
  tunnel: tunnelGiven,
  recovery: { export: { file: join(folder, 'region.json'), recipientFile: join(folder, 'recipient.pem'), debounce: '1s' } },
}
let agent: AgentProcess
let client: Client

async function connectToAgent(): Promise<void> {
  client?.close()
  agent = await region.startAgent({ config })
  client = createClient({ url: agent.url, ca: region.ca, token: region.token })
}
before(connectToAgent)
after(async () => {
  client?.close()
  await region.close()
  await snapshots.stop()
  await standIns.stop()
  await cluster.stop()
  await served.close()
  await rm(folder, { recursive: true })
})

/** Sends a request and resolves with the result of its operation, once that has succeeded. */
// biome-ignore lint/suspicious/noExplicitAny: each operation has a result of its own
async function done(method: string, path: string, body?: unknown): Promise<any> {
  const answer = await client.call(method, path, { body })
  assert.equal(answer.status, 202, answer.text)
  const operation = await until(
    `${method} ${path} has ended`,
    async () => {
      const { body } = await client.call('GET', `/v1/operations/${answer.body.id}`)
      return body.endedAt !== undefined && body
    },
    60_000,
  )
  assert.equal(operation.phase, 'Succeeded', JSON.stringify(operation))
  return operation.result
}

/**
 * The API server knows by a watch of its own that a quota was counted, a moment after everybody else can read it, and refuses what it limits
 * until then.
 */
async function whenCounted(namespace: string): Promise<void> {
  const { status: _, ...body } = crateDB(namespace, 'one')
  const tryOut = { method: 'POST', path: pathOf(kinds.CrateDB, namespace), query: { dryRun: 'All' }, body } as const
  await until('the quota is counted', () =>
    standIns.world.cluster.request(tryOut).then(
      () => true,
      (error) => {
        if (!/status unknown for quota/.test(String(error))) throw error
        return false
      },
    ),
  )
}

/** The tunnel from its first configuration, which the agent makes, to pods that are replaced because something else is exposed. */
async function exposeGrafana(): Promise<void> {
  const { configMap, deployment } = installedByHelm()
  await applyObject(region.admin, deployment, { fieldManager: 'helm' })
  const crew = muster(region.admin, deployment)
  const uids = async () => (await crew.pods()).map(({ metadata }) => metadata.uid)
  try {
    const before = await until('its pods are there', async () => {
      const found = await uids()
      return found.length === 2 && found
    })
    const answer = await client.call('PATCH', '/v1/tunnel', { body: { expose: { grafana: true } } })
    assert.equal(answer.status, 200, answer.text)
    await until('they are replaced', async () => (await uids()).every((uid) => !before.includes(uid)))
    const { metadata } = await region.admin.request<KubernetesObject>({ method: 'GET', path: pathOfObject(configMap) })
    assert.match(metadata.annotations?.['skerry.dev/tunnel-revision'] ?? '', /^2-/)
  } finally {
    await crew.stop()
  }
}

/** From no key at all to a registration at the cloud. */
async function joinCloud(): Promise<void> {
  const registration = () => readObject(region.admin, pathOf(kinds.Registration, region.namespace, 'cloud'))
  const { code } = await until('the region shows a code', async () => (await registration())?.status?.pairing)
  served.cloud.registry.typed(code)
  await until('the region is registered', async () => (await registration())?.status?.state === 'Ready')
}

/** With the secrets of databases, from the namespaces of projects, and where it is noted down. */
async function keepFile(): Promise<void> {
  const read = async () => JSON.parse(await readFile(join(folder, 'region.json'), 'utf8').catch(() => '{}'))
  const file = await until('the file of the region has the database', async () => {
    const found = await read()
    return found.document?.databases?.length === 1 && found
  })
  assert.ok(file.document.secrets, 'with its secrets, for the recipient')
  await until(
    'the cloud has the file too',
    async () => Object.values(served.cloud.registry.records.regions).some(({ file }) => file),
    90_000,
  )
}

/** Snapshots of each volume, then of all in a group, where an administrator has brought what is needed for that. */
async function takeVolumes(path: string): Promise<void> {
  await makeSnapshotClass(region.admin, 'VolumeSnapshotClass', 'disks')
  await done('POST', `${path}/actions/snapshot-volumes`, {})
  await makeSnapshotClass(region.admin, 'VolumeGroupSnapshotClass', 'together')
  await done('POST', `${path}/actions/snapshot-volumes`, {})
}

/** Rights that the agent needs only when something goes another way than here, each with the test that has it so. */
const elsewhere = [
  'list volumeattachments.storage.k8s.io', // obstacles-of-volumes.test.ts: a volume that hangs on a dead node
  'list events', // obstacles-of-volumes.test.ts: a provisioner that fails
  'get operations.skerry.dev', // journal.test.ts: two replicas accept at the same time
  'create serviceaccounts default', // a project that is quicker than the controller that makes "default"
  // owner-references.real.test.ts: an owner reference of 0.1.0, where only who may delete an object may remove it
  'delete resourcequotas skerry',
  'delete limitranges skerry',
  'get validatingadmissionpolicybindings.admissionregistration.k8s.io skerry-agent-boundary', // preflight.test.ts: the agent's own preflight
  // Asked of every write of the RoleBinding; no request of its own.
  'bind clusterroles.rbac.authorization.k8s.io skerry-agent-project',
]

test('the agent does its whole job with these rights, and uses each of them', async () => {
  const metadata = { name: 'mirror', namespace: region.namespace }
  const data = { '.dockerconfigjson': Buffer.from('{"auths":{"registry.example":{"auth":"cGlsb3Q6dGlkZQ=="}}}').toString('base64') }
  await region.admin.request({
    method: 'POST',
    path: `/api/v1/namespaces/${region.namespace}/secrets`,
    body: { apiVersion: 'v1', kind: 'Secret', type: 'kubernetes.io/dockerconfigjson', metadata, data },
  })
  const project = { id: 'harbour', quota: { databases: 5 }, imagePullSecrets: ['mirror'] }
  await done('PUT', '/v1/projects/harbour', project)
  await whenCounted('project-harbour')

  const path = '/v1/projects/harbour/databases/tide'
  const aws = { accessKeyId: 'AKIAEXAMPLE', secretAccessKey: 'example', region: 'eu-north-1', bucket: 'snapshots', cron: '17 * * * *' }
  await done('PUT', path, {
    id: 'tide',
    version: '5.10.1',
    nodes: { count: 2, cpu: 1, memory: '1Gi', disk: { size: '8Gi', storageClass: 'crate-premium' } },
    users: [{ name: 'harbourmaster', generate: true }],
    allowedCIDRs: ['10.20.0.0/16'],
    backups: { aws },
  })
  await done('PATCH', path, { allowedCIDRs: ['10.30.0.0/16'] })
  await done('PATCH', path, { backups: { aws: { cron: '27 * * * *' } } })
  await done('POST', `${path}/actions/rotate-password`, { user: 'harbourmaster' })
  await done('POST', `${path}/actions/restart`, {})
  await takeVolumes(path)
  const { deletedDatabase } = await done('DELETE', path)
  await done('POST', `/v1/projects/harbour/deleted-databases/${deletedDatabase}/actions/undelete`)

  // A node that cannot be placed makes it look for what stands in the way, and its end is asked for.
  const answer = await client.call('PATCH', path, { body: { nodes: { count: 6 } } })
  assert.equal(answer.status, 202, answer.text)
  await until('it is told what stands in the way', async () => {
    const { body } = await client.call('GET', `/v1/operations/${answer.body.id}`)
    return body.blockers?.some(({ code }: { code: string }) => code === 'PodUnschedulable')
  })
  assert.equal((await client.call('DELETE', `/v1/operations/${answer.body.id}`)).status, 202)
  const inHarbour = (kind: 'NetworkPolicy' | 'Role' | 'RoleBinding') => pathOf(kinds[kind], 'project-harbour')
  // As an agent of another configuration would have left it.
  const labels = { 'app.kubernetes.io/managed-by': 'skerry', 'skerry.dev/project': 'harbour' }
  const outdated = {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name: 'skerry-outdated', labels },
    spec: { podSelector: {} },
  }
  await region.admin.request({ method: 'POST', path: inHarbour('NetworkPolicy'), body: outdated })
  // Of a database that is gone, if the garbage collector is late.
  const role = { ...outdated, apiVersion: kinds.Role.apiVersion, kind: 'Role', spec: undefined, rules: [] }
  const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'skerry-outdated' }
  await region.admin.request({ method: 'POST', path: inHarbour('Role'), body: role })
  await region.admin.request({
    method: 'POST',
    path: inHarbour('RoleBinding'),
    body: { ...role, kind: 'RoleBinding', rules: undefined, roleRef },
  })
  for (const kind of ['NetworkPolicy', 'Role', 'RoleBinding'] as const)
    await until(`the outdated ${kind} is gone`, async () => {
      const { items } = await region.admin.request<{ items: KubernetesObject[] }>({ method: 'GET', path: inHarbour(kind) })
      return items.length > 0 && items.every(({ metadata }) => metadata.name !== 'skerry-outdated')
    })
  await exposeGrafana()
  await joinCloud()
  await keepFile()
  await done('PUT', '/v1/projects/harbour', { ...project, imagePullSecrets: [] })
  const { deletedDatabases } = await done('DELETE', '/v1/projects/harbour?cascade=true')
  await done('DELETE', `/v1/projects/harbour/deleted-databases/${deletedDatabases[0]}`)

  // Another one follows the Lease, and collects what has ended as soon as it leads.
  const first = agent
  await connectToAgent()
  const isWatched = () => cluster.deeds.some(({ verb, resource }) => verb === 'watch' && resource === 'leases.coordination.k8s.io')
  await until('the Lease is watched', async () => isWatched())
  await first.stop()

  const used = () =>
    new Set(
      cluster.deeds
        .filter(({ status }) => status !== 403)
        .flatMap(({ verb, resource, name }) => [`${verb} ${resource}`, ...(name === undefined ? [] : [`${verb} ${resource} ${name}`])]),
    )
  const unused = () =>
    rights([...everywhere, ...inProjects, ...atHome, ...atNodes]).filter((right) => !used().has(right) && !elsewhere.includes(right))
  await until('every right was used', async () => unused().length === 0).catch(() =>
    assert.deepEqual(unused(), [], 'rights that nothing used'),
  )
  // A RoleBinding takes a moment to be in effect, and what it allows is tried until then: also to read what is not there yet.
  const isOfTheStart = (refused: Deed) =>
    refused.namespace === 'project-harbour' &&
    cluster.deeds.some(({ verb, path, status }) => verb === refused.verb && path === refused.path && (status < 300 || status === 404))
  assert.deepEqual(
    cluster.deeds.filter((deed) => (deed.status === 403 || deed.status === 401) && !isOfTheStart(deed)),
    [],
    'what was refused',
  )
})

test('a project that somebody deletes in the foreground goes with its databases through the API, by the cure that it names', async () => {
  await done('PUT', '/v1/projects/ebb', { id: 'ebb' })
  const nodes = { count: 1, cpu: '500m', memory: '1Gi', disk: { size: '8Gi', storageClass: 'crate-premium' } }
  await done('PUT', '/v1/projects/ebb/databases/tide', { id: 'tide', version: '5.10.1', nodes, deletionProtection: true })
  const path = pathOf(kinds.Project, undefined, 'ebb')
  await region.admin.request({ method: 'DELETE', path, query: { propagationPolicy: 'Foreground' } })
  await until('it waits for its database', async () => {
    const { metadata, status } = await region.admin.request<KubernetesObject>({ method: 'GET', path })
    return metadata.finalizers?.length === 1 && status?.conditions?.[0]?.reason === 'DatabasesRemain'
  })
  await done('PATCH', '/v1/projects/ebb/databases/tide', { deletionProtection: false })
  await done('DELETE', '/v1/projects/ebb?cascade=true')
})

const thief = connectTo(testCluster, await testCluster.serviceAccountToken('skerry', 'skerry-agent'))
after(() => thief.close())
const hasPolicies = await servesPolicies(region.admin)
const refusedBy = /ValidatingAdmissionPolicy 'skerry-agent-boundary'/

test('a stolen token of the agent makes no token of a powerful account', async () => {
  for (const namespace of ['kube-system', 'vault']) {
    await installAccountOfPower(region.admin, namespace)
    const attack = becomeAdministrator(thief, testCluster, namespace)
    await assert.rejects(attack, { type: 'cluster-forbidden', message: /^POST .*secrets.* is forbidden/ }, 'refused at the first request')
  }
})

test('it runs no container of its own through cloudflared', async () => {
  const { deployment } = installedByHelm()
  await applyObject(region.admin, deployment, { fieldManager: 'helm', force: true })
  const containers = [{ name: 'cloudflared', image: 'registry.example/loot', securityContext: { privileged: true } }]
  const body = { spec: { template: { spec: { hostPID: true, containers } } } }
  const path = pathOfObject(deployment)
  for (const contentType of ['application/strategic-merge-patch+json', 'application/merge-patch+json'])
    await assert.rejects(thief.request({ method: 'PATCH', path, contentType, body }), { type: 'cluster-forbidden' })
  const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'loot' }, spec: { containers } }
  await assert.rejects(thief.request({ method: 'POST', path: pathOf(kinds.Pod, 'skerry'), body: pod }), { type: 'cluster-forbidden' })
})

test('nor does it get rights in a closed namespace', async () => {
  await assert.rejects(bindProjectRights(thief, 'kube-system'), /cannot change roleRef/)
  const taken = pathOf(kinds.RoleBinding, 'kube-system', 'skerry-agent-project')
  await assert.rejects(thief.request({ method: 'DELETE', path: taken }), { type: 'cluster-forbidden' })
  const subjects = [{ kind: 'ServiceAccount', name: 'skerry-agent', namespace: 'skerry' }]
  const contentType = 'application/merge-patch+json'
  await assert.rejects(thief.request({ method: 'PATCH', path: taken, contentType, body: { subjects } }))
  await assert.rejects(becomeAdministrator(thief, testCluster, 'kube-system'), { type: 'cluster-forbidden' })
})

test(`in another namespace it ${hasPolicies ? 'is refused as well' : 'does, before Kubernetes 1.30: docs/security.md says so'}`, async () => {
  if (hasPolicies) {
    await assert.rejects(bindProjectRights(thief, 'vault'), refusedBy)
    return assert.rejects(becomeAdministrator(thief, testCluster, 'vault'), { type: 'cluster-forbidden' })
  }
  await bindProjectRights(thief, 'vault')
  const attack = () => becomeAdministrator(thief, testCluster, 'vault').catch(() => undefined)
  assert.notDeepEqual(await until('the binding is in effect', attack), [])
})

test('it grants nothing that the agent does not have, on any version', async () => {
  const project = { apiVersion: 'skerry.dev/v1', kind: 'Project', metadata: { name: 'quay' }, spec: {} }
  await applyObject(thief, project, { fieldManager: 'thief' })
  await until('the project is ready', async () => {
    const { status } = await thief.request<KubernetesObject>({ method: 'GET', path: pathOfObject(project) })
    return status?.conditions?.[0]?.status === 'True'
  })
  const apiVersion = 'rbac.authorization.k8s.io/v1'
  const apiGroup = 'rbac.authorization.k8s.io'
  const subjects = [{ kind: 'ServiceAccount', name: 'skerry-agent', namespace: 'skerry' }]
  const binding = (name: string, to: string, namespace?: string): KubernetesObject => ({
    apiVersion,
    kind: namespace === undefined ? 'ClusterRoleBinding' : 'RoleBinding',
    metadata: { name, ...(namespace !== undefined && { namespace }) },
    roleRef: { apiGroup, kind: 'ClusterRole', name: to },
    subjects,
  })
  const rules = [{ apiGroups: [''], resources: ['pods'], verbs: ['create'] }]
  const grants: [path: string, body: object][] = [
    [pathOf(kinds.RoleBinding, 'project-quay'), binding('more', 'cluster-admin', 'project-quay')],
    [pathOf(kinds.RoleBinding, 'project-quay'), binding('more', 'admin', 'project-quay')],
    [pathOf(kinds.Role, 'project-quay'), { apiVersion, kind: 'Role', metadata: { name: 'more', namespace: 'project-quay' }, rules }],
    [`/apis/${apiVersion}/clusterrolebindings`, binding('more', 'cluster-admin')],
    [`/apis/${apiVersion}/clusterroles`, { apiVersion, kind: 'ClusterRole', metadata: { name: 'more' }, rules }],
    [pathOf(kinds.RoleBinding, 'default'), binding('more', 'skerry-agent-project', 'default')],
  ]
  for (const [path, body] of grants)
    await assert.rejects(thief.request({ method: 'POST', path, body }), { type: 'cluster-forbidden' }, path)
  const wider = { rules: [{ apiGroups: ['*'], resources: ['*'], verbs: ['*'] }] }
  for (const name of ['skerry-agent', 'skerry-agent-project', 'admin']) {
    const path = `/apis/${apiVersion}/clusterroles/${name}`
    const patch = { method: 'PATCH', path, contentType: 'application/merge-patch+json', body: wider } as const
    await assert.rejects(thief.request(patch), { type: 'cluster-forbidden' }, path)
  }
})

if (hasPolicies)
  test('on Kubernetes with policies it is kept to its own objects', async () => {
    const secret = (namespace: string) => ({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'skerry-fingerprint-key', namespace, annotations: { 'kubernetes.io/service-account.name': 'default' } },
      type: 'kubernetes.io/service-account-token',
    })
    for (const namespace of ['project-quay', 'skerry'])
      await assert.rejects(thief.request({ method: 'POST', path: pathOf(kinds.Secret, namespace), body: secret(namespace) }), refusedBy)
    const contentType = 'application/merge-patch+json'
    const labels = { 'pod-security.kubernetes.io/enforce': 'privileged' }
    const patch = (path: string, body: object) => thief.request({ method: 'PATCH', path, contentType, body })
    await assert.rejects(patch(pathOf(kinds.Namespace, undefined, 'vault'), { metadata: { labels } }), refusedBy)
    const meshed = { metadata: { labels: { 'istio-injection': 'enabled' } } }
    await assert.rejects(patch(pathOf(kinds.Namespace, undefined, 'project-quay'), meshed), refusedBy)
    await assert.rejects(thief.request({ method: 'DELETE', path: pathOf(kinds.Namespace, undefined, 'vault') }), refusedBy)
    const body = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'elsewhere' } }
    await assert.rejects(thief.request({ method: 'POST', path: pathOf(kinds.Namespace), body }), refusedBy)
    const release = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'sh.helm.release.v1.skerry.v2', namespace: 'skerry' } }
    await assert.rejects(thief.request({ method: 'POST', path: pathOf(kinds.Secret, 'skerry'), body: release }), refusedBy)
    const volumeOf = (namespace: string) => ({
      apiVersion: 'v1',
      kind: 'PersistentVolume',
      metadata: { name: `of-${namespace}` },
      spec: {
        accessModes: ['ReadWriteOnce'],
        capacity: { storage: '1Gi' },
        claimRef: { namespace, name: 'data' },
        hostPath: { path: '/nowhere' },
        persistentVolumeReclaimPolicy: 'Retain',
      },
    })
    for (const namespace of ['vault', 'project-quay'])
      await region.admin.request({ method: 'POST', path: pathOf(kinds.PersistentVolume), body: volumeOf(namespace) })
    const pathOfVolume = (namespace: string) => pathOf(kinds.PersistentVolume, undefined, `of-${namespace}`)
    const deleted = { spec: { persistentVolumeReclaimPolicy: 'Delete' } }
    await assert.rejects(patch(pathOfVolume('vault'), deleted), refusedBy)
    await patch(pathOfVolume('project-quay'), deleted)
    const owner = { apiVersion: 'v1', kind: 'ConfigMap', name: 'none', uid: 'none' }
    for (const metadata of [{ ownerReferences: [owner] }, { finalizers: null }, { labels: { 'other.example/a': 'b' } }])
      await assert.rejects(patch(pathOfVolume('project-quay'), { metadata }), refusedBy)
    await assert.rejects(patch(pathOfVolume('project-quay'), { spec: { mountOptions: ['ro'] } }), refusedBy)
  })
