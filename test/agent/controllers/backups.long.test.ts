import assert from 'node:assert/strict'
import { after, afterEach, before, test } from 'node:test'
import { readBackupState } from '../../../agent/backups/state.ts'
import { createBackupSchedule } from '../../../agent/controllers/backups.ts'
import { createAcceptedState } from '../../../agent/operations/accepted.ts'
import type { DecisionParts } from '../../../agent/operations/deciding/decision.ts'
import { readOperatorRun } from '../../../agent/resources/cratedb-run.ts'
import { type Operation, phaseOf } from '../../../agent/resources/operation.ts'
import { systemClock } from '../../../shared/clock.ts'
import { kinds, pathOf } from '../../../shared/kubernetes/objects.ts'
import type { Part } from '../../../shared/lifecycle.ts'
import { createLog } from '../../../shared/log.ts'
import { until } from '../../cluster/index.ts'
import { type ActingRegion, startActingRegion } from '../operations/acting-region.ts'
import { clockOfLooks } from './looks.ts'

/* Backups that a schedule begins, with a time of day that the test sets. */

let region: ActingRegion
let schedule: Part | undefined
const looks = clockOfLooks()
let leads = true
/** A full hour that is to come: the clock of the region begins there. */
const begin = Math.ceil(Date.now() / 3_600_000) * 3_600_000
/** How far the clock of the schedule is from that of the region. */
let set = 0
let ahead = 0
const now = () => systemClock.now() + ahead + set
const iso = (minutes: number) => new Date(begin + minutes * minute).toISOString()
const s3 = { bucket: 'snaps', basePath: 'x/y', accessKeyId: 'AKIAEXAMPLE', secretAccessKey: 'a-secret-key' }
const minute = 60_000

/** Lets time pass until so many minutes after the beginning. */
function pass(until: number): void {
  const ms = begin + until * minute - (systemClock.now() + ahead)
  ahead += ms
  region.pass(ms)
}

before(async () => {
  region = await startActingRegion()
  await region.ended(await region.putProject('harbour'))
  await region.ended(await region.putDatabase('harbour', { id: 'gauge', snapshots: { s3, keep: 7, schedule: '30 * * * *' } }))
})
after(() => region?.close())
afterEach(stop)

async function start(): Promise<void> {
  const { admin: cluster, caches, journal } = region
  const config = { timeouts: { backup: 3_600_000 } }
  const deciding = { accepted: createAcceptedState({ journal, caches }), config } as unknown as DecisionParts
  const lease = { isLeader: () => leads, onChange: () => () => {} }
  const log = createLog({ level: 'silent', name: 'test' })
  const tools = { cluster, caches, journal, deciding, lease, clock: looks.clock, log }
  schedule = createBackupSchedule({ tickMs: 10 }, { ...tools, careful: { now } })
  await schedule.start(new AbortController().signal)
}

async function stop(): Promise<void> {
  await schedule?.stop(0)
  schedule = undefined
}

const backups = (): Operation[] => region.journal.all().filter(({ spec }) => spec.action === 'backup')
const database = () => region.standIns.database.state('project-harbour', 'gauge')
const stateOf = async () => JSON.parse((await region.cratedb('harbour', 'gauge')).metadata.annotations?.['skerry.dev/backups'] ?? '{}')

/** Waits until the schedule knows it too: it plans the next attempt by it. */
async function failuresAre(count: number): Promise<void> {
  assert.equal((await stateOf()).failures, count)
  const known = () => region.caches.databases.get('project-harbour/gauge')
  await until('the schedule knows of it', async () => readBackupState(known() ?? assert.fail()).failures === count)
}

/** The backup after so many, once it has ended. */
async function ended(count: number): Promise<Operation> {
  await until('a backup was begun', async () => backups().length > count)
  return region.ended(backups()[count] as Operation)
}

/** Whatever is due is begun by the next look. */
async function nothingBegins(): Promise<void> {
  const count = backups().length
  await looks.looked()
  assert.equal(backups().length, count)
}

test('a schedule counts from when it was set: nothing is begun before its next run, and that is begun within a tenth of the hour', async () => {
  pass(0)
  await start()
  await until('the beginning is noted', async () => (await stateOf()).schedule?.since?.startsWith(iso(0).slice(0, 16)))
  const { set: setAt } = (await stateOf()).schedule
  assert.ok(setAt.startsWith(iso(0).slice(0, 16)), setAt)
  await nothingBegins()
  pass(29)
  await nothingBegins()
  pass(37)
  const first = await ended(0)
  assert.equal(phaseOf(first), 'Succeeded', JSON.stringify(first.status))
  assert.equal(first.spec.requestedBy, 'schedule of Skerry')
  assert.deepEqual(first.spec.parameters, { schedule: '30 * * * *', due: iso(30) })
  assert.deepEqual((await stateOf()).schedule, { cron: '30 * * * *', since: iso(30), set: setAt })
  await nothingBegins()
})

test('what was missed while no agent ran is caught up once, by a leader that knows nothing', async () => {
  const count = backups().length
  pass(5 * 60 + 40)
  await start()
  assert.equal((await ended(count)).spec.parameters?.due, iso(5 * 60 + 30))
  await nothingBegins()
})

test('none is begun while one goes on, nor by a replica that does not lead', async () => {
  const count = backups().length
  database().behaviour.held = true
  pass(6 * 60 + 40)
  leads = false
  await start()
  await nothingBegins()
  leads = true
  await until('a backup was begun', async () => backups().length === count + 1)
  set = 120 * minute
  await nothingBegins()
  database().behaviour.held = false
  await ended(count)
  assert.equal((await ended(count + 1)).spec.parameters?.due, iso(8 * 60 + 30))
  await stop()
  set = 0
})

test('a failed one is tried again after ten minutes, then later, and not each minute for ever', async () => {
  const count = backups().length
  const bucket = region.standIns.database.bucket('snaps')
  bucket.fault = 'denied'
  database().registered.clear()
  pass(9 * 60 + 40)
  await start()
  const first = await ended(count)
  assert.equal(phaseOf(first), 'Failed')
  await failuresAre(1)
  pass(9 * 60 + 49)
  await nothingBegins()
  pass(9 * 60 + 51)
  const second = await ended(count + 1)
  await failuresAre(2)
  assert.deepEqual([second.spec.parameters?.due, first.spec.parameters?.due], [iso(9 * 60 + 30), iso(9 * 60 + 30)])
  pass(10 * 60 + 5)
  await nothingBegins()
  bucket.fault = undefined
  pass(10 * 60 + 12)
  assert.equal(phaseOf(await ended(count + 2)), 'Succeeded')
  assert.equal((await stateOf()).failures, 0)
  await nothingBegins()
})

test('a clock that is set back neither begins a run again nor silences the schedule until it has come back', async () => {
  const earlier = backups().length
  pass(11 * 60 + 40)
  await start()
  await ended(earlier)
  const count = backups().length
  await stop()
  set = -180 * minute
  await start()
  await nothingBegins()
  set = -115 * minute
  assert.equal(phaseOf(await ended(count)), 'Succeeded')
  await stop()
  set = 0
})

test('a suspended database has no backups, and one when it runs again', async () => {
  const path = pathOf(kinds.CrateDB, 'project-harbour', 'gauge')
  const replicas = async (count: number) => {
    const { spec } = await region.cratedb('harbour', 'gauge')
    const data = spec.nodes.data.map((group: object) => ({ ...group, replicas: count }))
    await region.admin.request({ method: 'PATCH', path, contentType: 'application/merge-patch+json', body: { spec: { nodes: { data } } } })
    await until('the operator has done it', async () => {
      const cratedb = region.caches.databases.get('project-harbour/gauge')
      return cratedb?.spec.nodes.data[0].replicas === count && readOperatorRun(cratedb).state === 'ended'
    })
  }
  await replicas(0)
  const count = backups().length
  await start()
  pass(48 * 60 + 40)
  await nothingBegins()
  await replicas(1)
  assert.equal(phaseOf(await ended(count)), 'Succeeded')
  assert.equal(backups().length, count + 1)
})

test('a clock that is set right after a run far in the future does not silence the schedule, while the same agent leads', async () => {
  const earlier = backups().length
  set = 30 * 24 * 60 * minute
  await start()
  await ended(earlier)
  await until('the schedule knows of it', async () => {
    const known = region.caches.databases.get('project-harbour/gauge')
    return Date.parse(readBackupState(known ?? assert.fail()).schedule?.since ?? '') > now() - 60 * minute
  })
  await nothingBegins()
  set = 0
  await nothingBegins()
  const { length } = backups()
  set = 120 * minute
  assert.equal(phaseOf(await ended(length)), 'Succeeded')
  set = 0
})
