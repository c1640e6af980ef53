import assert from 'node:assert/strict'
import { after, afterEach, before, test } from 'node:test'
import { actions } from '../../../agent/operations/actions/index.ts'
import { until } from '../../cluster/index.ts'
import { smallDatabase } from './acting-region.ts'
import { type ActionScene, startActionScene } from './actions/scene.ts'
import { fresh, keepSnapshots, snapshotIn, withSnapshots } from './snapshot-scene.ts'

/* Restores of Skerry's own snapshots: into the database itself, or into a new one. */

let scene: ActionScene
before(async () => {
  scene = await startActionScene(actions)
  await sent('PUT', '/v1/projects/harbour', { quota: { databases: 4 } })
  await sent('PUT', path, withSnapshots(smallDatabase({ id: 'tidal' })))
  keepSnapshots(scene, 'tidal')
})
after(() => scene?.close())
afterEach(() => fresh(scene, 'tidal'))

const path = '/v1/projects/harbour/databases/tidal'

async function sent(method: string, to: string, body?: unknown) {
  const answer = await scene.api.call(method, to, { ...(body !== undefined && { body }), headers: { prefer: 'wait=60' } })
  assert.ok(answer.status < 300, answer.text)
  return answer.body
}

const restore = (body: object, query = '') =>
  scene.api.call('POST', `${path}/actions/restore${query}`, { body, headers: { prefer: 'wait=60' } })
async function restored(body: object) {
  const answer = await restore({ from: 'snapshots', ...body })
  assert.ok(answer.status < 300, answer.text)
  return answer.body
}
/** What is said of one that is refused at once, since CrateDB knows the repository by now. */
async function refused(body: object): Promise<string> {
  const { status, body: problem, text } = await restore({ from: 'snapshots', ...body })
  assert.equal(status, 409, text)
  return problem.faults[0].message
}
const stateOf = (database: string) => scene.region.standIns.database.state('project-harbour', database)

test('the last snapshot that succeeded comes back whole, and its shards are counted', async () => {
  const { phase, message, result } = await restored({ snapshot: 'latest' })
  assert.equal(phase, 'Succeeded', message)
  assert.deepEqual(result, {
    snapshot: 'skerry_20261130033000',
    takenAt: '2026-11-30T03:30:00.000Z',
    tables: 2,
    shards: 8,
    documents: 107,
    bytes: 8 * 1024 * 1024,
  })
  assert.deepEqual([...stateOf('tidal').tables.keys()], ['doc.readings', 'doc.months'])
  const sent = stateOf('tidal')
    .statements.filter(({ stmt }) => stmt.startsWith('RESTORE'))
    .map(({ stmt }) => stmt)
  assert.deepEqual(sent, ['RESTORE SNAPSHOT skerry."skerry_20261130033000" TABLES, VIEWS, UDFS WITH (wait_for_completion = false)'])
})

test('a table that is there already is named, and nothing is changed', async () => {
  stateOf('tidal').tables.set('doc.readings', { rows: 1, shards: 4 })
  const said = /^The snapshot skerry_20261130033000 was not restored, since the database already has doc\.readings\. Nothing was changed\./
  assert.match(await refused({ snapshot: 'latest' }), said)
  // It was made after the request was accepted.
  const parameters = { snapshot: 'latest', from: 'snapshots', type: 'all', tables: [], sections: [], partitions: [] }
  const operation = await scene.region.accept({
    action: 'restore',
    target: { kind: 'database', project: 'harbour', database: 'tidal' },
    parameters,
  })
  const { status } = await scene.region.ended(operation)
  assert.deepEqual([status?.phase, status?.reason], ['Failed', 'TablesExist'])
  assert.match(status?.message ?? '', said)
  assert.match(status?.action ?? '', /^Rename or drop them first/)
  assert.equal(stateOf('tidal').tables.get('doc.readings')?.rows, 1)
})

test('tables and partitions come back beside others', async () => {
  stateOf('tidal').tables.set('doc.readings', { rows: 1, shards: 4 })
  const chosen = [{ table: 'doc.months', columns: [{ name: 'month', value: 2 }] }]
  assert.equal((await restored({ snapshot: 'latest', type: 'partitions', partitions: chosen })).phase, 'Succeeded')
  assert.deepEqual(stateOf('tidal').tables.get('doc.months')?.partitions, [{ month: '2' }])
  assert.match(await refused({ snapshot: 'latest', type: 'partitions', partitions: chosen }), /already has doc\.months \(month = 2\)/)
  const missing = await refused({ snapshot: 'latest', type: 'tables', tables: ['doc.unknown'] })
  assert.equal(missing, 'The snapshot skerry_20261130033000 does not have doc.unknown. It has: doc.months, doc.readings.')
})

test('the plan says what the snapshot has', async () => {
  const { body } = await restore({ from: 'snapshots', snapshot: 'latest' }, '?dryRun=true')
  assert.ok(body.steps[0].consequences.includes('The snapshot skerry_20261130033000 has 2 tables.'), JSON.stringify(body))
})

test('shards that no node takes are a failure, although CrateDB says OK', async () => {
  stateOf('tidal').restoring.unallocated = 1
  const { phase, reason, message, cure } = await restored({ snapshot: 'latest' })
  assert.deepEqual([phase, reason], ['Failed', 'ShardsMissing'])
  assert.match(message, /but 3 of 8 primary shards do not serve: doc\.readings shard 3 is UNASSIGNED, doc\.months partition 31 shard 1 is/)
  assert.match(cure, /^Tables of which the restore has begun stay.* Most often the disks are too full/)
})

test('a snapshot that is PARTIAL, FAILED or unknown is not restored, with the reason', async () => {
  for (const [state, words] of [
    ['PARTIAL', /The snapshot skerry_20261129033000 is PARTIAL, not SUCCESS: doc\.readings 0: gone\./],
    ['FAILED', /is FAILED, not SUCCESS/],
  ] as const) {
    snapshotIn(scene, 'tidal', { name: 'skerry_20261129033000', state, failures: ['doc.readings 0: gone'] })
    assert.match(await refused({ snapshot: 'skerry_20261129033000' }), words)
  }
  assert.match(await refused({ snapshot: 'skerry_20260101000000' }), /There is no snapshot skerry_20260101000000, or its bucket/)
})

test('a new database is made like the source, closed to the outside, and gets the tables', async () => {
  const dry = await restore({ from: 'snapshots', snapshot: 'latest', into: 'tidal-monday' }, '?dryRun=true')
  assert.match(
    dry.body.steps[0].consequences.join(' '),
    /The database tidal-monday is made like tidal: 1 node with 0\.5 cores.*counts against/,
  )
  const { phase, message, result } = await restored({ snapshot: 'latest', into: 'tidal-monday' })
  assert.equal(phase, 'Succeeded', message)
  assert.equal(result.tables, 2)
  const made = await sent('GET', '/v1/projects/harbour/databases/tidal-monday')
  assert.deepEqual([made.allowedCIDRs, made.snapshots, made.users], [[], undefined, [{ name: 'harbourmaster', privileges: ['ALL'] }]])
  assert.deepEqual(stateOf('tidal-monday').tables.get('doc.readings')?.rows, 100)
  assert.deepEqual(stateOf('tidal').tables.size, 0)
  assert.deepEqual([...stateOf('tidal-monday').registered.keys()], [])
  assert.match(JSON.stringify(stateOf('tidal-monday').statements), /readonly = \?/)
  const taken = await restore({ from: 'snapshots', snapshot: 'latest', into: 'tidal-monday' })
  assert.equal(taken.status, 422)
  assert.deepEqual(taken.body.faults, [{ path: '/into', message: 'is a database already; a snapshot goes into a new one' }])
})

test('all that does not go together is told at once', async () => {
  const source = { basePath: 'x', azureBlob: { container: 'c', accountName: 'a', accountKey: 'k' } }
  const { status, body } = await restore({ from: 'snapshots', snapshot: 'latest', type: 'metadata', source })
  assert.equal(status, 422)
  assert.deepEqual(
    body.faults.map(({ path }: { path: string }) => path),
    ['/source', '/type'],
  )
  const into = await restore({ snapshot: 'x', into: 'other' })
  assert.match(JSON.stringify(into.body.faults), /needs from .*snapshots/)
})

test('a restore that is cancelled says what stays, and how CrateDB is told to end it', async () => {
  stateOf('tidal').restoring.held = true
  const { body } = await scene.api.call('POST', `${path}/actions/restore`, { body: { from: 'snapshots', snapshot: 'latest' } })
  await until('it restores', async () => (await sent('GET', `/v1/operations/${body.id}`)).message === '0 of 8 primary shards are restored.')
  await sent('DELETE', `/v1/operations/${body.id}`)
  const operation = await until('it has ended', async () => {
    const read = await sent('GET', `/v1/operations/${body.id}`)
    return read.endedAt === undefined ? false : read
  })
  assert.equal(operation.phase, 'Cancelled')
  assert.match(operation.cure, /^Tables of which the restore has begun stay, .*Dropping them also ends the restore\./)
})
