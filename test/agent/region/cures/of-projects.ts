import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createManagedObjects, type ManagedObjects } from '../../../../agent/controllers/managed-objects.ts'
import { reconcileProject } from '../../../../agent/controllers/project-reconcile.ts'
import { createCaches } from '../../../../agent/region/caches.ts'
import { cures } from '../../../../agent/region/obstacles/cures.ts'
import { createObstacles } from '../../../../agent/region/obstacles/index.ts'
import { renderCures } from '../../../../agent/resources/cure.ts'
import type { Obstacle } from '../../../../agent/resources/operation.ts'
import { systemClock } from '../../../../shared/clock.ts'
import { createCache } from '../../../../shared/kubernetes/cache.ts'
import type { Cluster, ClusterRequest } from '../../../../shared/kubernetes/connection.ts'
import { type KubernetesObject, kinds } from '../../../../shared/kubernetes/objects.ts'
import { createLog } from '../../../../shared/log.ts'
import { until } from '../../../cluster/index.ts'
import { only, operatorName, type Scene } from '../scene.ts'
import type { Trial } from './trial.ts'

const projectNamed = (name: string): KubernetesObject => ({ apiVersion: 'skerry.dev/v1', kind: 'Project', metadata: { name }, spec: {} })
const namespaceNamed = (name: string): KubernetesObject => ({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } })

const apiServices = '/apis/apiregistration.k8s.io/v1/apiservices'
/** Nobody serves it. */
const unreachable = {
  apiVersion: 'apiregistration.k8s.io/v1',
  kind: 'APIService',
  metadata: { name: 'v1beta1.tides.example.com' },
  spec: {
    ...{ group: 'tides.example.com', version: 'v1beta1', groupPriorityMinimum: 100, versionPriority: 100 },
    ...{ service: { name: 'tides', namespace: 'default' }, insecureSkipTLSVerify: true },
  },
}

/** Projects and namespaces that are not there, or leave, brought about by writing objects. */
export function curesOfProjects(scene: Scene, trial: () => Trial): void {
  const { admin, make, obstacles, read, remove } = scene

  async function removeHeld(object: KubernetesObject, finalizer: string): Promise<void> {
    await remove(await make({ ...object, metadata: { ...object.metadata, finalizers: [finalizer] } }))
  }

  async function release(object: KubernetesObject): Promise<void> {
    await make({ ...object, metadata: { ...object.metadata, finalizers: [] } })
  }

  test('a project that is not ready is looked into', async () => {
    const { project } = await scene.project()
    const ready = {
      type: 'Ready',
      status: 'False',
      reason: 'NotApplied',
      message: 'no route to host',
      lastTransitionTime: '2026-01-01T00:00:00Z',
    }
    await make({ ...projectNamed(project), status: { conditions: [ready] } })
    const found = only(await obstacles({ kind: 'project', project }), 'ProjectNotReady')
    await trial().cure(found, { 'ProjectNotReady.describe': /no route to host/ })
  })

  test('a project that leaves is looked into, for a database in it', async () => {
    const { project } = await scene.project()
    await removeHeld(projectNamed(project), 'skerry.dev/project')
    const found = only(await obstacles({ kind: 'database', project, database: 'tide' }), 'ProjectNotReady')
    await trial().cure(found, { 'ProjectNotReady.leaving': new RegExp(project) })
  })

  test('a namespace that is missing is looked into', async () => {
    const { project, namespace } = await scene.project()
    await remove(namespaceNamed(namespace))
    await until('the namespace is gone', async () => (await read(namespaceNamed(namespace))) === undefined)
    await make({
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: { name: 'skerry-agent', namespace: 'skerry' },
      spec: { holderIdentity: 'agent-0' },
    })
    await trial().cure(only(await obstacles({ kind: 'project', project }), 'NamespaceMissing'), {
      'NamespaceMissing.describe': new RegExp(project),
      'NamespaceMissing.leases': /agent-0/,
    })
  })

  test('a quota that is not counted is looked into', async () => {
    const log = createLog({ level: 'silent', name: 'test' })
    const tools = { cluster: admin, clock: systemClock, log }
    const mustAct = () => {}
    const caches = createCaches({ namespace: 'skerry' }, tools)
    const obstacles = createObstacles({
      cluster: admin,
      caches,
      clock: systemClock,
      config: { namespace: 'skerry', operator: operatorName },
    })
    const managed = createManagedObjects({ ...tools, mustAct })
    const pullSecrets = createCache({ kind: kinds.Secret, namespace: 'skerry' }, tools)
    const followed = [caches.projects, caches.databases, managed, pullSecrets]
    const { project, namespace } = await scene.project()
    await remove(namespaceNamed(namespace))
    await until('the namespace is gone', async () => (await read(namespaceNamed(namespace))) === undefined)
    await make({ ...projectNamed(project), spec: { quota: { databases: 3 } } })
    await Promise.all(followed.map((part) => part.start(new AbortController().signal)))
    const config = {
      namespace: 'skerry',
      network: { operatorNamespace: operatorName.namespace, scrapeNamespaces: [] },
      accounts: { agent: 'skerry-agent', monitor: undefined },
      allowedLabels: [],
    }
    // Its cache never shows a counted quota.
    const unheard: ManagedObjects = { ...managed, quota: () => undefined }
    const parts = {
      ...tools,
      config,
      caches,
      managed: unheard,
      pullSecrets,
      obstacles,
      mustAct,
      recheckMs: 1_000,
      withoutRights: new Map(),
    }
    await reconcileProject(project, parts)
    await Promise.all(followed.map((part) => part.stop(0)))

    const [ready] = (await read(projectNamed(project)))?.status?.conditions ?? []
    assert.equal(ready.reason, 'QuotaNotCounted')
    const proposed = [cures.QuotaNotCounted.quotas()]
    assert.ok(ready.message.endsWith(renderCures(proposed)), ready.message)
    const found = { code: ready.reason, cures: proposed, cure: renderCures(proposed) }
    await trial().cure(found, { 'QuotaNotCounted.quotas': new RegExp(`Namespace: +${namespace}`) })
  })

  test('what holds a namespace is shown', async () => {
    const { project, namespace } = await scene.project()
    const held: KubernetesObject = {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'anchor', namespace, finalizers: ['example.com/hold'] },
    }
    await make(held)
    await remove(namespaceNamed(namespace))
    const target = { kind: 'database', project, database: 'tide' } as const
    const found = await until('what holds it is known', async () =>
      (await obstacles(target)).find(({ message }) => message.includes('finalizers remaining')),
    )
    await trial().cure(found, { 'NamespaceTerminating.holders': /^ConfigMap +anchor +\[example\.com\/hold\]$/m })
    await release(held)
  })

  test('a namespace that does not end is looked into', async () => {
    const { project, namespace } = await scene.project()
    await removeHeld(projectNamed(project), 'skerry.dev/project')
    await removeHeld(namespaceNamed(namespace), 'example.com/hold')
    const [found] = await obstacles({ kind: 'project', project }, { laterMs: 30_000 })
    await trial().cure(found as Obstacle, { 'NamespaceTerminating.wait': /Terminating/ })
    await release(namespaceNamed(namespace))
  })

  /** The cluster, in which the namespace controller has noted that of a namespace: it writes it again and again, so it is put in between. */
  const seenWith = (namespace: string, condition: object): Cluster => ({
    ...admin,
    async request<T>(request: ClusterRequest) {
      const answer = await admin.request<KubernetesObject>(request)
      if (request.path !== `/api/v1/namespaces/${namespace}`) return answer as T
      return { ...answer, status: { ...answer.status, conditions: [condition] } } as T
    },
  })

  const conditions = [
    { type: 'NamespaceDeletionDiscoveryFailure', expected: { 'NamespaceTerminating.discovery': /v1beta1\.tides\.example\.com/ } },
    { type: 'NamespaceDeletionGroupVersionParsingFailure', expected: { 'NamespaceTerminating.parsing': /v1beta1\.tides\.example\.com/ } },
    { type: 'NamespaceDeletionContentFailure', expected: { 'NamespaceTerminating.content': /Terminating/ } },
  ]
  for (const { type, expected } of conditions) {
    test(`a namespace with ${type} is looked into`, async () => {
      await admin.request({ method: 'POST', path: apiServices, body: unreachable })
      const { project, namespace } = await scene.project()
      await removeHeld(namespaceNamed(namespace), 'example.com/hold')
      const target = { kind: 'database', project, database: 'tide' } as const
      const [found] = await obstacles(target, { cluster: seenWith(namespace, { type, status: 'True', message: 'no answer' }) })
      assert.ok(found)
      assert.equal(found.code, 'NamespaceTerminating')
      await trial().cure(found, expected)
      await admin.request({ method: 'DELETE', path: `${apiServices}/${unreachable.metadata.name}` })
      await release(namespaceNamed(namespace))
    })
  }
}
