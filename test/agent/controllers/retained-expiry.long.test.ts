import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { Operation } from '../../../agent/resources/operation.ts'
import { type KubernetesObject, kinds, pathOf } from '../../../shared/kubernetes/objects.ts'
import { until } from '../../cluster/index.ts'
import { type DeletedScene, startDeletedScene } from '../operations/deleted-scene.ts'

let scene: DeletedScene
before(async () => {
  scene = await startDeletedScene()
})
after(() => scene?.close())

const hour = 3_600_000
const day = 24 * hour
const exists = (volume: string) =>
  scene.region.admin.request<KubernetesObject>({ method: 'GET', path: pathOf(kinds.PersistentVolume, undefined, volume) }).then(
    () => true,
    () => false,
  )
const purges = (id: string): Operation[] =>
  scene.region.journal.all().filter(({ spec }) => spec.action === 'purge' && spec.parameters?.deleted === id)
/** As kubectl does. */
const patch = (id: string, spec: object) =>
  scene.region.admin.request({
    method: 'PATCH',
    path: pathOf(kinds.RetainedDatabase, 'skerry', id),
    contentType: 'application/merge-patch+json',
    body: { spec },
  })
/** Wakes the controller, as the hourly look does: everything is looked at once more. */
function lookAgain(): void {
  scene.region.lead(false)
  scene.region.lead(true)
}
const message = async (id: string) => (await scene.record(id))?.status?.message as string | undefined
const whenMessage = (id: string, says: RegExp) => until(`${id} says ${says}`, async () => says.test((await message(id)) ?? ''))

async function deletedOne(database: string, nodes = 1) {
  await scene.put(database, { nodes })
  await scene.remove(database)
  const [deleted] = (await scene.deleted()).filter((each) => each.database === database)
  return deleted as { id: string; volumes: { volume: string }[] }
}

test('a deleted database goes when a date has come that somebody gave it, by an entry of the ledger that says who asked', async () => {
  const { id, volumes } = await deletedOne('tide', 2)
  await patch(id, { expiresAt: '2020-01-01T00:00:00Z' })
  await until('the purge has ended', async () => purges(id)[0]?.status?.endedAt)
  assert.equal(await scene.record(id), undefined)
  const [purge, ...more] = purges(id)
  assert.deepEqual([purge?.spec.requestedBy, purge?.status?.phase, more.length], ['expiry of Skerry', 'Succeeded', 0])
  for (const { volume } of volumes) assert.equal(await exists(volume), false)
  await until('its Secret is gone', async () => (await scene.keptSecret(id)) === undefined)
})

test('seven days after its deletion a database goes, and one stays whose date was moved or taken away', async () => {
  const [gone, later, never] = [await deletedOne('ebb'), await deletedOne('flow'), await deletedOne('swell')]
  await patch(later.id, { expiresAt: new Date(Date.now() + 30 * day).toISOString() })
  await patch(never.id, { expiresAt: null })
  await whenMessage(never.id, /^Kept until somebody purges it\.$/)
  scene.region.pass(7 * day - hour)
  lookAgain()
  await scene.put('wave') // carried out after the look at the records
  assert.deepEqual(
    [gone, later, never].flatMap(({ id }) => purges(id)),
    [],
  )
  scene.region.pass(2 * hour)
  lookAgain()
  await until('the record is gone', async () => (await scene.record(gone.id)) === undefined)
  assert.deepEqual([...purges(later.id), ...purges(never.id)], [])
  for (const { volumes } of [later, never]) assert.equal(await exists(volumes[0]?.volume ?? ''), true)
})

test('a purge that its storage does not complete is told, and repeated once a day until somebody has deleted the rest', async () => {
  const { id, volumes } = await deletedOne('eddy')
  const [{ volume = '' } = {}] = volumes
  await scene.patchVolume(volume, { metadata: { annotations: { 'pv.kubernetes.io/provisioned-by': null } } })
  await patch(id, { expiresAt: '2020-01-01T00:00:00Z' })
  await whenMessage(id, new RegExp(`^The storage did not delete 1 of its volumes: ${volume}: no provisioner made it`))
  assert.equal((await scene.record(id))?.status?.phase, 'PurgeIncomplete')
  await until('the purge has ended', async () => purges(id)[0]?.status?.endedAt)
  scene.region.pass(23 * hour)
  lookAgain()
  await scene.put('kelp')
  assert.equal(purges(id).length, 1)
  scene.region.pass(2 * hour)
  lookAgain()
  await until('it is repeated', async () => purges(id).length === 2)
  await until('it has ended', async () => purges(id).every(({ status }) => status?.phase === 'Failed'))
  await scene.loseVolume(volume)
  await until('the record goes with the last volume', async () => (await scene.record(id)) === undefined)
})

test('a project that keeps nothing lets the data go right after the deletion', async () => {
  await scene.ask('PATCH', '/v1/projects/harbour', { body: { keepDeletedDays: 0 } })
  const volumes = await (async () => {
    await scene.put('foam')
    const before = await scene.volumesOf('foam')
    await scene.remove('foam')
    return before
  })()
  for (const { volume } of volumes) await until(`${volume} is gone`, async () => !(await exists(volume)))
  await until('the record is gone', async () => !(await scene.deleted()).some(({ database }) => database === 'foam'))
  await scene.ask('PATCH', '/v1/projects/harbour', { body: { keepDeletedDays: 7 } })
})

test('an undelete wins over a date that has come while it runs', async () => {
  const { id } = await deletedOne('gyre')
  scene.region.lead(false)
  const { body } = await scene.call('POST', `/v1/projects/harbour/deleted-databases/${id}/actions/undelete`)
  await patch(id, { expiresAt: '2020-01-01T00:00:00Z' })
  scene.region.lead(true)
  const { status } = await scene.region.ended({ metadata: { name: body.id } } as never)
  assert.equal(status?.phase, 'Succeeded', JSON.stringify(status))
  assert.deepEqual(purges(id), [])
})
