import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Obstacle } from '../../../../agent/resources/operation.ts'
import { tunnelObstacles } from '../../../../agent/tunnel/obstacles.ts'
import { createTunnelCaches } from '../../../../agent/tunnel/state.ts'
import { systemClock } from '../../../../shared/clock.ts'
import type { KubernetesObject } from '../../../../shared/kubernetes/objects.ts'
import { createLog } from '../../../../shared/log.ts'
import { until } from '../../../cluster/index.ts'
import { installedByHelm, tunnelFrom } from '../../tunnel-sample.ts'
import type { Scene } from '../scene.ts'
import type { Trial } from './trial.ts'

const tunnel = tunnelFrom()
const { deployment } = installedByHelm()
const credentials: KubernetesObject = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'tunnel-credentials', namespace: 'skerry' } }

/** A cloudflared that is not as it should be, brought about by writing its Deployment and a pod. */
export function curesOfTheTunnel(scene: Scene, trial: () => Trial): void {
  const { make, read } = scene

  async function told(code: string): Promise<Obstacle> {
    const tools = { cluster: scene.admin, clock: systemClock, log: createLog({ level: 'silent', name: 'test' }) }
    const caches = createTunnelCaches(tunnel, tools)
    await Promise.all(Object.values(caches).map((cache) => cache.start(new AbortController().signal)))
    try {
      return await until(`${code} is told`, async () =>
        (await tunnelObstacles(tunnel, caches, scene.admin)).find((obstacle) => obstacle.code === code),
      )
    } finally {
      await Promise.all(Object.values(caches).map((cache) => cache.stop(0)))
    }
  }

  const podNamed = (name: string, status: object): KubernetesObject => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'skerry', labels: deployment.spec.selector.matchLabels },
    spec: { nodeName: 'quay-1', containers: [{ name: 'cloudflared', image: 'cloudflared:1' }] },
    status,
  })

  test('cloudflared that is scaled down is started', async () => {
    await make({ ...deployment, spec: { ...deployment.spec, replicas: 0 } })
    await trial().cure(await told('CloudflaredScaledDown'), {
      async 'CloudflaredScaledDown.start'() {
        assert.equal((await read(deployment))?.spec.replicas, 2)
        assert.ok(await told('SecretMissing'), 'what is in its way next')
      },
    })
  })

  test('the credentials of the tunnel are created', async () => {
    await trial().cure(await told('SecretMissing'), {
      async 'SecretMissing.tunnel'() {
        assert.deepEqual(Object.keys((await read(credentials))?.data ?? {}), ['credentials.json'])
        assert.ok(await told('CloudflaredNotReady'), 'what is in its way next')
      },
    })
  })

  test('cloudflared without a pod that runs is looked into', async () => {
    await trial().cure(await told('CloudflaredNotReady'), { 'CloudflaredNotReady.describe': /cloudflared/ })
  })

  test('cloudflared that no node takes is looked into', async () => {
    const conditions = [{ type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message: '0/2 nodes are available' }]
    const { spec, ...pod } = podNamed('cloudflared-afloat', { phase: 'Pending', conditions })
    const { nodeName: _, ...unplaced } = spec ?? {}
    await make({ ...pod, spec: unplaced })
    await trial().cure(await told('PodUnschedulable'), { 'PodUnschedulable.describe': /cloudflared-afloat/ })
    await scene.remove(pod)
  })

  test('cloudflared without a connection is looked into', async () => {
    const running = [{ name: 'cloudflared', image: 'cloudflared:1', imageID: '', ready: false, restartCount: 0, state: { running: {} } }]
    await make(podNamed('cloudflared-moored', { phase: 'Running', containerStatuses: running }))
    const found = await until('it is told of its log', async () => {
      const obstacle = await told('CloudflaredNotReady')
      return obstacle.message.includes('edge') && obstacle
    })
    await trial().cure(found, { 'CloudflaredNotReady.log': /said by cloudflared of skerry\/cloudflared/ })
  })
}
