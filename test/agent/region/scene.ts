import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after } from 'node:test'
import { type Caches, createCaches } from '../../../agent/region/caches.ts'
import { createObstacles } from '../../../agent/region/obstacles/index.ts'
import { renderCures } from '../../../agent/resources/cure.ts'
import type { Target } from '../../../agent/resources/kind.ts'
import type { Obstacle } from '../../../agent/resources/operation.ts'
import { systemClock } from '../../../shared/clock.ts'
import { applyObject } from '../../../shared/kubernetes/apply.ts'
import { isNewer } from '../../../shared/kubernetes/cache.ts'
import type { Cluster } from '../../../shared/kubernetes/connection.ts'
import { type KubernetesObject, kinds, pathOf, pathOfObject } from '../../../shared/kubernetes/objects.ts'
import { createLog } from '../../../shared/log.ts'
import {
  createOperatorDeployment,
  type OperatorDeployment,
  openWorld,
  startCluster,
  type TestCluster,
  until,
  type World,
} from '../../cluster/index.ts'
import { regionDefinitions } from '../../region/definitions.ts'
import { prepareRegion, type Region } from '../../region/index.ts'

export const operatorName = { namespace: 'crate-operator', name: 'crate-operator' }
const fieldManager = 'test'

/** A region in which a test brings things about by writing objects and their statuses, as controllers would. */
export type Scene = {
  testCluster: TestCluster
  region: Region
  /** The administrator's connection. */
  admin: Cluster
  world: World
  caches: Caches
  /** The operator's Deployment and nothing behind it; undefined where the test brings a whole stand-in. */
  operator: OperatorDeployment | undefined
  /** Creates or changes an object, and its status where it says one; resolves with how it stands then. */
  make(object: KubernetesObject): Promise<KubernetesObject>
  remove(object: KubernetesObject): Promise<void>
  read(object: KubernetesObject): Promise<KubernetesObject | undefined>
  /** A project that is ready, and its namespace, under a name of its own. */
  project(): Promise<{ project: string; namespace: string }>
  /** An event of this moment about the object. */
  event(about: KubernetesObject, event: { type: 'Normal' | 'Warning' | 'Error'; reason: string; message: string }): Promise<void>
  /** What stands in the way of the target, as an agent finds it whose clock is `laterMs` ahead. */
  obstacles(target: Target, options?: { laterMs?: number; cluster?: Cluster; operator?: typeof operatorName }): Promise<Obstacle[]>
}

/** Starts the cluster that `SKERRY_CLUSTER` names, and stops it after the last test of the calling file. */
export async function startScene({ withOperator = true } = {}): Promise<Scene> {
  const testCluster = await startCluster({ crds: regionDefinitions() })
  const region = await prepareRegion(testCluster)
  const { admin } = region
  const log = createLog({ level: 'silent', name: 'test' })
  const world = await openWorld(testCluster)
  const operator = withOperator ? await createOperatorDeployment(world) : undefined
  await operator?.setReady(true)
  if (operator) await whenOperatorIsReady(admin)
  const caches = createCaches({ namespace: region.namespace }, { cluster: admin, clock: systemClock, log })
  const followed = [caches.nodes, caches.storageClasses, caches.volumes]
  await Promise.all(followed.map((cache) => cache.start(new AbortController().signal)))
  const readyNodes = keepReady(world)

  after(async () => {
    await readyNodes.stop()
    await Promise.all(followed.map((cache) => cache.stop(0)))
    operator?.stop()
    await world.close()
    await region.close()
    await testCluster.stop()
  })

  const read = async (object: KubernetesObject) =>
    admin.request<KubernetesObject>({ method: 'GET', path: pathOfObject(object) }).catch(() => undefined)

  async function make({ status, ...object }: KubernetesObject): Promise<KubernetesObject> {
    let made = await applyObject(admin, object as KubernetesObject, { fieldManager, force: true })
    // A custom resource without a status subresource, and an Event, are written whole.
    if (status !== undefined) {
      const contentType = 'application/merge-patch+json'
      const path = `${pathOfObject(object as KubernetesObject)}${object.kind === 'CrateDB' ? '' : '/status'}`
      made = await admin.request<KubernetesObject>({ method: 'PATCH', path, contentType, body: { status } })
    }
    await whenCached(caches, made)
    await readyNodes.note(made)
    return made
  }

  return {
    testCluster,
    region,
    admin,
    world,
    caches,
    operator,
    make,
    read,
    async remove(object) {
      await admin.request({
        method: 'DELETE',
        path: pathOfObject(object),
        query: { gracePeriodSeconds: object.kind === 'Pod' ? 0 : undefined },
      })
    },
    async project() {
      const project = `p-${randomBytes(4).toString('hex')}`
      const namespace = `project-${project}`
      const ready = { type: 'Ready', status: 'True', reason: 'Ready', message: 'ready', lastTransitionTime: new Date().toISOString() }
      await make({ apiVersion: 'skerry.dev/v1', kind: 'Project', metadata: { name: project }, spec: {}, status: { conditions: [ready] } })
      await make({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } })
      return { project, namespace }
    },
    async event({ apiVersion, kind, metadata }, { type, reason, message }) {
      const { namespace, name, uid } = metadata
      const now = new Date().toISOString().replace(/\.\d+/, '')
      await make({
        apiVersion: 'v1',
        kind: 'Event',
        metadata: { name: `${name}.${randomBytes(6).toString('hex')}`, namespace: namespace as string },
        involvedObject: { apiVersion, kind, namespace, name, uid },
        ...{ type, reason, message, count: 1, firstTimestamp: now, lastTimestamp: now, source: { component: 'test' } },
      })
    },
    obstacles(target, { laterMs = 0, cluster = admin, operator = operatorName } = {}) {
      const clock = { ...systemClock, now: () => Date.now() + laterMs }
      return createObstacles({ cluster, caches, clock, config: { namespace: region.namespace, operator } }).of(target)
    },
  }
}

/** On a real control plane the Deployment's controller counts the operator's pod a moment after it is ready. */
export async function whenOperatorIsReady(admin: Cluster): Promise<void> {
  const path = pathOf(kinds.Deployment, operatorName.namespace, operatorName.name)
  await until(
    'the operator is ready',
    async () => (await admin.request<KubernetesObject>({ method: 'GET', path })).status?.readyReplicas === 1,
  )
}

/** A real control plane takes a node for lost that was said to be ready and whose lease nobody has renewed for 40 s. */
function keepReady(world: World): { note(object: KubernetesObject): Promise<void>; stop(): Promise<void> } {
  const ready = new Set<string>()
  async function renew(node: string): Promise<void> {
    const spec = { holderIdentity: node, leaseDurationSeconds: 40, renewTime: new Date().toISOString().replace('Z', '000Z') }
    const named = { namespace: 'kube-node-lease', name: node }
    const renewed = await world.patch('Lease', named, { spec }, { fieldManager })
    if (!renewed) await world.create('Lease', { metadata: named, spec }, { fieldManager })
  }
  let renewing: Promise<unknown> = Promise.resolve()
  const timer = setInterval(() => {
    renewing = Promise.allSettled([...ready].map(renew))
  }, 5_000)
  return {
    async note({ kind, metadata, status }) {
      const isReady = status?.conditions?.some(
        ({ type, status }: { type: string; status: string }) => type === 'Ready' && status === 'True',
      )
      if (world.plane === 'embedded' || kind !== 'Node' || !isReady) return
      ready.add(metadata.name)
      await renew(metadata.name)
    },
    async stop() {
      clearInterval(timer)
      await renewing
    },
  }
}

/** Nodes and storage classes are looked at in the caches, which hear of a write a moment later. */
async function whenCached(caches: Caches, { kind, metadata }: KubernetesObject): Promise<void> {
  const cache = kind === 'Node' ? caches.nodes : kind === 'StorageClass' ? caches.storageClasses : undefined
  if (!cache) return
  await new Promise<void>((resolve, reject) => {
    const isThere = () => {
      const version = cache.get(metadata.name)?.metadata.resourceVersion
      return version === metadata.resourceVersion || isNewer(version, metadata.resourceVersion)
    }
    const timer = setTimeout(() => reject(new Error(`${kind} ${metadata.name} does not reach the cache`)), 60_000)
    const check = () => {
      if (!isThere()) return
      clearTimeout(timer)
      unsubscribe()
      resolve()
    }
    const unsubscribe = cache.subscribe(check)
    check()
  })
}

/** The labels that the operator puts on what it makes for a database. */
export function ofDatabase(name: string, more: Record<string, string> = {}): Record<string, string> {
  return {
    'app.kubernetes.io/name': name,
    'app.kubernetes.io/part-of': 'cratedb',
    'app.kubernetes.io/component': 'cratedb',
    'app.kubernetes.io/managed-by': 'crate-operator',
    ...more,
  }
}

/** A CrateDB that the operator has set up, unless `traces` say otherwise. */
export function crateDB(
  namespace: string,
  name: string,
  given: { traces?: Record<string, string | undefined>; disk?: string; status?: object } = {},
) {
  const resources = {
    limits: { cpu: 1, memory: '4Gi' },
    heapRatio: 0.25,
    disk: { count: 1, size: given.disk ?? '64Gi', storageClass: 'crate-premium' },
  }
  const spec = {
    cluster: { name, imageRegistry: 'crate', version: '5.10.1' },
    nodes: { data: [{ name: 'hot', replicas: 3, resources }] },
    users: [{ name: 'harbourmaster', password: { secretKeyRef: { name: `user-password-${name}-0`, key: 'password' } } }],
  }
  const traces = given.traces ?? { last: JSON.stringify({ spec }) }
  const annotations = Object.entries(traces).filter(([, value]) => value !== undefined) as [string, string][]
  return {
    apiVersion: 'cloud.crate.io/v1',
    kind: 'CrateDB',
    metadata: {
      name,
      namespace,
      annotations: Object.fromEntries(annotations.map(([key, value]) => [`operator.cloud.crate.io/${key}`, value])),
    },
    spec,
    status: given.status ?? { 'cluster_create/bootstrap': { success: true, ref: 'a' } },
  } satisfies KubernetesObject
}

/** A pod of a database, not placed yet. */
export function podOf(namespace: string, database: string, index: number, spec: object = {}): KubernetesObject {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: `crate-data-hot-${database}-${index}`, namespace, labels: ofDatabase(database) },
    spec: { containers: [{ name: 'crate', image: 'crate:5.10.1', resources: { requests: { cpu: '4', memory: '16Gi' } } }], ...spec },
  }
}

/** A node that is ready, with 8 cores and 32 GiB. */
export function nodeNamed(name: string, given: { ready?: boolean; spec?: object; labels?: Record<string, string> } = {}): KubernetesObject {
  const { ready = true, spec = {}, labels = {} } = given
  const resources = { cpu: '8', memory: '32Gi', pods: '110' }
  const condition = ready
    ? { type: 'Ready', status: 'True', reason: 'KubeletReady', message: 'kubelet is posting ready status' }
    : { type: 'Ready', status: 'Unknown', reason: 'NodeStatusUnknown', message: 'Kubelet stopped posting node status.' }
  const time = { lastHeartbeatTime: '2026-01-01T00:00:00Z', lastTransitionTime: '2026-01-01T00:00:00Z' }
  const status = { capacity: resources, allocatable: resources, conditions: [{ ...condition, ...time }] }
  return { apiVersion: 'v1', kind: 'Node', metadata: { name, labels: { 'kubernetes.io/hostname': name, ...labels } }, spec, status }
}

/** Asserts that just these obstacles stand there, by their codes, and returns the first. */
export function only(obstacles: Obstacle[], ...codes: string[]): Obstacle {
  assert.deepEqual(
    obstacles.map(({ code }) => code),
    codes,
    JSON.stringify(obstacles, undefined, 2),
  )
  for (const { message, evidence, cure, cures } of obstacles) {
    assert.ok(message !== '' && evidence !== '' && cure !== '')
    assert.equal(cure, renderCures(cures))
    assert.equal(cures[0]?.destructive, false, `what destroys is never proposed first: ${cure}`)
  }
  return obstacles[0] ?? { code: '', message: '', evidence: '', cure: '', cures: [] }
}
