import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createOperatorCache } from '../../../agent/region/operator.ts'
import { amrcHostsOf, capacityOf, hostsOf, isSameHost, operatorStateOf, storageClassesOf } from '../../../agent/region/status.ts'
import { systemClock } from '../../../shared/clock.ts'
import type { KubernetesObject } from '../../../shared/kubernetes/objects.ts'
import { createKubernetesVersion } from '../../../shared/kubernetes/version.ts'
import { createLog } from '../../../shared/log.ts'
import { until } from '../../cluster/index.ts'
import { crateDB, nodeNamed, operatorName, startScene } from './scene.ts'

const log = createLog({ level: 'silent', name: 'test' })
const nodeInfo = {
  kubeletVersion: 'v1.35.2',
  architecture: 'arm64',
  operatingSystem: 'linux',
  osImage: 'Debian GNU/Linux 12 (bookworm)',
  kernelVersion: '6.1.0-28-arm64',
  containerRuntimeVersion: 'containerd://1.7.24',
}
const tainted = (key: string, value?: string, effect = 'NoSchedule') => ({ spec: { taints: [{ key, value, effect }] } })

function node(name: string, given: Parameters<typeof nodeNamed>[1] = {}): KubernetesObject {
  const made = nodeNamed(name, given)
  return { ...made, status: { ...made.status, nodeInfo } }
}

test('hosts are told by name, with what clouds ask of them', () => {
  const hosts = hostsOf([
    node('quay-2', tainted('cratedb', 'shared')),
    node('quay-1', {
      labels: { 'node-role.kubernetes.io/control-plane': '', 'kubernetes.io/hostname': 'quay-1.example' },
      ...tainted('node-role.kubernetes.io/control-plane'),
    }),
    node('quay-3', { ready: false, ...tainted('node.kubernetes.io/unreachable', undefined, 'NoExecute') }),
    node('quay-4', { spec: { unschedulable: true, taints: [{ key: 'slow', effect: 'PreferNoSchedule' }] } }),
  ])
  const common = {
    control_plane: false,
    k8s_version: 'v1.35.2',
    arch: 'arm64',
    os: 'linux',
    os_version: 'Debian GNU/Linux 12 (bookworm)',
    kernel_version: '6.1.0-28-arm64',
    container_runtime: 'containerd://1.7.24',
    ready: true,
    schedulable: true,
    specialised: null,
  }
  assert.deepEqual(hosts, [
    { ...common, hostname: 'quay-1.example', control_plane: true },
    { ...common, hostname: 'quay-2', specialised: { key: 'cratedb', value: 'shared', effect: 'NoSchedule' } },
    { ...common, hostname: 'quay-3', ready: false },
    { ...common, hostname: 'quay-4', schedulable: false },
  ])
})

test('a node that has told nothing of itself is a host that is not ready', () => {
  const [host] = hostsOf([{ apiVersion: 'v1', kind: 'Node', metadata: { name: 'new', labels: { 'kubernetes.io/arch': 'amd64' } } }])
  assert.deepEqual(host, {
    hostname: 'new',
    control_plane: false,
    k8s_version: '',
    arch: 'amd64',
    os: '',
    os_version: '',
    kernel_version: '',
    container_runtime: '',
    ready: false,
    schedulable: true,
    specialised: null,
  })
})

const withConditions = (given: KubernetesObject, conditions: Record<string, string>): KubernetesObject => {
  const told = Object.entries(conditions).map(([type, status]) => ({ type, status, lastHeartbeatTime: new Date().toISOString() }))
  return { ...given, status: { ...given.status, conditions: [...given.status.conditions, ...told] } }
}

test('a host under pressure says which', () => {
  const pressed = withConditions(node('quay-1'), {
    MemoryPressure: 'True',
    DiskPressure: 'False',
    PIDPressure: 'Unknown',
    NetworkUnavailable: 'True',
  })
  assert.deepEqual(hostsOf([pressed])[0]?.pressure, ['MemoryPressure', 'NetworkUnavailable'])
})

test('the AMRC manager gets hosts in its own shape: the value of its taint as text, and the control plane by its label alone', () => {
  const taint = (key: string) => ({ spec: { taints: [{ key, value: 'gpu', effect: 'NoSchedule' }] } })
  const hosts = amrcHostsOf([
    node('quay-2', taint('factoryplus.app.amrc.co.uk/specialised')),
    node('quay-1', { labels: { 'node-role.kubernetes.io/control-plane': '' }, ...taint('cratedb') }),
  ])
  const common = { arch: 'arm64', k8s_version: 'v1.35.2', os_version: 'Debian GNU/Linux 12 (bookworm)', ready: true }
  assert.deepEqual(hosts, [
    { ...common, hostname: 'quay-1', control_plane: true },
    { ...common, hostname: 'quay-2', control_plane: false, specialised: 'gpu' },
  ])
})

test('the heartbeats of a node change nothing; what is shown of it, its room and its taints do', () => {
  const before = withConditions(node('quay-1'), { MemoryPressure: 'False' })
  const later: KubernetesObject = structuredClone({ ...before, metadata: { ...before.metadata, resourceVersion: '2' } })
  for (const condition of later.status.conditions) condition.lastHeartbeatTime = '2026-01-01T00:05:00Z'
  later.status.images = [{ names: ['crate:5.10.1'], sizeBytes: 1 }]
  assert.ok(isSameHost(before, later))
  assert.ok(!isSameHost(before, withConditions(node('quay-1'), { MemoryPressure: 'True' })))
  assert.ok(!isSameHost(before, { ...before, status: { ...before.status, allocatable: { cpu: '4' } } }))
  assert.ok(!isSameHost(before, { ...before, spec: { taints: [{ key: 'slow', effect: 'PreferNoSchedule' }] } }))
})

test('storage classes say whether they grow, reclaim and are taken when none is named', () => {
  const base = { apiVersion: 'storage.k8s.io/v1', kind: 'StorageClass', provisioner: 'volumes.example.com' }
  const classes = storageClassesOf([
    { ...base, metadata: { name: 'slow', annotations: { 'storageclass.kubernetes.io/is-default-class': 'true' } } },
    { ...base, metadata: { name: 'fast' }, allowVolumeExpansion: true, reclaimPolicy: 'Retain' },
  ])
  assert.deepEqual(classes, [
    { name: 'fast', provisioner: 'volumes.example.com', expandable: true, reclaims: false, isDefault: false },
    { name: 'slow', provisioner: 'volumes.example.com', expandable: false, reclaims: true, isDefault: true },
  ])
})

test('capacity counts hosts that take pods, databases by their specs, and quotas by what they name', () => {
  const suspended = crateDB('project-harbour', 'ebb')
  suspended.spec.nodes.data = suspended.spec.nodes.data.map((group) => ({ ...group, replicas: 0 }))
  const project = (quota?: object): KubernetesObject => ({
    apiVersion: 'skerry.dev/v1',
    kind: 'Project',
    metadata: { name: 'harbour' },
    spec: { quota },
  })
  const capacity = capacityOf({
    nodes: [
      node('a'),
      node('b', { ready: false }),
      node('c', { spec: { unschedulable: true } }),
      node('d', tainted('cratedb', 'shared')),
      node('e'),
    ],
    databases: [
      crateDB('project-harbour', 'tide'),
      { ...suspended, metadata: { ...suspended.metadata, annotations: { 'skerry.dev/nodes-when-resumed': '5' } } },
    ],
    projects: [project({ cpu: 4.5, memory: '16Gi', storage: '1Ti', databases: 3 }), project({ cpu: 1 }), project()],
  })
  assert.deepEqual(capacity, {
    allocatable: { cpu: 16, memory: '64Gi', hosts: 2 },
    requested: { cpu: 3, memory: '12Gi', storage: '512Gi', nodes: 3, databases: 2 },
    promised: { cpu: 5.5, memory: '16Gi', storage: '1Ti', databases: 3, open: { cpu: 1, memory: 2, storage: 2, databases: 2 } },
  })
})

test('a CrateDB of fractional replicas, which its schema lets through, does not break the sums', () => {
  const odd = crateDB('project-harbour', 'tide')
  odd.spec.nodes.data = odd.spec.nodes.data.map((group) => ({ ...group, replicas: 1.5 }))
  assert.equal(capacityOf({ nodes: [], databases: [odd], projects: [] }).requested.storage, '128Gi')
})

test('the Crate Operator is followed by its Deployment, and no other one is', async (t) => {
  const scene = await startScene()
  const cache = createOperatorCache(operatorName, { cluster: scene.admin, clock: systemClock, log })
  assert.equal(operatorStateOf(cache, operatorName).state, 'unknown')
  await cache.start(new AbortController().signal)
  t.after(() => cache.stop(0))
  assert.deepEqual(operatorStateOf(cache, operatorName), {
    state: 'running',
    version: '2.63.0',
    backupImage: 'missing',
    namespace: 'crate-operator',
    deployment: 'crate-operator',
  })
  const selector = { matchLabels: { app: 'other' } }
  const template = { metadata: { labels: { app: 'other' } }, spec: { containers: [{ name: 'other', image: 'other:1' }] } }
  const other = {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'other', namespace: 'crate-operator' },
    spec: { replicas: 0, selector, template },
  }
  await scene.make(other)

  await scene.operator?.setReady(false)
  await until('it is not ready', async () => operatorStateOf(cache, operatorName).state === 'not-ready')
  const deployment = { apiVersion: 'apps/v1', kind: 'Deployment', metadata: operatorName }
  await scene.make({ ...deployment, spec: { replicas: 0 } })
  await until('it is scaled down', async () => operatorStateOf(cache, operatorName).state === 'scaled-down')
  await scene.remove(deployment)
  await until('it is missing', async () => operatorStateOf(cache, operatorName).state === 'missing')
  assert.equal(cache.size, 0)
})

test('the version of the control plane is read at start, and again until it can be', async (t) => {
  let answers = 0
  const cluster = {
    request: async () => {
      if (++answers < 3) throw new Error('no answer')
      return { gitVersion: 'v1.35.2' }
    },
  }
  const clock = { ...systemClock, sleep: async (ms: number, signal?: AbortSignal) => systemClock.sleep(Math.min(ms, 5), signal) }
  const version = createKubernetesVersion({ cluster: cluster as never, clock, log })
  await version.start(new AbortController().signal)
  t.after(() => version.stop(0))
  assert.equal(version.current, undefined)
  await until('the version is known', async () => version.current === 'v1.35.2')
})
