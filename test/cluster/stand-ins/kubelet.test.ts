import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { KubernetesObject } from '../client/objects.ts'
import { type Fixture, startFixture } from './fixture.ts'

// biome-ignore lint/suspicious/noExplicitAny: an assertion on a missing field fails the test, which is what it's for
type Json = any

describe('the stand-ins for nodes and storage', () => {
  let fixture: Fixture
  before(async () => {
    fixture = await startFixture({
      nodes: [
        { name: 'alpha', controlPlane: true },
        { name: 'beta', arch: 'arm64' },
        { name: 'gamma', labels: { cratedb: 'shared' }, taints: [{ key: 'cratedb', value: 'shared', effect: 'NoSchedule' }] },
      ],
      reclaimPolicy: 'Retain',
      kubelet: { missingImage: (image) => (image === 'example/app:404' ? 'example/app:404: not found' : undefined) },
    })
  })
  after(() => fixture.stop())

  async function pod(namespace: string, name: string, spec: Json = {}): Promise<string> {
    const containers = [{ name: 'main', image: 'example/app:1', ...spec.container }]
    const { container: _, ...rest } = spec
    await fixture.observer.create(
      'Pod',
      { metadata: { name, namespace, labels: { app: name.split('-')[0] ?? '' } }, spec: { containers, ...rest } },
      { fieldManager: 'test' },
    )
    return `${namespace}/${name}`
  }
  const condition = ({ status }: KubernetesObject, type: string): Json =>
    (status?.conditions ?? []).find((each: Json) => each.type === type)
  const isReady = (object: KubernetesObject) => condition(object, 'Ready')?.status === 'True'
  const unschedulable = (object: KubernetesObject) => condition(object, 'PodScheduled')?.reason === 'Unschedulable'
  const waiting = ({ status }: KubernetesObject): Json => status?.containerStatuses?.[0]?.state?.waiting

  test('have nodes as a cluster shows them', async () => {
    const node = await fixture.until('Node', 'beta', (object) => condition(object, 'Ready')?.status === 'True')
    assert.equal(node.metadata.labels?.['kubernetes.io/arch'], 'arm64')
    assert.equal(node.status.nodeInfo.architecture, 'arm64')
    assert.equal(node.status.allocatable.cpu, '16')
    const alpha = await fixture.until('Node', 'alpha', () => true)
    assert.equal(alpha.metadata.labels?.['node-role.kubernetes.io/control-plane'], '')
    const classes = await fixture.observer.follow('StorageClass')
    assert.equal(classes.get('crate-premium')?.allowVolumeExpansion, true)
    assert.equal(classes.get('crate-local')?.allowVolumeExpansion ?? false, false)
  })

  test('bind a pod to the node that it names, as each pod of a DaemonSet does', async () => {
    const toNode = (name: string) => {
      const matchFields = [{ key: 'metadata.name', operator: 'In', values: [name] }]
      const required = { nodeSelectorTerms: [{ matchFields }] }
      return { affinity: { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: required } } }
    }
    const namespace = await fixture.project()
    for (const [index, node] of ['beta', 'beta', 'alpha'].entries()) {
      const running = await fixture.until('Pod', await pod(namespace, `logs-${index}`, toNode(node)), isReady)
      assert.equal(running.spec.nodeName, node)
    }
    await fixture.until('Pod', await pod(namespace, 'logs-nowhere', toNode('delta')), unschedulable)
  })

  test('bind a pod and run it', async () => {
    const running = await fixture.until('Pod', await pod(await fixture.project(), 'app'), isReady)
    assert.ok(['alpha', 'beta'].includes(running.spec.nodeName), 'not on the tainted node')
    assert.equal(running.status.phase, 'Running')
    const [status] = running.status.containerStatuses
    assert.equal(status.image, 'example/app:1')
    assert.equal(status.containerID, `containerd://${running.metadata.uid}-main`)
    assert.match(running.status.podIP, /^10\.244\./)
  })

  test('keep pods apart that must not share a host, and say so when there are no hosts left', async () => {
    const namespace = await fixture.project()
    const selector = { matchLabels: { app: 'apart' } }
    const required = [{ labelSelector: selector, topologyKey: 'kubernetes.io/hostname' }]
    const affinity = { podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: required } }
    const keys = [await pod(namespace, 'apart-0', { affinity }), await pod(namespace, 'apart-1', { affinity })]
    const placed = await Promise.all(keys.map((key) => fixture.until('Pod', key, isReady)))
    assert.notEqual(placed[0]?.spec.nodeName, placed[1]?.spec.nodeName)
    const third = await pod(namespace, 'apart-2', { affinity })
    const refused = await fixture.until('Pod', third, unschedulable)
    const message =
      "0/3 nodes are available: 1 node(s) had taint {cratedb: shared}, that the pod didn't tolerate, 2 node(s) didn't match pod anti-affinity rules."
    assert.equal(condition(refused, 'PodScheduled').message, message)
    const event = await fixture.event(namespace, /nodes are available/)
    assert.deepEqual([event.reason, event.type, event.involvedObject.name], ['FailedScheduling', 'Warning', 'apart-2'])

    await fixture.observer.remove('Pod', { namespace, name: 'apart-0' })
    await fixture.until('Pod', third, isReady)
  })

  test('place a pod where its selector and tolerations lead it', async () => {
    const tolerations = [{ key: 'cratedb', operator: 'Equal', value: 'shared', effect: 'NoSchedule' }]
    const key = await pod(await fixture.project(), 'shared', { tolerations, nodeSelector: { cratedb: 'shared' } })
    assert.equal((await fixture.until('Pod', key, isReady)).spec.nodeName, 'gamma')
  })

  test('refuse more than a node has', async () => {
    const key = await pod(await fixture.project(), 'large', { container: { resources: { requests: { cpu: '17', memory: '1Gi' } } } })
    const refused = await fixture.until('Pod', key, unschedulable)
    assert.match(condition(refused, 'PodScheduled').message, /2 Insufficient cpu/)
    assert.equal(refused.status.phase, 'Pending')
  })

  test('cannot pull a broken image until it is mended', async () => {
    const { kubelet } = fixture.standIns
    kubelet.breakImage('example/app:2', 'manifest for example/app:2 not found')
    const key = await pod(await fixture.project(), 'app', { container: { image: 'example/app:2' } })
    const broken = await fixture.until('Pod', key, (object) => waiting(object) !== undefined)
    assert.equal(waiting(broken).reason, 'ImagePullBackOff')
    assert.match(waiting(broken).message, /manifest for example\/app:2 not found/)
    assert.equal(broken.status.phase, 'Pending')
    kubelet.breakImage('example/app:2', undefined)
    await fixture.until('Pod', key, isReady)
  })

  test('cannot pull an image that the registry does not have', async () => {
    const key = await pod(await fixture.project(), 'app', { container: { image: 'example/app:404' } })
    const broken = await fixture.until('Pod', key, (object) => waiting(object) !== undefined)
    const message = 'Back-off pulling image "example/app:404": ErrImagePull: example/app:404: not found'
    assert.deepEqual(waiting(broken), { reason: 'ImagePullBackOff', message })
  })

  test('cannot make a container without its Secret until that is there', async () => {
    const namespace = await fixture.project()
    const env = [{ name: 'PASSWORD', valueFrom: { secretKeyRef: { name: 'missing', key: 'password' } } }]
    const key = await pod(namespace, 'app', { container: { env } })
    const broken = await fixture.until('Pod', key, (object) => waiting(object) !== undefined)
    assert.deepEqual(waiting(broken), { reason: 'CreateContainerConfigError', message: 'secret "missing" not found' })
    await fixture.observer.create(
      'Secret',
      { metadata: { name: 'missing', namespace }, data: { password: 'eA==' } },
      { fieldManager: 'test' },
    )
    await fixture.until('Pod', key, isReady)
  })

  test('leave a pod unready, or hold it when it is deleted, as told', async () => {
    const { kubelet } = fixture.standIns
    const namespace = await fixture.project()
    kubelet.setFaults(`${namespace}/*`, { neverReady: true, neverGone: true })
    const key = await pod(namespace, 'app')
    const running = await fixture.until('Pod', key, ({ status }) => status?.phase === 'Running')
    assert.equal(isReady(running), false)
    await fixture.observer.remove('Pod', { namespace, name: 'app' })
    await fixture.until('Pod', key, ({ metadata }) => metadata.deletionTimestamp !== undefined)
    kubelet.clearFaults(`${namespace}/*`)
    await fixture.untilGone('Pod', key)
  })

  test('lose a node: it is not ready, and a pod deleted there stays until it is back', async () => {
    const namespace = await fixture.project()
    const key = await pod(namespace, 'app', { nodeSelector: { 'kubernetes.io/hostname': 'beta' } })
    await fixture.until('Pod', key, isReady)
    await fixture.standIns.kubelet.setNode('beta', false)
    await fixture.until('Node', 'beta', (object) => condition(object, 'Ready').status === 'Unknown')
    await fixture.observer.remove('Pod', { namespace, name: 'app' })
    await fixture.until('Pod', key, ({ metadata }) => metadata.deletionTimestamp !== undefined)
    await fixture.standIns.kubelet.setNode('beta', true)
    await fixture.untilGone('Pod', key)
    await fixture.until('Node', 'beta', (object) => condition(object, 'Ready').status === 'True')
  })

  async function claim(namespace: string, name: string, storageClassName: string): Promise<string> {
    const spec = { accessModes: ['ReadWriteOnce'], storageClassName, resources: { requests: { storage: '1Gi' } } }
    await fixture.observer.create('PersistentVolumeClaim', { metadata: { name, namespace }, spec }, { fieldManager: 'test' })
    return `${namespace}/${name}`
  }
  const isBound = ({ status }: KubernetesObject) => status?.phase === 'Bound'

  test('provide volumes, and let those of an expandable class grow', async () => {
    const namespace = await fixture.project()
    const key = await claim(namespace, 'disk', 'crate-premium')
    const bound = await fixture.until('PersistentVolumeClaim', key, isBound)
    const volume = await fixture.until('PersistentVolume', bound.spec.volumeName, isBound)
    assert.equal(volume.spec.claimRef.uid, bound.metadata.uid)
    assert.equal(volume.spec.persistentVolumeReclaimPolicy, 'Retain')
    const larger = { spec: { resources: { requests: { storage: '2Gi' } } } }
    await fixture.observer.patch('PersistentVolumeClaim', { namespace, name: 'disk' }, larger, { fieldManager: 'test' })
    await fixture.until('PersistentVolumeClaim', key, ({ status }) => status.capacity.storage === '2Gi')
  })

  test('keep a volume whose class says so when its claim goes', async () => {
    const namespace = await fixture.project()
    const key = await claim(namespace, 'disk', 'crate-standard')
    const { spec } = await fixture.until('PersistentVolumeClaim', key, isBound)
    await fixture.until('PersistentVolume', spec.volumeName, isBound)
    await fixture.observer.remove('PersistentVolumeClaim', { namespace, name: 'disk' })
    const released = await fixture.until('PersistentVolume', spec.volumeName, ({ status }) => status.phase === 'Released')
    assert.equal(released.spec.claimRef.name, 'disk')
  })

  test('leave a claim pending with an Event, and its pod without a node', async () => {
    const namespace = await fixture.project()
    fixture.standIns.volumes.withhold(true, 'slow')
    const key = await claim(namespace, 'slow-disk', 'crate-premium')
    const volumes = [{ name: 'disk', persistentVolumeClaim: { claimName: 'slow-disk' } }]
    const podKey = await pod(namespace, 'app', { volumes })
    await fixture.event(namespace, /waiting for a volume to be created/)
    const refused = await fixture.until('Pod', podKey, unschedulable)
    assert.match(condition(refused, 'PodScheduled').message, /pod has unbound immediate PersistentVolumeClaims/)
    fixture.standIns.volumes.withhold(false, 'slow')
    await fixture.until('PersistentVolumeClaim', key, isBound)
    await fixture.until('Pod', podKey, isReady)
  })

  test('give a Service no address while told so', async () => {
    const namespace = await fixture.project()
    fixture.standIns.loadBalancer.withhold(true, 'front')
    const service = (name: string) =>
      fixture.observer.create(
        'Service',
        { metadata: { name, namespace }, spec: { type: 'LoadBalancer', ports: [{ port: 80 }] } },
        { fieldManager: 'test' },
      )
    await service('front')
    await service('back')
    const addressOf = ({ status }: KubernetesObject): string | undefined => status?.loadBalancer?.ingress?.[0]?.ip
    await fixture.until('Service', `${namespace}/back`, (object) => addressOf(object) !== undefined)
    assert.equal(addressOf(await fixture.until('Service', `${namespace}/front`, () => true)), undefined)
    fixture.standIns.loadBalancer.withhold(false, 'front')
    await fixture.until('Service', `${namespace}/front`, (object) => addressOf(object) !== undefined)
  })
})
