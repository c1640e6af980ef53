import assert from 'node:assert/strict'
import { before, test } from 'node:test'
import type { KubernetesObject } from '../../../shared/kubernetes/objects.ts'
import { until } from '../../cluster/index.ts'
import { makeBound, makeDatabase, statefulSetOf, volumeNamed, whenRefused } from './pieces.ts'
import { crateDB, nodeNamed, only, podOf, startScene } from './scene.ts'

const scene = await startScene()
const { make, obstacles } = scene

before(async () => {
  for (const name of ['quay-1', 'quay-2']) await make(nodeNamed(name))
})

const database = () => makeDatabase(scene)

const unschedulable = (message: string) => ({
  phase: 'Pending',
  conditions: [{ type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message }],
})
const onNode = { nodeName: 'quay-1' }

test('nothing stands in the way of a database whose pods are ready', async () => {
  const { namespace, name, target } = await database()
  await make({ ...podOf(namespace, name, 0, onNode), status: { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] } })
  only(await obstacles(target))
})

const schedulerCases = [
  {
    name: 'anti-affinity',
    said: "0/2 nodes are available: 2 node(s) didn't match pod affinity/anti-affinity, 2 node(s) didn't match pod anti-affinity rules.",
    says: /None of 2 nodes takes it: 2 nodes have already a pod of this database.*anti-affinity by hostname/,
    cure: /Add nodes until/,
  },
  {
    name: 'too little left of what the nodes have',
    said: '0/2 nodes are available: 2 Insufficient cpu. preemption: 0/2 nodes are available: 2 No preemption victims found for incoming pod.',
    says: /^None of 2 nodes takes it: 2 nodes have not enough cpu left: the pod asks for 4 cores, the largest node has 8 cores in all\.$/,
    cure: /Free some, or add larger nodes/,
  },
  {
    name: 'more memory than any node has',
    spec: { containers: [{ name: 'crate', image: 'crate:5.10.1', resources: { requests: { memory: '64Gi' } } }] },
    said: '0/2 nodes are available: 2 Insufficient memory.',
    says: /no node is large enough in memory: the pod asks for 64 GiB, the largest node has 32 GiB in all/,
    cure: /larger nodes/,
  },
  {
    name: 'a taint, as Kubernetes 1.20 says it',
    said: "0/2 nodes are available: 2 node(s) had taint {dedicated: harbour}, that the pod didn't tolerate.",
    says: /2 nodes have a taint that the pod does not tolerate \(dedicated=harbour\)/,
    cure: /kubectl get nodes --output .*TAINTS/,
  },
  {
    name: 'a taint, as later ones say it',
    said: '0/2 nodes are available: 2 node(s) had untolerated taint {dedicated: harbour}. preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling.',
    says: /2 nodes have a taint that the pod does not tolerate \(dedicated=harbour\)/,
    cure: /kubectl get nodes --output .*TAINTS/,
  },
  {
    name: 'a node selector',
    spec: { nodeSelector: { cratedb: 'shared' } },
    said: "0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector.",
    says: /2 nodes do not match the pod's node selector \(cratedb=shared\)/,
    cure: /kubectl label node "\$node" cratedb=shared/,
  },
  {
    name: 'several reasons at once',
    said: "0/3 nodes are available: 1 Insufficient memory, 1 node(s) were unschedulable, 1 node(s) didn't satisfy existing pods anti-affinity rules.",
    says: /^None of 3 nodes takes it: 1 node has not enough memory left: .*; 1 node is cordoned; 1 node has already a pod of this database/,
    cure: /cordoned: kubectl get nodes/,
  },
  {
    name: 'words that nobody foresaw',
    said: '0/2 nodes are available: 2 node(s) had the wrong colour.',
    says: /None of 2 nodes takes it: 2: had the wrong colour/,
    cure: /kubectl --namespace \S+ describe pod/,
  },
]
for (const { name: what, spec, said, says, cure } of schedulerCases) {
  test(`a pod that is not placed for ${what} is told with the reason and its cure`, async () => {
    const { namespace, name, target } = await database()
    await make({ ...podOf(namespace, name, 0, spec), status: unschedulable(said) })
    const found = only(await obstacles(target), 'PodUnschedulable')
    assert.match(found.message, says)
    assert.match(found.cure, cure)
    assert.equal(found.evidence, `Pod ${namespace}/crate-data-hot-tide-0`)
  })
}

test('pods that lack the same are one obstacle, which says how many there are', async () => {
  const { namespace, name, target } = await database()
  for (const index of [0, 1, 2])
    await make({ ...podOf(namespace, name, index), status: unschedulable('0/2 nodes are available: 2 Insufficient cpu.') })
  const { evidence } = only(await obstacles(target), 'PodUnschedulable')
  assert.equal(evidence, `Pod ${namespace}/crate-data-hot-tide-0 (and 2 more)`)
})

/** A database that the operator is setting up, in that project. */
async function makeUnfinished(namespace: string) {
  const progress = JSON.stringify({ started: new Date().toISOString(), message: 'waits for bootstrap', success: false, failure: false })
  const made = await make(crateDB(namespace, 'tide', { traces: { cluster_create: progress }, status: {} }))
  const metadata = { name: 'user-password-tide-0', namespace }
  await make({ apiVersion: 'v1', kind: 'Secret', metadata, stringData: { password: 'x' } })
  return made
}

const isCached = (volume: string) => until('the volume is seen', async () => scene.caches.volumes.get(volume) !== undefined)

test('a database that waits for a host before it is set up can be deleted: on new volumes it holds no data', async () => {
  const { project, namespace } = await scene.project()
  await makeUnfinished(namespace)
  await isCached((await makeBound(scene, namespace)).volume)
  await make({ ...podOf(namespace, 'tide', 1), status: unschedulable('0/2 nodes are available: 2 Insufficient cpu.') })
  const { cure } = only(await obstacles({ kind: 'database', project, database: 'tide' }), 'PodUnschedulable', 'OperatorStepDelayed')
  assert.match(cure, /delete the database with the API: it has not been set up and holds no data\./)
})

test('of a database that waits for a host on volumes that were kept, nobody says that it holds no data', async () => {
  const { project, namespace } = await scene.project()
  const { volume } = await makeBound(scene, namespace)
  const kept = Date.parse((await scene.read(volumeNamed(volume)))?.metadata.creationTimestamp ?? '')
  await until('the database is younger, in the whole seconds of the API server', async () => Date.now() > kept + 1_100)
  await makeUnfinished(namespace)
  await isCached(volume)
  await make({ ...podOf(namespace, 'tide', 1), status: unschedulable('0/2 nodes are available: 2 Insufficient cpu.') })
  const { cure } = only(await obstacles({ kind: 'database', project, database: 'tide' }), 'PodUnschedulable', 'OperatorStepDelayed')
  assert.doesNotMatch(cure, /holds no data|fewer/)
  assert.match(cure, /with the API and retainVolumes=true: it has not been set up, but may hold data/)
})

test('a pod that no scheduler has looked at is told only after a while', async () => {
  const { namespace, name, target } = await database()
  await make(podOf(namespace, name, 0))
  only(await obstacles(target))
  const { message } = only(await obstacles(target, { laterMs: 60_000 }), 'PodUnschedulable')
  assert.match(message, /No scheduler has looked at it/)
})

test("another database's pods are none of its obstacles", async () => {
  const { namespace, target } = await database()
  await make({ ...podOf(namespace, 'surge', 0), status: unschedulable('0/2 nodes are available: 2 Insufficient cpu.') })
  only(await obstacles(target))
})

const waiting = (reason: string, message?: string) => ({ waiting: { reason, ...(message && { message }) } })
const status = (field: 'containerStatuses' | 'initContainerStatuses', name: string, rest: object) => ({
  phase: 'Pending',
  [field]: [{ name, image: 'crate:5.10.1', imageID: '', ready: false, restartCount: 0, ...rest }],
})

const containerCases = [
  {
    name: 'an image that cannot be pulled',
    code: 'ImageNotPulled',
    status: status('containerStatuses', 'crate', { state: waiting('ImagePullBackOff', 'Back-off pulling image "crate:5.10.1"') }),
    says: /The image crate:5\.10\.1 cannot be pulled/,
    cure: /imagePullSecrets/,
  },
  {
    name: 'a configuration that is not there',
    code: 'ContainerConfigError',
    status: status('containerStatuses', 'crate', { state: waiting('CreateContainerConfigError', 'configmap "tides" not found') }),
    says: /Container crate cannot be created: configmap "tides" not found/,
    cure: /describe pod/,
  },
  {
    name: 'a container that is killed for its memory',
    code: 'PodCrashLooping',
    status: status('containerStatuses', 'crate', {
      restartCount: 4,
      state: waiting('CrashLoopBackOff'),
      lastState: { terminated: { exitCode: 137, reason: 'OOMKilled' } },
    }),
    says: /Container crate does not stay up: out of memory/,
    cure: /heapRatio/,
  },
  {
    name: 'a container that ends with an error',
    code: 'PodCrashLooping',
    status: status('containerStatuses', 'crate', {
      restartCount: 2,
      state: waiting('CrashLoopBackOff'),
      lastState: { terminated: { exitCode: 78, reason: 'Error', message: 'first line\nunknown setting [tide.level]' } },
    }),
    says: /exit code 78, unknown setting \[tide\.level\]/,
    cure: /logs crate-data-hot-tide-0 --container crate$/,
  },
  {
    name: 'the download of the JMX exporter without internet',
    code: 'InitContainerFailing',
    status: status('initContainerStatuses', 'fetch-jmx-exporter', {
      restartCount: 3,
      state: waiting('CrashLoopBackOff'),
      lastState: { terminated: { exitCode: 6, reason: 'Error', message: 'curl: (6) Could not resolve host: repo1.maven.org' } },
    }),
    says: /Init container fetch-jmx-exporter fails: exit code 6, curl: \(6\) Could not resolve host.*Maven Central/,
    cure: /mirror/,
  },
  {
    name: 'another init container that fails',
    code: 'InitContainerFailing',
    status: status('initContainerStatuses', 'init-sysctl', { restartCount: 1, state: { terminated: { exitCode: 1, reason: 'Error' } } }),
    says: /^Init container init-sysctl fails: exit code 1\.$/,
    cure: /--container init-sysctl/,
  },
]
for (const { name: what, code, status, says, cure } of containerCases) {
  test(`${what} is told`, async () => {
    const { namespace, name, target } = await database()
    await make({ ...podOf(namespace, name, 0, onNode), status })
    const found = only(await obstacles(target), code)
    assert.match(found.message, says)
    assert.match(found.cure, cure)
  })
}

test('a container that starts for the first time is no obstacle', async () => {
  const { namespace, name, target } = await database()
  await make({
    ...podOf(namespace, name, 0, onNode),
    status: status('containerStatuses', 'crate', { state: waiting('ContainerCreating') }),
  })
  only(await obstacles(target))
})

test('a missing Secret is told once, though a container waits for it too', async () => {
  const { namespace, name, target } = await database()
  const secret = `user-password-${name}-0`
  await scene.remove({ apiVersion: 'v1', kind: 'Secret', metadata: { name: secret, namespace } })
  const state = waiting('CreateContainerConfigError', `secret "${secret}" not found`)
  await make({ ...podOf(namespace, name, 0, onNode), status: status('containerStatuses', 'crate', { state }) })
  const { message } = only(await obstacles(target), 'SecretMissing')
  assert.equal(message, `Secret ${namespace}/${secret} does not exist; it is needed for spec.users[0].password.`)
})

test('pods on a node that is silent are told with the node, those that hang in Terminating first', async () => {
  await make(nodeNamed('wreck', { ready: false }))
  const { namespace, name, target } = await database()
  const silent = { nodeName: 'wreck', terminationGracePeriodSeconds: 1200 }
  const unready = { phase: 'Running', conditions: [{ type: 'Ready', status: 'False' }] }
  await make({ ...podOf(namespace, name, 0, silent), status: unready })
  assert.match(
    only(await obstacles(target), 'NodeNotReady').message,
    /Node wreck is not ready since 2026-01-01T00:00:00Z \(Kubelet stopped.*crate-data-hot-tide-0 should run on it/,
  )

  // Held, since without a kubelet nothing else would keep a deleted pod on an API server.
  const pod = podOf(namespace, name, 0)
  await scene.admin.request({
    method: 'PATCH',
    path: `/api/v1/namespaces/${namespace}/pods/${pod.metadata.name}`,
    contentType: 'application/merge-patch+json',
    body: { metadata: { finalizers: ['skerry.dev/test'] } },
  })
  await scene.remove(pod)
  const { message, cure } = only(await obstacles(target), 'NodeNotReady')
  assert.match(message, /stuck in Terminating on it: .*crate-data-hot-tide-0/)
  assert.match(cure, /kubectl delete node wreck/)
})

test('a pod that its node does not end is told once its grace is over', async () => {
  const { namespace, name, target } = await database()
  const { metadata } = await make({
    ...podOf(namespace, name, 0, onNode),
    status: { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] },
  })
  const path = `/api/v1/namespaces/${namespace}/pods/${metadata.name}`
  const leaving = await scene.admin.request<KubernetesObject>({ method: 'DELETE', path, query: { gracePeriodSeconds: 20 } })
  only(await obstacles(target))
  const afterItsGrace = (ms: number) => ({ laterMs: Date.parse(leaving.metadata.deletionTimestamp ?? '') + ms - Date.now() })
  only(await obstacles(target, afterItsGrace(50_000)))
  const { message } = only(await obstacles(target, afterItsGrace(70_000)), 'PodNotEnding')
  assert.match(message, /node quay-1 has not removed it/)
})

test('a pod that a foreign finalizer holds is told at once', async () => {
  const { namespace, name, target } = await database()
  const { metadata, ...pod } = podOf(namespace, name, 0, onNode)
  await scene.remove(
    await make({ ...pod, metadata: { ...metadata, finalizers: ['example.com/hold'] } } as typeof pod & { metadata: typeof metadata }),
  )
  const { message, cure } = only(await obstacles(target), 'FinalizerHeld')
  assert.match(message, /held by the finalizer example\.com\/hold. Its owner has to remove it/)
  assert.match(cure, /kubectl --namespace \S+ patch pod crate-data-hot-tide-0 --type json/)
})

test('pods that the quota forbids are told with the numbers of the API server', async () => {
  const { namespace, name, target } = await database()
  await make({ apiVersion: 'v1', kind: 'ResourceQuota', metadata: { name: 'tight', namespace }, spec: { hard: { pods: '0' } } })
  await whenRefused(scene, namespace, /exceeded quota: tight/)
  const set = await make(statefulSetOf(namespace, name))
  const message = `create Pod crate-data-hot-${name}-0 in StatefulSet crate-data-hot-${name} failed error: pods "crate-data-hot-${name}-0" is forbidden: exceeded quota: tight, requested: pods=1, used: pods=0, limited: pods=0`
  await scene.event(set, { type: 'Warning', reason: 'FailedCreate', message })
  const found = only(await obstacles(target), 'QuotaExceeded')
  assert.match(found.message, /exceeded quota: tight, requested: pods=1, used: pods=0, limited: pods=0/)
  assert.match(found.cure, /describe resourcequota/)
  only(await obstacles(target, { laterMs: 30 * 60_000 })) // an event of half an hour ago says nothing about now
})

test('pods that anything but the quota forbids are told apart', async () => {
  const { namespace, name, target } = await database()
  const limits = { type: 'Container', min: { cpu: '2' } }
  await make({ apiVersion: 'v1', kind: 'LimitRange', metadata: { name: 'coarse', namespace }, spec: { limits: [limits] } })
  await whenRefused(scene, namespace, /minimum cpu usage/)
  const set = await make(statefulSetOf(namespace, name))
  const message = `create Pod failed error: pods "${set.metadata.name}-0" is forbidden: minimum cpu usage per Container is 2, but request is 1`
  await scene.event(set, { type: 'Warning', reason: 'FailedCreate', message })
  assert.match(only(await obstacles(target), 'PodRefused').message, /minimum cpu usage per Container is 2/)
})
