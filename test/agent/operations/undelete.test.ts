import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
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
