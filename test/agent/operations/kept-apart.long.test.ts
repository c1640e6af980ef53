import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { projectSpec } from '../../../agent/resources/project.ts'
import type { RetainedDatabase } from '../../../agent/resources/retained-database.ts'
import { Problem } from '../../../shared/errors.ts'
import { type KubernetesObject, kinds, pathOf } from '../../../shared/kubernetes/objects.ts'
import { until } from '../../cluster/index.ts'
import { type DeletedScene, startDeletedScene } from './deleted-scene.ts'

/* What is kept of a deleted database stays its own, whatever fails, is cancelled or is repeated. */

let scene: DeletedScene
before(async () => {
  scene = await startDeletedScene()
})
after(() => scene?.close())

const pathOfDeleted = (id: string) => `/v1/projects/harbour/deleted-databases/${id}`
const merge = 'application/merge-patch+json'
const volume = (name: string) =>
  scene.region.admin.request<KubernetesObject>({ method: 'GET', path: pathOf(kinds.PersistentVolume, undefined, name) })
const exists = (name: string) =>
  volume(name).then(
    () => true,
    () => false,
  )
const deletedOf = async (id: string) => (await scene.deleted()).filter(({ database }) => database === id)

test('a purge of a second deletion leaves the volumes that the first one still has a record of', async () => {
  await scene.put('tide', { nodes: 2 })
  await scene.remove('tide')
  const [first] = await deletedOf('tide')
  const [lost, kept] = first.volumes
  // As after an undelete in which one claim got another volume.
  await scene.patchVolume(kept.volume, { spec: { claimRef: { uid: null, resourceVersion: null } } })
  await scene.put('tide', { nodes: 2 })
  assert.equal((await scene.volumesOf('tide'))[1]?.volume, kept.volume)
  await scene.remove('tide')
  const second = (await deletedOf('tide')).find(({ id }) => id !== first.id)
  const operation = await scene.ask('DELETE', pathOfDeleted(second.id))
  assert.match(operation.message, /^Purged: 1 volumes are deleted. 1 stays for another deleted database of that name.$/)
  assert.equal(await exists(kept.volume), true)
  assert.equal(await exists(lost.volume), true)
  assert.equal((await scene.ask('DELETE', pathOfDeleted(first.id))).phase, 'Succeeded')
  assert.equal((await exists(kept.volume)) || (await exists(lost.volume)), false)
})

test('a new database does not get the volumes of an undelete that was cancelled', async () => {
  await scene.put('ebb')
  await scene.remove('ebb')
  const [deleted] = await deletedOf('ebb')
  const secrets = pathOf(kinds.Secret, 'project-harbour')
  const { promise, resolve } = Promise.withResolvers<void>()
  scene.region.intercept(async (request, send) => {
    if (request.method !== 'GET' && request.path.startsWith(secrets)) {
      resolve()
      throw new Error('no secrets')
    }
    return send()
  })
  const { body } = await scene.call('POST', `${pathOfDeleted(deleted.id)}/actions/undelete`)
  await promise
  await scene.call('DELETE', `/v1/operations/${body.id}`)
  const { status } = await scene.region.ended({ metadata: { name: body.id } } as never)
  scene.region.intercept()
  assert.equal(status?.phase, 'Cancelled', JSON.stringify(status))
  await scene.put('ebb')
  const [now] = await scene.volumesOf('ebb')
  assert.notEqual(now?.volume, deleted.volumes[0].volume)
  await scene.remove('ebb', '?retainVolumes=false')
  assert.equal((await scene.undelete(deleted.id)).phase, 'Succeeded')
  assert.equal((await scene.volumesOf('ebb'))[0]?.volume, deleted.volumes[0].volume)
})

test('what allowed the deletion of a protected database does not come back with it', async () => {
  await scene.put('flow')
  const path = pathOf(kinds.CrateDB, 'project-harbour', 'flow')
  const body = { metadata: { annotations: { 'skerry.dev/allow-deletion': 'moved away' } } }
  await scene.region.admin.request({ method: 'PATCH', path, contentType: merge, body })
  await scene.region.admin.request({ method: 'DELETE', path })
  const deleted = await until('it is recorded', async () => (await deletedOf('flow'))[0])
  await until('its claims are gone', async () => (await scene.volumesOf('flow')).length === 0)
  assert.equal((await scene.undelete(deleted.id)).phase, 'Succeeded')
  const { metadata } = await scene.region.cratedb('harbour', 'flow')
  assert.equal(metadata.annotations?.['skerry.dev/allow-deletion'], undefined)
})

test('a record that is written again forgets no Secret that has gone meanwhile', async () => {
  await scene.put('neap')
  const secret = await scene.secretOf('neap')
  const done = Promise.withResolvers<void>()
  const goes = Promise.withResolvers<void>()
  let failed = false
  scene.region.intercept(async (request, send) => {
    const isEnd = request.method === 'PUT' && JSON.stringify(request.body).includes('deletedDatabase')
    if (isEnd && !failed) {
      failed = true
      done.resolve()
      await goes.promise
      throw new Problem('cluster-error', 'The API server is away.')
    }
    return send()
  })
  await scene.region.admin.request({ method: 'DELETE', path: pathOf(kinds.CrateDB, 'project-harbour', 'neap') })
  await done.promise
  await scene.region.admin.request({ method: 'DELETE', path: pathOf(kinds.Secret, 'project-harbour', secret.metadata.name) })
  goes.resolve()
  const [{ id }] = await deletedOf('neap')
  await until('the second attempt has ended', async () =>
    scene.region.journal
      .all()
      .some(({ spec, status }) => spec.action === 'record-deletion' && status?.result?.deletedDatabase === id && status?.endedAt),
  )
  scene.region.intercept()
  const record = (await scene.record(id)) as RetainedDatabase
  assert.ok(record.spec.secrets.includes(secret.metadata.name), JSON.stringify(record.spec.secrets))
  assert.ok((await scene.keptSecret(id))?.data[secret.metadata.name])
})

test('a date that was taken away counts although the watch has not said so yet', async () => {
  await scene.put('gyre')
  await scene.remove('gyre')
  const [{ id, volumes }] = await deletedOf('gyre')
  const path = pathOf(kinds.RetainedDatabase, 'skerry', id)
  await scene.region.admin.request({
    method: 'PATCH',
    path,
    contentType: merge,
    body: { spec: { expiresAt: new Date(Date.now() + 60_000).toISOString(), deletedAt: new Date(Date.now()).toISOString() } },
  })
  await until('the date is shown', async () => (await scene.record(id))?.status?.message?.includes('deleted on'))
  const release = scene.region.withhold('retaineddatabases')
  await scene.region.admin.request({ method: 'PATCH', path, contentType: merge, body: { spec: { expiresAt: null } } })
  scene.region.pass(8 * 24 * 3_600_000)
  scene.region.lead(false)
  scene.region.lead(true)
  await scene.put('wave')
  release()
  assert.equal(
    scene.region.journal.all().some(({ spec }) => spec.action === 'purge' && spec.parameters?.deleted === id),
    false,
  )
  assert.equal(await exists(volumes[0].volume), true)
})

test('a deletion that is interrupted and overtaken by another keeps what the record says', async () => {
  await scene.put('kelp')
  const written = Promise.withResolvers<void>()
  let failed = false
  const names = new Set<string>()
  scene.region.intercept(async (request, send) => {
    const [, record] = /[/]retaineddatabases[/](kelp[^/]+)$/.exec(request.path) ?? []
    if (record !== undefined && request.method === 'PATCH') names.add(record)
    const isNote = request.method === 'PUT' && JSON.stringify(request.body).includes('deletedDatabase')
    if (!isNote || failed) return send()
    failed = true
    await scene.region.admin.request({ method: 'DELETE', path: pathOf(kinds.CrateDB, 'project-harbour', 'kelp') })
    await until('it is gone', async () => !(await scene.region.cratedb('harbour', 'kelp').catch(() => undefined)))
    written.resolve()
    throw new Problem('cluster-error', 'The API server is away.')
  })
  const { body } = await scene.call('DELETE', '/v1/projects/harbour/databases/kelp')
  await written.promise
  await scene.region.ended({ metadata: { name: body.id } } as never)
  scene.region.intercept()
  assert.equal(names.size, 1)
  const kept = await until('one record is left', async () => {
    const all = await deletedOf('kelp')
    return all.length === 1 ? all[0] : undefined
  })
  assert.equal(kept.spec?.nodes?.memory, '1Gi', JSON.stringify(kept))
  assert.equal((await scene.undelete(kept.id)).phase, 'Succeeded')
})

test('a project that an earlier version accepted keeps its deleted databases as long as usual', async () => {
  await scene.ask('PUT', '/v1/projects/quay', { body: {} })
  await scene.put('kelp', {}, 'quay')
  scene.region.lead(false)
  const { keepDeletedDays: _, ...wanted } = projectSpec.parse({ id: 'quay', displayName: 'Quay' })
  const change = await scene.region.accept({ action: 'put', target: { kind: 'project', project: 'quay' }, wanted: wanted as never })
  const plan = await scene.call('DELETE', '/v1/projects/quay/databases/kelp?dryRun=true')
  assert.doesNotMatch(plan.text, /right afterwards/)
  assert.match(plan.text, /kept for 7 days/)
  scene.region.lead(true)
  await scene.region.ended(change)
})
