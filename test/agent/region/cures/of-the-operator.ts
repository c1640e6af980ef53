import { test } from 'node:test'
import type { KubernetesObject } from '../../../../shared/kubernetes/objects.ts'
import { until } from '../../../cluster/index.ts'
import { connectTo } from '../../../shared/kubernetes/connected.ts'
import { makeDatabase } from '../pieces.ts'
import { only, operatorName, type Scene, whenOperatorIsReady } from '../scene.ts'
import type { Trial } from './trial.ts'

const { namespace } = operatorName
export const crashing = { waiting: { reason: 'CrashLoopBackOff' } }

/**
 * The pod of the operator, on that node, with one container in that state. On a real control plane the Deployment's controller makes it; on
 * the embedded one nobody does but the test.
 */
export async function operatorPod(scene: Scene, nodeName: string, container: object): Promise<KubernetesObject> {
  const { admin, world, make } = scene
  const path = `/api/v1/namespaces/${namespace}/pods`
  const labels = { 'app.kubernetes.io/name': 'crate-operator', 'app.kubernetes.io/instance': 'crate-operator' }
  const annotations = { 'skerry.dev/stand-in': 'minds-its-own-pods' }
  if (world.plane === 'embedded') {
    const spec = { nodeName, containers: [{ name: 'operator', image: 'crate/crate-operator:2.63.0' }] }
    await make({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'crate-operator-0', namespace, labels, annotations }, spec })
  }
  const pod = await until('the operator has a pod', async () => {
    const { items } = await admin.request<{ items: KubernetesObject[] }>({ method: 'GET', path })
    return items.find(({ metadata }) => metadata.deletionTimestamp === undefined)
  })
  const { name } = pod.metadata
  if (pod.spec?.nodeName === undefined) {
    const target = { apiVersion: 'v1', kind: 'Node', name: nodeName }
    await admin.request({
      method: 'POST',
      path: `${path}/${name}/binding`,
      body: { apiVersion: 'v1', kind: 'Binding', metadata: { name }, target },
    })
  }
  const statuses = [{ name: 'operator', image: 'crate/crate-operator:2.63.0', imageID: '', ready: false, restartCount: 0, ...container }]
  const contentType = 'application/merge-patch+json'
  await admin.request({ method: 'PATCH', path: `${path}/${name}/status`, contentType, body: { status: { containerStatuses: statuses } } })
  return pod
}

/** What the agent cannot see, and an operator that is not there, brought about by writing objects. */
export function curesOfTheOperator(scene: Scene, trial: () => Trial): void {
  const { obstacles } = scene

  test('an API server that does not answer the agent is looked into', async () => {
    const { project } = await scene.project()
    const nowhere = connectTo({ ...scene.testCluster, url: 'https://127.0.0.1:1' })
    try {
      const found = only(await obstacles({ kind: 'project', project }, { cluster: nowhere }), 'EvidenceUnread')
      await trial().cure(found, { 'EvidenceUnread.apiServer': /^ok|readyz check passed/m })
    } finally {
      nowhere.close()
    }
  })

  test('an operator that is not installed under its name is looked for', async () => {
    const { target } = await makeDatabase(scene)
    const elsewhere = { ...operatorName, name: 'crate-operator-2' }
    const found = only(await obstacles(target, { operator: elsewhere }), 'OperatorNotRunning')
    await trial().cure(found, { 'OperatorNotRunning.find': /crate-operator +crate-operator/ })
  })

  test('an operator that is not ready is looked into', async () => {
    const { target } = await makeDatabase(scene)
    await operatorPod(scene, 'quay-1', { state: crashing, lastState: { terminated: { exitCode: 1, reason: 'Error' } }, restartCount: 3 })
    await scene.operator?.setReady(false)
    const found = await until('it is told', async () => (await obstacles(target)).find(({ code }) => code === 'OperatorNotRunning'))
    await trial().cure(found, {
      'OperatorNotRunning.describe': /Available +False/,
      'OperatorNotRunning.pods': /Last State: +Terminated/,
      'OperatorNotRunning.log': /said by operator of crate-operator\/crate-operator/,
    })
    await scene.operator?.setReady(true)
    await whenOperatorIsReady(scene.admin)
  })
}
