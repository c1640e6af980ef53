import type { World } from './world.ts'

const fieldManager = 'node-stand-in'

/** A node. The defaults are those of a small server. */
export type NodeShape = {
  name: string
  arch?: 'amd64' | 'arm64'
  controlPlane?: boolean
  labels?: Record<string, string>
  taints?: { key: string; value?: string; effect: 'NoSchedule' | 'NoExecute' | 'PreferNoSchedule' }[]
  cpu?: string
  memory?: string
  pods?: string
}

/** `node-1`, `node-2`, …: servers in a cabinet. The first one is also a control plane node, without a taint. */
export function nodeShapes(count: number): NodeShape[] {
  return Array.from({ length: count }, (_, i) => ({ name: `node-${i + 1}`, controlPlane: i === 0 }))
}

/** Creates nodes that are ready. Existing nodes do not change. */
export async function createNodes(world: World, shapes: NodeShape[]): Promise<void> {
  const { gitVersion } = await world.cluster.request<{ gitVersion: string }>({ method: 'GET', path: '/version' })
  await Promise.all(shapes.map((shape, index) => createNode(world, shape, index, gitVersion)))
}

async function createNode(world: World, shape: NodeShape, index: number, kubeletVersion: string): Promise<void> {
  const { name, arch = 'amd64', controlPlane = false, labels = {}, taints = [], cpu = '16', memory = '64Gi', pods = '110' } = shape
  const standard = {
    'kubernetes.io/arch': arch,
    'kubernetes.io/os': 'linux',
    'kubernetes.io/hostname': name,
    ...(controlPlane && { 'node-role.kubernetes.io/control-plane': '' }),
  }
  const made = await world.create('Node', { metadata: { name, labels: { ...standard, ...labels } }, spec: { taints } }, { fieldManager })
  if (!made) return
  // A real API server taints a node until it is ready; here it is ready from the start.
  if ((made.spec?.taints ?? []).length > taints.length) await world.patch('Node', { name }, { spec: { taints } }, { fieldManager })
  const resources = { cpu, memory, pods, 'ephemeral-storage': '200Gi' }
  const status = {
    capacity: resources,
    allocatable: resources,
    addresses: [
      { type: 'InternalIP', address: `198.51.100.${index + 1}` },
      { type: 'Hostname', address: name },
    ],
    nodeInfo: {
      architecture: arch,
      bootID: `boot-${name}`,
      containerRuntimeVersion: 'containerd://1.7.13',
      kernelVersion: '6.1.0-18-amd64',
      kubeProxyVersion: kubeletVersion,
      kubeletVersion,
      machineID: `machine-${name}`,
      operatingSystem: 'linux',
      osImage: 'Debian GNU/Linux 12 (bookworm)',
      systemUUID: `system-${name}`,
    },
    conditions: conditions(world.clock.now(), true),
  }
  await world.patch('Node', { name }, { status }, { fieldManager, subresource: 'status' })
}

/** Marks a node as ready, or as unreachable, as the node controller does when the kubelet is silent. */
export async function setNodeReady(world: World, name: string, ready: boolean): Promise<void> {
  const status = { conditions: conditions(world.clock.now(), ready) }
  await world.patch('Node', { name }, { status }, { fieldManager, subresource: 'status' })
}

function conditions(now: number, ready: boolean): unknown[] {
  const time = new Date(now).toISOString().replace(/\.\d+/, '')
  const condition = (type: string, status: string, reason: string, message: string) => ({
    type,
    status: ready ? status : 'Unknown',
    reason: ready ? reason : 'NodeStatusUnknown',
    message: ready ? message : 'Kubelet stopped posting node status.',
    lastHeartbeatTime: time,
    lastTransitionTime: time,
  })
  return [
    condition('MemoryPressure', 'False', 'KubeletHasSufficientMemory', 'kubelet has sufficient memory available'),
    condition('DiskPressure', 'False', 'KubeletHasNoDiskPressure', 'kubelet has no disk pressure'),
    condition('PIDPressure', 'False', 'KubeletHasSufficientPID', 'kubelet has sufficient PID available'),
    condition('Ready', 'True', 'KubeletReady', 'kubelet is posting ready status'),
  ]
}

/** The storage classes of the provisioner. Volumes of `crate-local` cannot grow; all others can. */
const storageClasses = ['crate-premium', 'crate-local', 'crate-standard', 'default'] as const
/** The name of the provisioner stand-in. */
export const provisioner = 'volumes.stand-in.example'

/** Creates the storage classes. Existing ones do not change. */
export async function createStorageClasses(world: World, reclaimPolicy: 'Delete' | 'Retain' = 'Delete'): Promise<void> {
  const isDefault = { 'storageclass.kubernetes.io/is-default-class': 'true' }
  await Promise.all(
    storageClasses.map((name) =>
      world.create(
        'StorageClass',
        {
          metadata: { name, ...(name === 'default' && { annotations: isDefault }) },
          provisioner,
          reclaimPolicy,
          volumeBindingMode: 'Immediate',
          allowVolumeExpansion: name !== 'crate-local',
        },
        { fieldManager },
      ),
    ),
  )
}
