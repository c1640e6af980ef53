import assert from 'node:assert/strict'
import { isDeepStrictEqual } from 'node:util'
import { createOperatorCache } from '../../../agent/region/operator.ts'
import { systemClock } from '../../../shared/clock.ts'
import { isProblem } from '../../../shared/errors.ts'
import { applyObject } from '../../../shared/kubernetes/apply.ts'
import { type KubernetesObject, kinds, pathOf } from '../../../shared/kubernetes/objects.ts'
import { createLog } from '../../../shared/log.ts'
import { until } from '../../cluster/index.ts'
import { type Answered, createApiOver } from '../api/region.ts'
import { type ActingRegion, smallDatabase, startActingRegion } from './acting-region.ts'

type Given = { body?: unknown; headers?: Record<string, string> }
// biome-ignore lint/suspicious/noExplicitAny: a test looks into what it got
type Body = any

/** A region in which operations are carried out, asked by its API, with a project `harbour`. */
export type DeletedScene = {
  region: ActingRegion
  call(method: string, path: string, given?: Given): Promise<Answered>
  /** Sends a request and resolves with its operation once that has ended. */
  ask(method: string, path: string, given?: Given): Promise<Body>
  /** Creates a database; resolves with what a read shows of it, without its status. */
  put(id: string, given?: { nodes?: number; settings?: Record<string, string> }, project?: string): Promise<Body>
  remove(id: string, query?: string, project?: string): Promise<Body>
  undelete(id: string, given?: Given, query?: string): Promise<Body>
  deleted(project?: string): Promise<Body[]>
  record(id: string): Promise<KubernetesObject | undefined>
  keptSecret(id: string): Promise<KubernetesObject | undefined>
  secretOf(id: string): Promise<KubernetesObject>
  /** By claim. */
  volumesOf(id: string): Promise<{ volume: string; claim: string }[]>
  patchVolume(name: string, body: object): Promise<unknown>
  /** Deletes a volume, and waits until it is gone: until then it is held by a finalizer, as a volume that is being deleted. */
  loseVolume(name: string): Promise<void>
  /** A database that kubectl made, with a node group and a Secret of its own names. */
  standForeign(id: string): Promise<KubernetesObject>
  close(): Promise<void>
}

export async function startDeletedScene(): Promise<DeletedScene> {
  const region = await startActingRegion()
  const { admin } = region
  const log = createLog({ level: 'fatal', name: 'test' })
  const operator = createOperatorCache({ namespace: 'crate-operator', name: 'crate-operator' }, { cluster: admin, clock: systemClock, log })
  await operator.start(new AbortController().signal)
  // The acting half is another one after a restart.
  const api = () =>
    createApiOver({ cluster: admin, caches: region.caches, journal: region.journal, obstacles: { of: async () => [] } }, operator)
  let [current, madeFor] = [api(), region.journal]
  const read = (path: string) => admin.request<KubernetesObject>({ method: 'GET', path }).catch(unlessGone)
  const volumePath = (name: string) => pathOf(kinds.PersistentVolume, undefined, name)

  const call: DeletedScene['call'] = (method, path, given) => {
    if (madeFor !== region.journal) [current, madeFor] = [api(), region.journal]
    return current.call(method, path, given)
  }

  /** The API answers by a copy of the records, which may be behind an operation that has ended. */
  const recordsAreKnown = () =>
    until('the agent knows the records as they are', async () => {
      const path = pathOf(kinds.RetainedDatabase, 'skerry')
      const list = await admin.request<{ items: KubernetesObject[] }>({ method: 'GET', path }).catch(unlessNotServed)
      const known = [...region.caches.retained.values()].map(versionOf)
      return !list || isDeepStrictEqual(known.sort(), list.items.map(versionOf).sort())
    })

  async function ask(method: string, path: string, given?: Given): Promise<Body> {
    const accepted = await call(method, path, given)
    assert.equal(accepted.status, 202, accepted.text)
    await region.ended({ metadata: { name: accepted.body.id } } as never)
    await recordsAreKnown()
    return (await call('GET', `/v1/operations/${accepted.body.id}`)).body
  }

  await ask('PUT', '/v1/projects/harbour', { body: {} })
  return {
    region,
    call,
    ask,
    async put(id, { nodes = 1, settings = {} } = {}, project = 'harbour') {
      const { id: _, ...body } = smallDatabase({ id })
      const group = { ...(body.nodes as object), count: nodes }
      const operation = await ask('PUT', `/v1/projects/${project}/databases/${id}`, { body: { ...body, nodes: group, settings } })
      assert.equal(operation.phase, 'Succeeded', JSON.stringify(operation))
      const { status: __, ...shown } = (await call('GET', `/v1/projects/${project}/databases/${id}`)).body
      return shown
    },
    async remove(id, query = '', project = 'harbour') {
      const operation = await ask('DELETE', `/v1/projects/${project}/databases/${id}${query}`)
      assert.equal(operation.phase, 'Succeeded', JSON.stringify(operation))
      return operation
    },
    undelete: (id, given, query = '') => ask('POST', `/v1/projects/harbour/deleted-databases/${id}/actions/undelete${query}`, given),
    async deleted(project = 'harbour') {
      await recordsAreKnown()
      const answer = await call('GET', `/v1/projects/${project}/deleted-databases`)
      assert.equal(answer.status, 200, answer.text)
      return answer.body.items
    },
    record: (id) => read(pathOf(kinds.RetainedDatabase, 'skerry', id)),
    keptSecret: (id) => read(pathOf(kinds.Secret, 'skerry', `retained-${id}`)),
    secretOf: (id) => admin.request({ method: 'GET', path: pathOf(kinds.Secret, 'project-harbour', `user-password-${id}-0`) }),
    async volumesOf(id) {
      const query = { labelSelector: `app.kubernetes.io/name=${id}` }
      const { items } = await admin.request<{ items: KubernetesObject[] }>({
        method: 'GET',
        path: pathOf(kinds.PersistentVolumeClaim),
        query,
      })
      return items
        .filter(({ metadata }) => metadata.name.startsWith('data'))
        .map(({ metadata, spec }) => ({ volume: spec.volumeName as string, claim: `${metadata.namespace}/${metadata.name}` }))
        .sort((one, other) => (one.claim < other.claim ? -1 : 1))
    },
    patchVolume: (name, body) =>
      admin.request({ method: 'PATCH', path: volumePath(name), contentType: 'application/merge-patch+json', body }),
    async loseVolume(name) {
      await admin.request({ method: 'DELETE', path: volumePath(name) })
      await until(`volume ${name} is gone`, async () => (await read(volumePath(name))) === undefined)
    },
    async standForeign(id) {
      const kept = {
        metadata: { name: 'their-secret', namespace: 'project-harbour' },
        data: { word: Buffer.from('open sesame').toString('base64') },
      }
      await admin.request({ method: 'POST', path: pathOf(kinds.Secret, 'project-harbour'), body: kept })
      const disk = { count: 1, size: '8Gi', storageClass: 'crate-premium' }
      const group = { name: 'warm', replicas: 1, resources: { limits: { cpu: 0.5, memory: '1Gi' }, heapRatio: 0.25, disk } }
      const spec = {
        cluster: { name: id, imageRegistry: 'crate', version: '5.10.1' },
        nodes: { data: [group] },
        users: [{ name: 'keeper', password: { secretKeyRef: { name: 'their-secret', key: 'word' } } }],
      }
      const object = { apiVersion: 'cloud.crate.io/v1', kind: 'CrateDB', metadata: { name: id, namespace: 'project-harbour' }, spec }
      await applyObject(admin, object, { fieldManager: 'kubectl', force: true })
      await until(`${id} runs`, async () => {
        const status = region.caches.databases.get(`project-harbour/${id}`)?.status
        return status?.['cluster_create/bootstrap']?.success
      })
      return region.cratedb('harbour', id)
    },
    async close() {
      await operator.stop(performance.now() + 1_000)
      await region.close()
    },
  }
}

const versionOf = ({ metadata }: KubernetesObject) => `${metadata.uid} ${metadata.resourceVersion}`

function unlessNotServed(error: unknown): undefined {
  if (isProblem(error, 'not-served')) return undefined
  throw error
}

function unlessGone(error: unknown): undefined {
  if (isProblem(error, 'not-found')) return undefined
  throw error
}
