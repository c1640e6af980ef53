import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { parseAllDocuments } from 'yaml'
import { monitorAccess } from '../../../agent/resources/project-access.ts'
import { checkKindNamed } from '../../../monitor/checks/index.ts'
import type { CheckResult } from '../../../monitor/checks/kind.ts'
import { createClusterBeats, Heartbeats } from '../../../monitor/heartbeats/index.ts'
import { restartPods } from '../../../monitor/prober/actions/restart-pod.ts'
import { resultOfError } from '../../../monitor/prober/run.ts'
import { collections, createMonitorCaches, followRegion, isKnown } from '../../../monitor/region/caches.ts'
import { discoveryConfig } from '../../../monitor/region/config.ts'
import { Discovery } from '../../../monitor/region/discovery.ts'
import { createClusterBdSeq } from '../../../monitor/sparkplug/bd-seq.ts'
import { apiServerOf } from '../../../monitor/wire/api-server.ts'
import { withPassword } from '../../../monitor/wire/password-secret.ts'
import { systemClock } from '../../../shared/clock.ts'
import { type Cluster, connectCluster } from '../../../shared/kubernetes/connection.ts'
import { serviceAccountCredentials } from '../../../shared/kubernetes/credentials.ts'
import { createLease, type Lease } from '../../../shared/kubernetes/lease.ts'
import { type KubernetesObject, kinds, pathOf } from '../../../shared/kubernetes/objects.ts'
import type { Part } from '../../../shared/lifecycle.ts'
import { type RecordedCluster, recordCluster } from '../../agent/region/recording-proxy.ts'
import { type Fixture, startFixture, until } from '../../cluster/index.ts'
import { definitions, regionDefinitions } from '../../region/definitions.ts'
import { connectTo, install, installObject, whenInEffect } from '../../shared/kubernetes/connected.ts'
import { components, silent, sparkplugNode } from './in-hand.ts'

type Rule = { apiGroups: string[]; resources: string[]; resourceNames?: string[]; verbs: string[] }

const manifest = 'deploy/rbac/monitor.yaml'
const namespace = 'skerry'
const documents = parseAllDocuments(await readFile(manifest, 'utf8')).map((document) => document.toJS() as KubernetesObject)
const roles = documents.filter(({ kind }) => kind === 'ClusterRole' || kind === 'Role')
const rulesOf = (name: string): Rule[] => roles.flatMap((role) => (role.metadata.name === name ? (role.rules as Rule[]) : []))
const allRules = roles.flatMap(({ rules }) => rules as Rule[])

/** `list deployments.apps` for each verb on each resource. */
const rights = (rules: Rule[]) =>
  rules.flatMap(({ apiGroups, resources, verbs }) =>
    apiGroups.flatMap((group) =>
      resources.flatMap((resource) => verbs.map((verb) => `${verb} ${resource}${group === '' ? '' : `.${group}`}`)),
    ),
  )

test('the manifest names every right by itself, and each once', () => {
  assert.equal(JSON.stringify(allRules).includes('*'), false)
  assert.deepEqual(rights(allRules).toSorted(), [...new Set(rights(allRules))].toSorted())
})

test('nothing in it lets the monitor change the cluster, run code, or look through its secrets', () => {
  assert.deepEqual(
    rights(allRules).filter((right) => !/^(get|list|watch) /.test(right)),
    [
      'create leases.coordination.k8s.io',
      'update leases.coordination.k8s.io',
      'create configmaps',
      'update configmaps',
      'patch configmaps',
    ],
  )
  assert.deepEqual(
    rights(allRules).filter((right) => /nodes\/proxy|pods\/|serviceaccounts|rbac/.test(right)),
    [],
  )
  const bound = documents.filter(({ kind }) => kind.endsWith('Binding')).map(({ roleRef }) => roleRef.name as string)
  assert.equal(bound.includes('skerry-monitor-watched-secrets'), false, 'bound only where an operator binds it')
  assert.deepEqual(
    rights(bound.flatMap(rulesOf)).filter((right) => right.endsWith(' secrets')),
    [],
  )
})

test('what it writes it finds by name, and only in its own namespace', () => {
  const own = roles.find(({ kind }) => kind === 'Role')
  assert.equal(own?.metadata.namespace, namespace)
  for (const { verbs, resourceNames } of (own?.rules ?? []) as Rule[]) assert.equal(resourceNames === undefined, verbs.join() === 'create')
})

/** What the agent makes for each database in a project. Resolves once it is in effect. */
async function grantPassword(where: string, name: string): Promise<void> {
  const database = { apiVersion: 'cloud.crate.io/v1', kind: 'CrateDB', metadata: { name } }
  const access = monitorAccess(database, namespace, { agent: 'skerry-agent', monitor: 'skerry-monitor' })
  const objects = access.map(({ name, ...object }) => ({ ...object, metadata: { name, namespace: where } }))
  for (const object of objects) await installObject(admin, object)
  for (const object of objects) await whenInEffect(admin, object, objects)
}

let fixture: Fixture
let recorded: RecordedCluster
let admin: Cluster
let cluster: Cluster
let directory: string
let discovered: Discovery
let caches: ReturnType<typeof createMonitorCaches>
const parts: Part[] = []

before(async () => {
  fixture = await startFixture({ crds: regionDefinitions(), nodes: 3, kubelet: { readyMs: 60 } })
  recorded = await recordCluster(fixture.cluster)
  admin = connectTo(fixture.cluster)
  await installObject(admin, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } })
  await install(admin, [...definitions.skerry, manifest])
  const project = await fixture.project()
  await fixture.created(project, 'gauge')
  await grantPassword(project, 'gauge')

  directory = await mkdtemp(path.join(tmpdir(), 'skerry-account-'))
  await writeFile(path.join(directory, 'token'), await fixture.cluster.serviceAccountToken(namespace, 'skerry-monitor'), { mode: 0o600 })
  await writeFile(path.join(directory, 'ca.crt'), recorded.ca)
  const { hostname, port } = new URL(recorded.url)
  cluster = await connectCluster({ serviceAccountDir: directory, serviceHost: hostname, servicePort: port }, { clock: systemClock })
  const tools = { cluster, clock: systemClock, log: silent }
  caches = createMonitorCaches({ components }, tools)
  const discovery = discoveryConfig.parse({ databaseUrl: `${fixture.standIns.database.url}/{namespace}/{database}/_sql` })
  discovered = new Discovery({ discovery, components }, { ...tools, caches })
  parts.push(followRegion(caches, tools), discovered)
  for (const part of parts) await part.start(new AbortController().signal)
})
after(async () => {
  for (const part of parts.toReversed()) await part.stop(0)
  cluster?.close()
  admin?.close()
  await recorded?.stop() // and with it the cluster
  await fixture?.stop()
  if (directory !== undefined) await rm(directory, { recursive: true })
})

/** What was refused, but for the one thing that volume checks can do without. */
const refused = () =>
  recorded.deeds
    .filter(({ status, resource }) => (status === 403 || status === 401) && resource !== 'nodes/proxy')
    .map(({ verb, resource }) => `${verb} ${resource}`)

test('the whole region is seen with these rights', async () => {
  await until('every cache is whole', async () => collections.every((name) => isKnown(caches[name])))
  await until('every collection is watched', async () => collections.every((name) => caches[name].trouble === undefined))
  assert.deepEqual(refused(), [])
})

/** One run of a discovered check as the prober does it. */
async function run(kind: string): Promise<CheckResult> {
  const check = await until(`a ${kind} check is discovered`, async () => discovered.checks().find((each) => each.kind === kind))
  const credentials = serviceAccountCredentials(directory, new URL(recorded.url), systemClock)
  const context = { signal: AbortSignal.timeout(10_000), apiServer: apiServerOf(credentials) }
  return (checkKindNamed(check.kind) as NonNullable<ReturnType<typeof checkKindNamed>>)
    .check(check.options as never, context)
    .catch(resultOfError)
}

test('the discovered check of the API server is up', async () => {
  const result = await run('kubernetes')
  assert.equal(result.state, 'up', result.detail)
})

for (const kind of ['cratedb', 'volume'])
  test(`the discovered ${kind} check of a database logs in with the password from its Secret`, async () => {
    const result = await run(kind)
    assert.notEqual(result.reason, 'unauthorized', result.detail)
    assert.notEqual(result.reason, 'misconfigured', result.detail)
    assert.equal(result.state, 'up', result.detail)
    assert.ok(recorded.deeds.some(({ path, status }) => path.endsWith('/secrets/user-system-gauge') && status === 200))
  })

test('of a database outside projects the check says that it may not read the password, and who can grant it', async () => {
  const options = { passwordSecret: { namespace: 'elsewhere', name: 'user-system-buoy', key: 'password' } }
  const credentials = serviceAccountCredentials(directory, new URL(recorded.url), systemClock)
  await assert.rejects(withPassword(options, { signal: AbortSignal.timeout(10_000), apiServer: apiServerOf(credentials) }), {
    reason: 'unauthorized',
    message: /may not read the password.*"get secrets" for elsewhere\/user-system-buoy/,
  })
  const { items } = await admin.request({ method: 'GET', path: pathOf(kinds.Secret) })
  const [other] = items.filter(({ metadata }: KubernetesObject) => metadata.name !== 'user-system-gauge')
  await assert.rejects(cluster.request({ method: 'GET', path: pathOf(kinds.Secret, other.metadata.namespace, other.metadata.name) }), {
    type: 'cluster-forbidden',
  })
})

test('it leads by its own Lease, and may not touch that of the agent', async () => {
  const [lease, follower] = ['test', 'next'].map((holder) =>
    createLease({ namespace, name: 'skerry-monitor', holder }, { cluster, clock: systemClock, log: silent }),
  ) as [Lease, Lease]
  await lease.start(new AbortController().signal)
  await until('it leads', async () => lease.isLeader())
  await follower.start(new AbortController().signal)
  const watch = () => recorded.deeds.find(({ verb, resource }) => verb === 'watch' && resource === 'leases.coordination.k8s.io')
  await until('the other one watches', async () => watch() !== undefined)
  assert.equal(watch()?.status, 200)
  await lease.stop(systemClock.monotonic() + 60_000)
  await until('the other one leads', async () => follower.isLeader())
  await follower.stop(systemClock.monotonic() + 60_000)
  assert.deepEqual(refused(), ['get secrets', 'get secrets'])
  await assert.rejects(cluster.request({ method: 'GET', path: pathOf(kinds.Lease, namespace, 'skerry-agent') }))
  recorded.deeds.splice(
    recorded.deeds.findIndex(({ path }) => path.endsWith('/skerry-agent')),
    1,
  )
})

test('it counts its sessions in the cluster', async () => {
  const store = createClusterBdSeq({ namespace }, { cluster, clock: systemClock })
  const signal = AbortSignal.timeout(10_000)
  assert.deepEqual([await store.next(signal), await store.next(signal)], [0, 1])
})

test('it keeps heartbeats in the cluster, and follows those of its replicas', async (t) => {
  const tools = { cluster, clock: systemClock, log: silent, gatherMs: 50 }
  const [here, there] = [1, 2].map(() => new Heartbeats(createClusterBeats(namespace, tools), tools)) as [Heartbeats, Heartbeats]
  t.after(() => Promise.all([here.stop(), there.stop()]))
  there.heard('sync')
  for (const at of [1, 2]) {
    here.take('sync', { at, state: 'up' })
    await until('the other knows', async () => JSON.stringify(there.heard('sync').last) === JSON.stringify({ at, state: 'up' }))
  }
})

test('Secrets of watched nodes are followed where the role is bound, and nowhere else', async () => {
  const told: string[] = []
  caches.secrets.subscribe(({ key }) => told.push(key))
  const subjects = [{ kind: 'ServiceAccount', name: 'skerry-monitor', namespace }]
  const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'skerry-monitor-watched-secrets' }
  for (const name of ['yard', 'site']) await installObject(admin, { apiVersion: 'v1', kind: 'Namespace', metadata: { name } })
  const metadata = { name: 'watched', namespace: 'site' }
  await installObject(admin, { apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'RoleBinding', metadata, roleRef, subjects })
  const post = (object: KubernetesObject, plural: string, group = 'api/v1') =>
    admin.request({ method: 'POST', path: `/${group}/namespaces/${object.metadata.namespace}/${plural}`, body: object })
  for (const name of ['yard', 'site']) await post(sparkplugNode(name, 'crane', ['config']), 'sparkplugnodes', 'apis/skerry.dev/v1')
  const asked = (name: string, verb: string) => recorded.deeds.find((deed) => deed.verb === verb && deed.path.includes(`/${name}/secrets`))
  await until('they are watched', async () => asked('site', 'watch') !== undefined && asked('yard', 'list') !== undefined)
  assert.deepEqual([asked('site', 'watch')?.status, asked('yard', 'list')?.status], [200, 403])
  for (const name of ['yard', 'site'])
    await post({ apiVersion: 'v1', kind: 'Secret', metadata: { name: 'config', namespace: name } }, 'secrets')
  await until('the change is told', async () => told.includes('site/config'))
  assert.equal(told.includes('yard/config'), false)
})

test('pods are restarted where the right to delete them is bound, and nowhere else', async () => {
  const pod = [...(await fixture.standIns.world.follow('Pod')).values()].find(({ metadata }) => metadata.name === 'crate-data-hot-gauge-0')
  assert.ok(pod)
  const { namespace: where = '', name, uid, labels } = pod.metadata
  const action = {
    type: 'restart-pod',
    namespace: where,
    selector: `app.kubernetes.io/name=${labels?.['app.kubernetes.io/name']}`,
    everyMs: 1,
  } as const
  const restart = () => restartPods(action, { cluster, signal: AbortSignal.timeout(10_000) })
  await assert.rejects(restart(), { type: 'cluster-forbidden' })
  const metadata = { name: 'skerry-monitor-restart-pods', namespace: where }
  const apiVersion = 'rbac.authorization.k8s.io/v1'
  const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: metadata.name }
  const subjects = [{ kind: 'ServiceAccount', name: 'skerry-monitor', namespace }]
  await installObject(admin, { apiVersion, kind: 'Role', metadata, rules: [{ apiGroups: [''], resources: ['pods'], verbs: ['delete'] }] })
  await installObject(admin, { apiVersion, kind: 'RoleBinding', metadata, roleRef, subjects })
  await until('the right is known', async () => (await restart().catch(() => '')) === `deleted ${name}`)
  await until('it is another pod', async () => {
    const there = await admin.request({ method: 'GET', path: pathOf(kinds.Pod, where, name) }).catch(() => undefined)
    return there !== undefined && there.metadata.uid !== uid
  })
})

test('every right was used, and nothing else was asked for', () => {
  assert.deepEqual([...new Set(refused())].toSorted(), ['delete pods', 'get secrets', 'list secrets'], 'where nobody bound these rights')
  const used = new Set(
    recorded.deeds.filter(({ status }) => status !== 401 && status !== 403).map(({ verb, resource }) => `${verb} ${resource}`),
  )
  assert.deepEqual(
    rights(allRules).filter((right) => !used.has(right)),
    [],
    'rights that nothing used',
  )
})
