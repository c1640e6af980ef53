import assert from 'node:assert/strict'
import { after, afterEach, before, test } from 'node:test'
import { actions } from '../../../agent/operations/actions/index.ts'
import { DatabaseRefusal } from '../../../agent/region/sql.ts'
import { Problem } from '../../../shared/errors.ts'
import { until } from '../../cluster/index.ts'
import { smallDatabase } from './acting-region.ts'
import { type ActionScene, startActionScene } from './actions/scene.ts'
import { fill, fresh, keepSnapshots, snapshotIn, withSnapshots } from './snapshot-scene.ts'

/* Rehearsed restores: the last snapshot in a database of its own, which is compared and deleted. */

let scene: ActionScene
before(async () => {
  scene = await startActionScene(actions)
  await sent('PUT', '/v1/projects/harbour', { quota: { databases: 3, storage: '1Ti' } })
  await sent('PUT', path, withSnapshots(smallDatabase({ id: 'tidal' })))
})
after(() => scene?.close())
afterEach(() => {
  scene.region.standIns.database.bucket('harbour-snapshots').folders.clear()
  fresh(scene, 'tidal')
})

const databases = '/v1/projects/harbour/databases'
const path = `${databases}/tidal`
const tidal = { kind: 'database' as const, project: 'harbour', database: 'tidal' }

async function sent(method: string, to: string, body?: unknown) {
  const answer = await scene.api.call(method, to, { ...(body !== undefined && { body }), headers: { prefer: 'wait=60' } })
  assert.ok(answer.status < 300, answer.text)
  return answer.body
}

const rehearsed = () => sent('POST', `${path}/actions/rehearse-restore`)
const rehearse = (query = '') => scene.api.call('POST', `${path}/actions/rehearse-restore${query}`)
const stateOf = (database: string) => scene.region.standIns.database.state('project-harbour', database)
const listed = async () => (await sent('GET', databases)).items.map(({ id }: { id: string }) => id)
const gone = () => until('the database of the rehearsal is gone', async () => !(await listed()).includes('tidal-rehearsal'))

function ready() {
  keepSnapshots(scene, 'tidal')
  fill(scene, 'tidal')
}

/** Restores are begun and go on until this is released: a rehearsal does not end meanwhile. */
function hold() {
  scene.region.interceptSql(async (statement, send, database) => {
    if (statement.startsWith('RESTORE')) stateOf(database).restoring.held = true
    return send()
  })
}
function release() {
  scene.region.interceptSql()
  stateOf('tidal-rehearsal').restoring.held = false
}

test('the plan says what it takes, and for how long', async () => {
  ready()
  const { body } = await rehearse('?dryRun=true')
  const [create, restore, remove] = body.steps
  assert.match(
    create.consequences[0],
    /tidal-rehearsal is made, with 1 node with 0\.5 cores, 1 GiB of memory and 2Gi of crate-premium\. Until it/,
  )
  assert.match(restore.consequences[0], /the last snapshot of tidal that has succeeded/)
  assert.match(remove.consequences[0], /deleted with its volumes, however the rehearsal ends/)
})

test('the last snapshot is restored elsewhere, compared, and deleted again', async () => {
  ready()
  snapshotIn(scene, 'tidal', { name: 'skerry_20261201033000', state: 'PARTIAL', started: Date.parse('2026-12-01T03:30:00Z') })
  // Written to since the snapshot.
  stateOf('tidal').tables.set('doc.months', { rows: 9, shards: 2, sequence: 9, partitions: [{ month: '1' }, { month: '2' }] })
  const { phase, message, result } = await rehearsed()
  assert.equal(phase, 'Succeeded', message)
  assert.equal(
    message,
    'skerry_20261130033000 of 2026-11-30T03:30:00.000Z can be restored: 2 tables, 107 rows in those counted. 1 tables are as in the database, 1 were written to since.',
  )
  const { lastSuccess } = await until('it is recorded', async () => (await sent('GET', path)).status.rehearsed ?? false)
  assert.equal(lastSuccess.snapshot, 'skerry_20261130033000')
  assert.deepEqual([result.tables, result.shards, result.rows, result.equal, result.changed], [2, 8, 107, 1, 1])
  assert.deepEqual(await listed(), ['tidal'])
  const volumes = await scene.region.admin.request({ method: 'GET', path: '/api/v1/persistentvolumes' })
  const kept = volumes.items.filter(({ spec }: { spec: { claimRef?: { name: string } } }) => spec.claimRef?.name.includes('rehearsal'))
  assert.deepEqual(
    kept
      .map(({ spec }: { spec: object }) => spec)
      .filter((spec: { persistentVolumeReclaimPolicy?: string }) => spec.persistentVolumeReclaimPolicy === 'Retain'),
    [],
  )
})

test('rows that differ although nothing was written since are a failure', async () => {
  ready()
  stateOf('tidal').tables.set('doc.readings', { rows: 99, shards: 4, sequence: 120 })
  const { phase, reason, message } = await rehearsed()
  assert.deepEqual([phase, reason], ['Failed', 'RowsDiffer'])
  const { lastSuccess, lastFailure } = await until('it is recorded', async () => {
    const { rehearsed } = (await sent('GET', path)).status
    return rehearsed?.lastFailure === undefined ? false : rehearsed
  })
  assert.deepEqual([lastFailure.reason, lastFailure.message, lastSuccess.snapshot], [reason, message, 'skerry_20261130033000'])
  assert.match(message, /doc\.readings has 100 rows, and 99 in the database, although nothing was written to it since/)
  await gone()
})

test('a snapshot without tables proves nothing, unless the database has none either', async () => {
  fill(scene, 'tidal')
  snapshotIn(scene, 'tidal', { tables: [] })
  const { phase, reason, message } = await rehearsed()
  assert.deepEqual([phase, reason], ['Failed', 'NothingToCompare'], message)
  assert.match(message, /^The snapshot skerry_20261130033000 has no tables, and the database has 2: nothing was restored/)
  await gone()
  fresh(scene, 'tidal')
  assert.equal((await rehearsed()).phase, 'Succeeded')
  await gone()
})

test('without a snapshot that has succeeded it fails, and leaves nothing behind', async () => {
  snapshotIn(scene, 'tidal', { state: 'PARTIAL' })
  const { reason, message } = await rehearsed()
  assert.deepEqual([reason, message], ['NoSnapshot', 'There is no snapshot that has succeeded.'])
  await gone()
})

test('a project without room for it refuses it, with the numbers', async () => {
  ready()
  await sent('PUT', `${databases}/one`, { ...smallDatabase({ id: 'one' }), id: undefined })
  await sent('PUT', `${databases}/two`, { ...smallDatabase({ id: 'two' }), id: undefined })
  const { status, body } = await rehearse()
  assert.equal(status, 422)
  assert.match(body.detail, /tidal-rehearsal: 1 database wanted, 3 databases used by the project's other databases, 3 databases allowed/)
  await sent('DELETE', `${databases}/two?retainVolumes=false`)
})

test('one at a time: another one is refused, and the database of the first belongs to it alone', async () => {
  ready()
  hold()
  const first = await rehearse()
  assert.equal(first.status, 202)
  const second = await rehearse('?dryRun=true')
  assert.equal(second.status, 409, second.text)
  assert.match(second.body.detail, /rehearses a restore of database harbour\/tidal; a region has one rehearsal at a time/)
  await until('its database is asked for', async () => (await listed()).includes('tidal-rehearsal'))
  const { status } = await sent('GET', `${databases}/tidal-rehearsal`)
  assert.deepEqual(status.rehearsal, { of: 'tidal', operation: first.body.id })
  const patched = await scene.api.call('PATCH', `${databases}/tidal-rehearsal`, { body: { deletionProtection: true } })
  assert.equal(patched.status, 409)
  assert.match(patched.body.detail, /part of the rehearsal of tidal, and is deleted when operation op-\d+ ends/)
  await sent('DELETE', `/v1/operations/${first.body.id}`)
  await gone()
  release()
})

test('it gives way to anything else that is asked of the database', async () => {
  ready()
  hold()
  const { body } = await rehearse()
  await until('its database is asked for', async () => (await listed()).includes('tidal-rehearsal'))
  await sent('PATCH', path, { allowedCIDRs: ['10.1.0.0/16'] })
  const { phase, message } = await sent('GET', `/v1/operations/${body.id}`)
  assert.equal(phase, 'Superseded')
  assert.match(message, /is a later request of the same resource/)
  await gone()
  release()
})

const silent = () => {
  throw new Problem('database-unreachable', 'does not answer')
}
const started = async () => (await rehearse()).body.id as string
const ended = async (id: string) =>
  until('the rehearsal has ended', async () => {
    const operation = await sent('GET', `/v1/operations/${id}`)
    return operation.endedAt === undefined ? false : operation
  })

test('a database that does not answer for a while is waited for, and progress is told', async () => {
  ready()
  let held = false
  scene.region.interceptSql(async (statement, send) => {
    if (statement.startsWith('RESTORE')) {
      held = true
      stateOf('tidal-rehearsal').restoring.held = true
    }
    return send()
  })
  const id = await started()
  await until(
    'it restores',
    async () => held && (await sent('GET', `/v1/operations/${id}`)).message === '0 of 8 primary shards are restored.',
  )
  scene.region.interceptSql(async () => silent())
  await until('it says so', async () => (await sent('GET', `/v1/operations/${id}`)).reason === 'DatabaseUnreachable')
  stateOf('tidal-rehearsal').restoring.held = false
  scene.region.interceptSql()
  const { phase, message } = await ended(id)
  assert.equal(phase, 'Succeeded', message)
})

test('a source that does not answer is not compared, and the result says how little was', async () => {
  ready()
  scene.region.interceptSql(async (_statement, send, database) => (database === 'tidal' ? silent() : send()))
  const { phase, message, result } = await ended(await started())
  scene.region.interceptSql()
  assert.equal(phase, 'Succeeded', message)
  assert.deepEqual([result.rows, result.equal, result.changed], [107, 0, 2])
})

test('nor is one that refuses: with lost shards, it needs the backup most', async () => {
  ready()
  const refusal = new DatabaseRefusal(
    'database harbour/tidal',
    'UnavailableShardsException[the shard 1 of the table is not available]',
    5002,
  )
  scene.region.interceptSql(async (statement, send, database) =>
    database === 'tidal' && statement.startsWith('SELECT') ? Promise.reject(refusal) : send(),
  )
  const { phase, message, result } = await ended(await started())
  scene.region.interceptSql()
  assert.equal(phase, 'Succeeded', message)
  assert.deepEqual([result.rows, result.equal, result.changed], [107, 0, 2])
})

test('a database that counts its rows in words fails the rehearsal, and is deleted', async () => {
  ready()
  scene.region.interceptSql(async (statement, send, database) =>
    database === 'tidal-rehearsal' && statement.startsWith('SELECT count(*) FROM "doc"') ? { cols: [], rows: [['many']] } : send(),
  )
  const { phase, reason } = await ended(await started())
  scene.region.interceptSql()
  assert.deepEqual([phase, reason], ['Failed', 'DatabaseRefused'])
  await gone()
})

test('a database that never gets ready ends the rehearsal in time, and is deleted', async () => {
  ready()
  scene.region.standIns.operator.faults.set('tidal-rehearsal', { neverStart: true })
  const id = await started()
  const child = await until('its database is asked for', async () => {
    const { items } = await sent('GET', '/v1/operations?limit=100')
    return (
      items.find(
        ({ action, target, endedAt }: { action: string; target: { database?: string }; endedAt?: string }) =>
          action === 'put' && target.database === 'tidal-rehearsal' && !endedAt,
      ) ?? false
    )
  })
  await until('the creation has begun', async () => (await sent('GET', `/v1/operations/${child.id}`)).deadline !== undefined)
  scene.region.pass(46 * 60_000)
  const { phase, reason, message } = await ended(id)
  assert.deepEqual([phase, reason], ['Failed', 'DeadlineExceeded'])
  assert.match(message, new RegExp(`^Operation ${child.id} is Failed: Not done within 2700 s, in the step "create"`))
  scene.region.standIns.operator.faults.clear()
  await gone()
})

test('shards that no node takes fail the rehearsal', async () => {
  ready()
  scene.region.interceptSql(async (statement, send, database) => {
    if (statement.startsWith('RESTORE')) stateOf(database).restoring.unallocated = 1
    return send()
  })
  const { phase, reason } = await rehearsed()
  scene.region.interceptSql()
  assert.deepEqual([phase, reason], ['Failed', 'ShardsMissing'])
  await gone()
})

test('a backup goes first, and drops nothing that a rehearsal reads', async () => {
  ready()
  await sent('PATCH', path, { snapshots: { keep: 1 } })
  const backedUp = async () => {
    const { status } = await scene.region.ended(await scene.region.accept({ action: 'backup', target: tidal }))
    assert.equal(status?.phase, 'Succeeded', status?.message)
    return status
  }
  await backedUp()
  hold()
  const id = await started()
  await until('it restores', async () => (await sent('GET', `/v1/operations/${id}`)).message === '0 of 8 primary shards are restored.')
  const { message: left = '' } = await backedUp()
  assert.match(left, /Old snapshots stay while a restore is rehearsed; the next backup drops them\./)
  release()
  const { phase, message } = await ended(id)
  assert.equal(phase, 'Succeeded', message)
  const { result } = await backedUp()
  const names = [...scene.region.standIns.database.bucket('harbour-snapshots').folders.values()].flat().map(({ name }) => name)
  // What was there before the first one of its own stays.
  assert.deepEqual(names, ['skerry_20261130033000', result?.snapshot])
})

test('nothing of a rehearsal is kept, although databases are that are deleted', async () => {
  const kept = [...scene.region.caches.retained.values()].filter(({ spec }) => spec.database.includes('rehearsal'))
  assert.deepEqual(
    kept.map(({ spec, status }) => [spec.origin, spec.operation, spec.volumes.map(({ volume }) => volume), spec.deletedBy, status?.phase]),
    [],
  )
})
