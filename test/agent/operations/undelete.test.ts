import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { isProblem } from '../../../shared/errors.ts'
import { kinds, pathOf } from '../../../shared/kubernetes/objects.ts'
import { until } from '../../cluster/index.ts'
import { type DeletedScene, startDeletedScene } from './deleted-scene.ts'

let scene: DeletedScene
before(async () => {
  scene = await startDeletedScene()
})
after(() => scene?.close())

test('a deleted database comes back as it was: its volumes, its passwords and its settings, and the record goes', async () => {
  const before = await scene.put('tide', { nodes: 2, settings: { 'stats.jobs_log_size': '5000' } })
  const volumes = await scene.volumesOf('tide')
  const secret = await scene.secretOf('tide')
  const deletion = await scene.remove('tide')
  const [deleted] = await scene.deleted()
  assert.equal(deletion.result.deletedDatabase, deleted.id)
  assert.match(deletion.message, new RegExp(`kept for 7 days, see the result.*deleted-databases/${deleted.id}/actions/undelete`))
  assert.equal(deleted.spec.version, before.version)
  assert.equal(deleted.storage, '16Gi')
  assert.equal(Date.parse(deleted.expiresAt) - Date.parse(deleted.deletedAt), 7 * 24 * 60 * 60_000)
  assert.ok(!JSON.stringify(await scene.record(deleted.id)).includes(String(secret.data.password)), 'no secrets in it')
  assert.equal(await scene.secretOf('tide').catch(() => undefined), undefined)

  const operation = await scene.undelete(deleted.id)
  assert.equal(operation.phase, 'Succeeded', JSON.stringify(operation))
  assert.deepEqual(await scene.volumesOf('tide'), volumes)
  assert.deepEqual((await scene.secretOf('tide')).data, secret.data)
  const { status: _, ...back } = (await scene.call('GET', '/v1/projects/harbour/databases/tide')).body
  assert.deepEqual(back, before)
  assert.deepEqual(await scene.deleted(), [])
  await until('the Secret of the record is gone', async () => (await scene.keptSecret(deleted.id)) === undefined)
})

/** Asks for changes and a deletion while nobody leads, and deletes the CrateDB with kubectl; resolves with the record of the deletion. */
async function deletedByBoth(id: string, patches: object[] = []) {
  const { region } = scene
  const path = pathOf(kinds.CrateDB, 'project-harbour', id)
  region.lead(false)
  for (const body of patches) {
    const changed = await scene.call('PATCH', `/v1/projects/harbour/databases/${id}`, { body })
    assert.equal(changed.status, 202, changed.text)
  }
  const accepted = await scene.call('DELETE', `/v1/projects/harbour/databases/${id}`)
  assert.equal(accepted.status, 202, accepted.text)
  await region.admin.request({ method: 'DELETE', path })
  await until('the CrateDB is gone', () => region.admin.request({ method: 'GET', path }).then(() => false, isGone))
  region.lead(true)
  await region.ended({ metadata: { name: accepted.body.id } } as never)
  return (await scene.deleted()).find(({ database }) => database === id)
}

const isGone = (error: unknown) => isProblem(error, 'not-found')

test('a database that kubectl deletes while its accepted deletion waits is recorded as it was, and comes back', async () => {
  const before = await scene.put('neap', { nodes: 2, settings: { 'stats.jobs_log_size': '4000' } })
  const volumes = await scene.volumesOf('neap')
  const deleted = await deletedByBoth('neap')
  assert.equal(deleted.spec?.version, before.version, JSON.stringify(deleted))
  assert.equal(Date.parse(deleted.expiresAt) - Date.parse(deleted.deletedAt), 7 * 24 * 60 * 60_000)
  const operation = await scene.undelete(deleted.id)
  assert.equal(operation.phase, 'Succeeded', JSON.stringify(operation))
  assert.deepEqual(await scene.volumesOf('neap'), volumes)
  const { status: _, ...back } = (await scene.call('GET', '/v1/projects/harbour/databases/neap')).body
  assert.deepEqual(back, before)
})

test('with a change that still waits too, its record says what was asked for, unless its volumes say otherwise', async () => {
  await scene.put('surf')
  assert.deepEqual((await deletedByBoth('surf', [{ nodes: { cpu: 0.75 } }])).spec?.nodes.cpu, 0.75)
  await scene.put('foam')
  const { spec, volumes } = await deletedByBoth('foam', [{ nodes: { count: 3 } }])
  assert.deepEqual([spec, volumes.length], [undefined, 1])
})
