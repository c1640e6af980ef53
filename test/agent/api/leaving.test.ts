import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { createOperatorCache } from '../../../agent/region/operator.ts'
import { systemClock } from '../../../shared/clock.ts'
import { type KubernetesObject, kinds, pathOf } from '../../../shared/kubernetes/objects.ts'
import { createLog } from '../../../shared/log.ts'
import { until } from '../../cluster/index.ts'
import { type ActingRegion, smallDatabase, startActingRegion } from '../operations/acting-region.ts'
import { type Api, createApiOver, operatorAt } from './region.ts'

/*
 * Somebody has deleted a project with kubectl. It waits for its databases, and the API sees them off.
 */

let region: ActingRegion
let api: Api
let operator: ReturnType<typeof createOperatorCache>
const headers = { prefer: 'wait=90' }

before(async () => {
  region = await startActingRegion()
  const log = createLog({ level: 'silent', name: 'test' })
  const at = { namespace: operatorAt.namespace, name: operatorAt.deployment }
  operator = createOperatorCache(at, { cluster: region.admin, clock: systemClock, log })
  await operator.start(new AbortController().signal)
  const { caches, journal, admin: cluster } = region
  api = createApiOver({ cluster, caches, journal, obstacles: { of: async () => [] } }, operator)
})
after(async () => {
  await operator?.stop(0)
  await region?.close()
})

const pathOfProject = (id: string) => pathOf(kinds.Project, undefined, id)

async function succeeds(method: string, path: string, body?: unknown) {
  const answer = await api.call(method, path, { headers, ...(body !== undefined && { body }) })
  assert.equal(answer.status, 200, answer.text)
  return answer.body
}

/** A protected project with two protected databases, deleted as kubectl does it, and known to be leaving. */
async function deletedByHand(project: string): Promise<string> {
  const path = `/v1/projects/${project}`
  await succeeds('PUT', path, { deletionProtection: true })
  for (const id of ['tide', 'ebb']) await succeeds('PUT', `${path}/databases/${id}`, { ...smallDatabase({ id }), deletionProtection: true })
  await region.admin.request({ method: 'DELETE', path: pathOfProject(project) })
  await until('the agent has heard of it', async () => region.caches.projects.get(project)?.metadata.deletionTimestamp !== undefined)
  return path
}

async function volumesOf(project: string): Promise<KubernetesObject[]> {
  const path = pathOf(kinds.PersistentVolume)
  return (
    await region.admin.request<{ items: KubernetesObject[] }>({
      method: 'GET',
      path,
      query: { labelSelector: `skerry.dev/project=${project}` },
    })
  ).items
}

async function isGone(project: string): Promise<void> {
  const read = (path: string) =>
    region.admin.request({ method: 'GET', path }).then(
      () => true,
      () => false,
    )
  await until(`project ${project} and its namespace are gone`, async () => {
    const paths = [pathOfProject(project), pathOf(kinds.Namespace, undefined, `project-${project}`)]
    return (await Promise.all(paths.map(read))).every((is) => !is)
  })
}

test('what a leaving project holds can be read, unprotected and deleted one by one, and its volumes are kept', async () => {
  const path = await deletedByHand('eider')
  assert.equal((await api.call('GET', `${path}/databases/tide`)).status, 200)
  assert.equal((await api.call('GET', path)).body.status.phase, 'Deleting')
  for (const id of ['tide', 'ebb']) {
    const refused = await api.call('DELETE', `${path}/databases/${id}`)
    assert.equal(refused.status, 409, refused.text)
    assert.match(refused.body.type, /protected$/)
    await succeeds('PATCH', `${path}/databases/${id}`, { deletionProtection: false })
    const { result } = await succeeds('DELETE', `${path}/databases/${id}`)
    assert.equal(result.retainedVolumes.length, 1)
  }
  await isGone('eider')
  assert.deepEqual(
    (await volumesOf('eider')).map(({ spec }) => spec.persistentVolumeReclaimPolicy),
    ['Retain', 'Retain'],
  )
})

test('a leaving project cascades, once it and its databases are unprotected', async () => {
  const path = await deletedByHand('gannet')
  const cascade = () => api.call('DELETE', `${path}?cascade=true`, { headers })
  assert.match((await cascade()).body.type, /protected$/)
  await succeeds('PATCH', path, { deletionProtection: false })
  const refused = await cascade()
  assert.deepEqual(refused.body.databases, ['ebb', 'tide'])
  for (const id of ['tide', 'ebb']) await succeeds('PATCH', `${path}/databases/${id}`, { deletionProtection: false })
  const deleted = await cascade()
  assert.equal(deleted.status, 200, deleted.text)
  assert.equal(deleted.body.result.retainedVolumes.length, 2)
  await isGone('gannet')
  assert.equal((await volumesOf('gannet')).length, 2)
})

test('nothing else is taken for a leaving project or what is in it, and the refusal says what is', async () => {
  const path = await deletedByHand('petrel')
  const refused = [
    ['PUT', path, { deletionProtection: true }],
    ['PATCH', path, { displayName: 'Petrel' }],
    ['PATCH', path, { deletionProtection: false, displayName: 'Petrel' }],
    ['PUT', `${path}/databases/swell`, smallDatabase({ id: 'swell' })],
    ['PUT', `${path}/databases/tide`, { ...smallDatabase({ id: 'tide' }), deletionProtection: true }],
    ['PATCH', `${path}/databases/tide`, { nodes: { count: 2 } }],
    ['PATCH', `${path}/databases/tide`, { deletionProtection: false, retainVolumes: false }],
    ['POST', `${path}/databases/tide/actions/restart`, {}],
    ['POST', `${path}/databases/tide/actions/suspend`, {}],
  ] as const
  for (const [method, at, body] of refused) {
    const answer = await api.call(method, at, { body })
    assert.equal(answer.status, 409, `${method} ${at} ${JSON.stringify(body)}: ${answer.text}`)
    assert.match(
      answer.body.detail,
      /project petrel is being deleted.*can be read and deleted, and its deletionProtection can be turned off/,
    )
  }
})
