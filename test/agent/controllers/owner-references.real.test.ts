import assert from 'node:assert/strict'
import { test } from 'node:test'
import { applyObject } from '../../../shared/kubernetes/apply.ts'
import { type KubernetesObject, kinds, pathOf } from '../../../shared/kubernetes/objects.ts'
import { startRealCluster, until } from '../../cluster/index.ts'
import { crateDB } from '../region/scene.ts'
import { projectNamed, startControlledRegion } from './region.ts'

// With the admission plugin that OpenShift turns on, only an account that may delete an object may change its owner reference.

const admissionPlugins = ['OwnerReferencesPermissionEnforcement']
const region = await startControlledRegion((options) => startRealCluster({ ...options, admissionPlugins }))
const controller = await region.startProjects()
const namespace = 'project-harbour'

const project = projectNamed('harbour', { quota: { databases: 3 }, imagePullSecrets: ['mirror'] })
const managed = ['RoleBinding', 'Role', 'ResourceQuota', 'LimitRange', 'NetworkPolicy', 'Secret'] as const

/** The agent's objects of a kind in the namespace. */
async function objectsOf(kind: (typeof managed)[number]): Promise<KubernetesObject[]> {
  const query = { labelSelector: 'app.kubernetes.io/managed-by=skerry' }
  const { items } = await region.admin.request<{ items: KubernetesObject[] }>({
    method: 'GET',
    path: pathOf(kinds[kind], namespace),
    query,
  })
  return items.map((object) => ({ ...object, apiVersion: kinds[kind].apiVersion, kind }))
}

const ownersOf = (objects: KubernetesObject[]) =>
  objects.map(({ metadata }) => [metadata.name, ...(metadata.ownerReferences ?? []).map(({ kind, name }) => `${kind} ${name}`)])

test('a project with a database and a pull secret is set up', async () => {
  const data = { '.dockerconfigjson': Buffer.from('{"auths":{"registry.example":{"auth":"cGlsb3Q6dGlkZQ=="}}}').toString('base64') }
  const metadata = { name: 'mirror', namespace: region.namespace }
  await region.make({ apiVersion: 'v1', kind: 'Secret', type: 'kubernetes.io/dockerconfigjson', metadata, data })
  await region.make(project)
  await region.whenReason('harbour', 'Ready')
  await region.make(crateDB(namespace, 'tide'))
  await until('the monitor may read its password', async () => (await objectsOf('RoleBinding')).length === 2)
})

for (const kind of ['RoleBinding', 'Role'] as const)
  test(`the owner reference of a ${kind} is restored`, async () => {
    const before = await objectsOf(kind)
    const owned = ownersOf(before).filter(({ length }) => length === 2)
    assert.deepEqual(owned, [['skerry-monitor-tide', 'CrateDB tide']])
    const path = pathOf(kinds[kind], namespace, 'skerry-monitor-tide')
    const contentType = 'application/merge-patch+json'
    await region.admin.request({ method: 'PATCH', path, contentType, body: { metadata: { ownerReferences: null } } })
    await until('it is back', async () => JSON.stringify(ownersOf(await objectsOf(kind))) === JSON.stringify(ownersOf(before)))
  })

test('what the project owned up to 0.1.0 it no longer owns', async () => {
  await controller.stop(0)
  const { uid = '' } = (await region.read(project))?.metadata ?? {}
  const owner = { apiVersion: project.apiVersion, kind: 'Project', name: 'harbour', uid, controller: true }
  const kindsThen = managed.filter((kind) => !['Role', 'RoleBinding'].includes(kind))
  const all = async () => (await Promise.all(kindsThen.map(objectsOf))).flat()
  for (const { metadata, ...object } of await all()) {
    const { name, labels, annotations } = metadata
    const before = { ...object, metadata: { name, namespace, labels, annotations, ownerReferences: [owner] }, status: undefined }
    await applyObject(region.cluster, before as KubernetesObject, { fieldManager: 'skerry-agent', force: true })
  }
  assert.ok(ownersOf(await all()).every(([, of]) => of === 'Project harbour'))
  await region.startProjects()
  await until('nothing has an owner', async () => ownersOf(await all()).every(({ length }) => length === 1))
})

test('the agent may delete everything that it writes', async () => {
  for (const kind of managed)
    for (const { metadata } of await objectsOf(kind)) {
      const path = pathOf(kinds[kind], namespace, metadata.name)
      await region.cluster.request({ method: 'DELETE', path, query: { dryRun: 'All' } })
    }
})
