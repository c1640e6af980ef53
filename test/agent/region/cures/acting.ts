import assert from 'node:assert/strict'
import type { Obstacle } from '../../../../agent/resources/operation.ts'
import { type KubernetesObject, kinds, pathOf } from '../../../../shared/kubernetes/objects.ts'
import { type StandIns, startStandIns, until } from '../../../cluster/index.ts'
import { type Answer, createClient } from '../../../region/client.ts'
import { smallDatabase } from '../../operations/acting-region.ts'
import { type Scene, startScene, whenOperatorIsReady } from '../scene.ts'
import { startKubeletServer } from './kubelet.ts'
import { startTrial, type Trial } from './trial.ts'

/** A region in which everything acts: an agent, a Crate Operator, a scheduler, storage. */
export type ActingScene = {
  scene: Scene
  standIns: StandIns
  trial: Trial
  call(method: string, path: string, body?: unknown): Promise<Answer>
  /** Puts a project, and databases of one node each, and waits until that is done. */
  putProject(id: string, given?: object): Promise<void>
  putDatabase(project: string, id: string, given?: object): Promise<void>
  /** The first obstacle of that code, once there is one. */
  told(target: Parameters<Scene['obstacles']>[0], code: string, options?: Parameters<Scene['obstacles']>[1]): Promise<Obstacle>
  read(kind: keyof typeof kinds, name: string, namespace?: string): Promise<KubernetesObject | undefined>
  /** Volumes whose claims were in that namespace. */
  volumesOf(namespace: string): Promise<KubernetesObject[]>
  /** @throws AssertionError unless each of them still is there, and stays */
  areKept(volumes: KubernetesObject[]): Promise<void>
  stop(): Promise<void>
}

/** Starts one. To be called at the top of a test file; `stop` comes before what that file started earlier is stopped. */
export async function startActingScene(): Promise<ActingScene> {
  const scene = await startScene({ withOperator: false })
  const { admin, region } = scene
  const standIns = await startStandIns(scene.testCluster)
  await whenOperatorIsReady(admin)
  const kubelet = await startKubeletServer(admin)
  for (const name of ['node-1', 'node-2', 'node-3']) {
    const contentType = 'application/merge-patch+json'
    await admin.request({ method: 'PATCH', path: `/api/v1/nodes/${name}/status`, contentType, body: { status: kubelet.status } })
  }
  const sqlUrl = `${standIns.database.url}/{namespace}/{database}/_sql`
  const agent = await region.startAgent({ config: { databases: { sqlUrl }, operations: { recheck: '500ms' } } })
  const api = { url: agent.url, token: region.token, ca: region.ca }
  const client = createClient(api)
  const trial = await startTrial({ testCluster: scene.testCluster, admin, api, env: { node: 'node-2' } })

  const call = (method: string, path: string, body?: unknown) => client.call(method, path, { ...(body !== undefined && { body }) })

  /** Until the request is taken, which an API server that has yet to count a quota keeps it from, and then until it is done. */
  async function done(path: string, body: unknown): Promise<void> {
    const accepted = await until(`PUT ${path} is accepted`, async () => {
      const answer = await call('PUT', path, body)
      assert.ok(answer.status === 202 || answer.status === 503, answer.text)
      return answer.status === 202 && answer
    })
    await until(`PUT ${path} has ended`, async () => {
      const { body } = await call('GET', `/v1/operations/${accepted.body.id}`)
      assert.notEqual(body.phase, 'Failed', JSON.stringify(body))
      return body.phase === 'Succeeded'
    })
  }

  const read: ActingScene['read'] = (kind, name, namespace) =>
    admin.request<KubernetesObject>({ method: 'GET', path: pathOf(kinds[kind], namespace, name) }).catch(() => undefined)

  return {
    ...{ scene, standIns, trial, call, read },
    putProject: (id, given = {}) => done(`/v1/projects/${id}`, given),
    putDatabase: (project, id, given = {}) => done(`/v1/projects/${project}/databases/${id}`, { ...smallDatabase({ id }), ...given }),
    told: (target, code, options) =>
      until(`${code} is told`, async () => (await scene.obstacles(target, options)).find((found) => found.code === code)),
    async volumesOf(namespace) {
      const { items } = await admin.request<{ items: KubernetesObject[] }>({ method: 'GET', path: pathOf(kinds.PersistentVolume) })
      return items.filter(({ spec }) => spec?.claimRef?.namespace === namespace)
    },
    async areKept(volumes) {
      assert.ok(volumes.length > 0)
      for (const { metadata } of volumes) {
        const now = await read('PersistentVolume', metadata.name)
        assert.deepEqual([now?.metadata.uid, now?.spec.persistentVolumeReclaimPolicy], [metadata.uid, 'Retain'], metadata.name)
      }
    },
    async stop() {
      client.close()
      await trial.stop()
      await agent.stop()
      await kubelet.stop()
      await standIns.stop()
    },
  }
}
