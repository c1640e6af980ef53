import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { KubernetesObject } from '../../../../shared/kubernetes/objects.ts'
import { makeDatabase, statefulSetOf, whenRefused } from '../pieces.ts'
import { ofDatabase, only, podOf, type Scene } from '../scene.ts'
import type { Expectation, Trial } from './trial.ts'

const tide0 = /crate-data-hot-tide-0/
const onNode = { nodeName: 'quay-1' }
const waiting = (reason: string, message?: string) => ({ waiting: { reason, ...(message && { message }) } })
const ended = (more: object = {}) => ({ terminated: { exitCode: 1, reason: 'Error', ...more } })
const failing = { state: waiting('CrashLoopBackOff'), lastState: ended(), restartCount: 4 }

/** What is wrong with one container, and what its cure has to print. */
const containers: { name: string; container?: string; init?: true; status: object; expected: Record<string, Expectation> }[] = [
  {
    name: 'an image that cannot be pulled',
    status: { state: waiting('ImagePullBackOff') },
    expected: { 'ImageNotPulled.describe': tide0 },
  },
  {
    name: 'a container that cannot be created',
    status: { state: waiting('CreateContainerConfigError', 'configmap "tides" not found') },
    expected: { 'ContainerConfigError.describe': /CreateContainerConfigError/ },
  },
  {
    name: 'a download that fails',
    init: true,
    container: 'fetch-jmx-exporter',
    status: failing,
    expected: { 'InitContainerFailing.mirror': /^said by fetch-jmx-exporter of \S+crate-data-hot-tide-0$/m },
  },
  {
    name: 'an init container that has failed for the first time',
    init: true,
    container: 'init-sysctl',
    status: { state: ended() },
    expected: { 'InitContainerFailing.log': /^said by init-sysctl of \S+crate-data-hot-tide-0$/m },
  },
  {
    name: 'a container that is killed for its memory',
    status: { ...failing, lastState: ended({ exitCode: 137, reason: 'OOMKilled' }) },
    expected: { 'PodCrashLooping.memory': /OOMKilled/ },
  },
  {
    name: 'a container that has ended with an error',
    status: failing,
    expected: { 'PodCrashLooping.log': /^said by crate of \S+crate-data-hot-tide-0$/m },
  },
  {
    name: 'a container that runs again and is not ready',
    status: { state: { running: {} }, lastState: ended(), restartCount: 3 },
    expected: { 'PodCrashLooping.previous': /^said by crate of \S+crate-data-hot-tide-0, before it ended$/m },
  },
]

/** Pods that are not placed, made or kept up, brought about by writing objects. */
export function curesOfPods(scene: Scene, trial: () => Trial): void {
  const { make, obstacles, event, admin } = scene

  for (const { name: what, container = 'crate', init, status, expected } of containers) {
    test(`${what} is looked into`, async () => {
      const { namespace, name, target } = await makeDatabase(scene)
      const field = init ? 'initContainerStatuses' : 'containerStatuses'
      const initContainers = init && [{ name: container, image: 'busybox:1' }]
      const pod = podOf(namespace, name, 0, { ...onNode, ...(initContainers && { initContainers }) })
      const statuses = [{ name: container, image: 'crate:5.10.1', imageID: '', ready: false, restartCount: 0, ...status }]
      await make({ ...pod, status: { phase: 'Pending', [field]: statuses } })
      await trial().cure(only(await obstacles(target), Object.keys(expected)[0]?.split('.')[0] ?? ''), expected)
    })
  }

  test('a pod that its node does not end is looked into', async () => {
    const { namespace, name, target } = await makeDatabase(scene)
    const ready = { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] }
    const { metadata } = await make({ ...podOf(namespace, name, 0, onNode), status: ready })
    const path = `/api/v1/namespaces/${namespace}/pods/${metadata.name}`
    await admin.request({ method: 'DELETE', path, query: { gracePeriodSeconds: 20 } })
    const found = only(await obstacles(target, { laterMs: 90_000 }), 'PodNotEnding')
    await trial().cure(found, { 'PodNotEnding.describe': tide0 })
  })

  test('pods that the quota forbids are looked into', async () => {
    const { namespace, name, target } = await makeDatabase(scene)
    await make({ apiVersion: 'v1', kind: 'ResourceQuota', metadata: { name: 'tight', namespace }, spec: { hard: { pods: '0' } } })
    await whenRefused(scene, namespace, /exceeded quota: tight/)
    await refused(namespace, name, 'exceeded quota: tight, requested: pods=1, used: pods=0, limited: pods=0')
    await trial().cure(only(await obstacles(target), 'QuotaExceeded'), { 'QuotaExceeded.describe': /tight/ })
  })

  test('pods that something else forbids are looked into', async () => {
    const { namespace, name, target } = await makeDatabase(scene)
    const limits = [{ type: 'Container', min: { cpu: '2' } }]
    await make({ apiVersion: 'v1', kind: 'LimitRange', metadata: { name: 'coarse', namespace }, spec: { limits } })
    await whenRefused(scene, namespace, /minimum cpu usage/)
    await refused(namespace, name, 'minimum cpu usage per Container is 2, but request is 1')
    await trial().cure(only(await obstacles(target), 'PodRefused'), { 'PodRefused.describe': /minimum cpu usage per Container is 2/ })
  })

  async function refused(namespace: string, name: string, why: string): Promise<void> {
    const set = await make(statefulSetOf(namespace, name))
    await event(set, { type: 'Warning', reason: 'FailedCreate', message: `create Pod failed error: pods "x" is forbidden: ${why}` })
  }

  test('a password that is missing is created with what it was', async () => {
    const { namespace, name, target } = await makeDatabase(scene)
    const secret: KubernetesObject = { apiVersion: 'v1', kind: 'Secret', metadata: { name: `user-password-${name}-0`, namespace } }
    await scene.remove(secret)
    const state = waiting('CreateContainerConfigError', `secret "${secret.metadata.name}" not found`)
    const statuses = [{ name: 'crate', image: 'crate:5.10.1', imageID: '', ready: false, restartCount: 0, state }]
    await make({ ...podOf(namespace, name, 0, onNode), status: { phase: 'Pending', containerStatuses: statuses } })
    await trial().cure(only(await obstacles(target), 'SecretMissing'), {
      async 'SecretMissing.create'() {
        const { password } = (await scene.read(secret))?.data ?? {}
        assert.equal(Buffer.from(password, 'base64').toString(), "it's wet")
        // The kubelet has yet to try again.
        only(await obstacles(target), 'ContainerConfigError')
      },
    })
  })

  test('a pull secret that is missing is created, of the right type', async () => {
    const { project } = await scene.project()
    await make({ apiVersion: 'skerry.dev/v1', kind: 'Project', metadata: { name: project }, spec: { imagePullSecrets: ['quay'] } })
    const target = { kind: 'project', project } as const
    await trial().cure(only(await obstacles(target), 'SecretMissing'), {
      async 'SecretMissing.pull'() {
        const made = await scene.read({ apiVersion: 'v1', kind: 'Secret', metadata: { name: 'quay', namespace: 'skerry' } })
        assert.equal(made?.type, 'kubernetes.io/dockerconfigjson')
        const config = JSON.parse(Buffer.from(made?.data['.dockerconfigjson'], 'base64').toString())
        assert.deepEqual([config.auths['registry.example'].username, config.auths['registry.example'].password], ['pilot', 'low tide'])
        only(await obstacles(target))
      },
    })
  })

  test('a load balancer without an address is looked into', async () => {
    const { namespace, target } = await makeDatabase(scene)
    const metadata = { name: 'crate-tide', namespace, labels: ofDatabase('tide') }
    const spec = { type: 'LoadBalancer', ports: [{ name: 'http', protocol: 'TCP', port: 4200 }] }
    await make({ apiVersion: 'v1', kind: 'Service', metadata, spec, status: { loadBalancer: {} } })
    const found = only(await obstacles(target, { laterMs: 60_000 }), 'LoadBalancerWithoutAddress')
    await trial().cure(found, { 'LoadBalancerWithoutAddress.describe': /crate-tide/ })
  })
}
