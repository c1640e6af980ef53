import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { actions } from '../../../../agent/operations/actions/index.ts'
import type { Target } from '../../../../agent/resources/kind.ts'
import { isDeletionRecord, type Operation } from '../../../../agent/resources/operation.ts'
import { kinds, pathOf } from '../../../../shared/kubernetes/objects.ts'
import { until } from '../../../cluster/index.ts'
import { smallDatabase } from '../acting-region.ts'
import { paint } from './paint.ts'
import { type ActionScene, define, startActionScene } from './scene.ts'

/*
 * In the middle of an upgrade a replica of the new version accepts what the leader of the old one does not know.
 */

const newer = { ...actions, database: [...actions.database, paint] }
let scene: ActionScene
const path = '/v1/projects/harbour/databases/gauge'
const target = { kind: 'database' as const, project: 'harbour', database: 'gauge' }

before(async () => {
  scene = await startActionScene(actions)
  const { region, api } = scene
  await define(region, { actions: [...actions.database.map(({ name }) => name), 'paint'], kinds: ['project', 'database', 'berth'] })
  await api.call('PUT', '/v1/projects/harbour', { body: {}, headers: { prefer: 'wait=60' } })
  await api.call('PUT', path, { body: smallDatabase({ id: 'gauge' }), headers: { prefer: 'wait=60' } })
})
after(() => scene?.close())

const saysUnknown = ({ status }: Operation) => status?.reason === 'UnknownAction'

test('it says so and waits; the leader of the new version carries it out', async () => {
  const { region, api } = scene
  const operation = await region.accept({ action: 'paint', target, parameters: { colour: 'red' } })
  const waiting = await region.whenOperation(operation, saysUnknown)
  assert.deepEqual(
    [waiting.status?.message, waiting.status?.action],
    [
      'This version of the agent does not know the action paint of a database.',
      'Finish the upgrade: an agent of the newer version carries it out. Otherwise cancel the operation.',
    ],
  )
  assert.ok(waiting.status?.deadline, 'it ends at its deadline if no such leader comes')
  assert.equal((await api.call('GET', path)).body.status.phase, 'Updating')
  await region.restart(newer)
  assert.equal((await region.ended(operation)).status?.phase, 'Succeeded')
  await region.restart()
})

test('it can be cancelled, and a deletion takes precedence over it', async () => {
  const { region } = scene
  const cancelled = await region.accept({ action: 'paint', target, parameters: { colour: 'red' } })
  await region.whenOperation(cancelled, saysUnknown)
  await region.journal.cancel(cancelled.metadata.name, 'somebody')
  assert.equal((await region.ended(cancelled)).status?.phase, 'Cancelled')
  const superseded = await region.accept({ action: 'paint', target, parameters: { colour: 'red' } })
  await region.whenOperation(superseded, saysUnknown)
  const deletion = await region.accept({ action: 'delete', target, parameters: { retainVolumes: false } })
  assert.equal((await region.ended(superseded)).status?.phase, 'Superseded')
  assert.equal((await region.ended(deletion)).status?.phase, 'Succeeded')
})

test('it ends at its deadline, and says that nobody knew it', async () => {
  const { region } = scene
  const operation = await region.accept({ action: 'paint', target, parameters: { colour: 'red' }, timeoutSeconds: 1 })
  const { status } = await region.ended(operation)
  assert.deepEqual([status?.phase, status?.reason], ['Failed', 'DeadlineExceeded'])
  assert.match(status?.message ?? '', /does not know the action paint of a database/)
})

test('what a newer version made of a kind of its own is not recorded as deleted', async () => {
  const { region } = scene
  const berth = { kind: 'berth', project: 'harbour', berth: 'south' } as unknown as Target
  region.lead(false)
  const made = await region.accept({ action: 'put', target: berth, wanted: { id: 'south' } })
  await region.admin.request({
    method: 'PATCH',
    path: `${pathOf(kinds.Operation, 'skerry', made.metadata.name)}/status`,
    contentType: 'application/merge-patch+json',
    body: { status: { phase: 'Succeeded', observed: { uid: 'uid-of-the-berth', resourceVersion: '1' } } },
  })
  await region.ended(made)
  region.lead(true)
  // Deletions are looked at one after the other, and what a new leader finds comes first.
  const database = await region.ended(await region.putDatabase('harbour', { id: 'lost' }))
  assert.equal(database.status?.phase, 'Succeeded')
  await region.admin.request({ method: 'DELETE', path: pathOf(kinds.CrateDB, 'project-harbour', 'lost') })
  const records = () => region.journal.all().filter(isDeletionRecord)
  await until('a deletion is recorded', async () => records().length > 0)
  assert.deepEqual(
    records().map(({ spec }) => spec.target.kind),
    ['database'],
  )
})

test('a kind of target that it does not know is no other kind', async () => {
  const { region, api } = scene
  const berth = { kind: 'berth', project: 'harbour', berth: 'north' } as unknown as Target
  const first = await region.accept({ action: 'put', target: berth, wanted: { id: 'north' } })
  const second = await region.accept({ action: 'put', target: berth, wanted: { id: 'north', length: 20 } })
  await region.whenOperation(first, saysUnknown)
  assert.equal((await region.journal.find(second.metadata.name))?.status?.startedAt, undefined, 'it waits for its turn')
  assert.equal(region.journal.unended({ kind: 'project', project: 'harbour' }).length, 0)
  const refused = await api.call('DELETE', `/v1/operations/${first.metadata.name}`)
  assert.deepEqual([refused.status, refused.body.type], [503, 'https://skerry.dev/problems/unknown-action'])
  for (const operation of [first, second]) {
    await region.journal.cancel(operation.metadata.name, 'somebody')
    assert.equal((await region.ended(operation)).status?.phase, 'Cancelled')
  }
})
