import assert from 'node:assert/strict'
import { after, afterEach, before, test } from 'node:test'
import { createRehearsalSchedule } from '../../../agent/controllers/rehearsal-schedule.ts'
import { type Operation, phaseOf } from '../../../agent/resources/operation.ts'
import { projectSpec } from '../../../agent/resources/project.ts'
import { systemClock } from '../../../shared/clock.ts'
import type { Part } from '../../../shared/lifecycle.ts'
import { createLog } from '../../../shared/log.ts'
import { until } from '../../cluster/index.ts'
import { type ActingRegion, changed, smallDatabase, startActingRegion } from '../operations/acting-region.ts'
import { fill, keepSnapshots, withSnapshots } from '../operations/snapshot-scene.ts'
import { clockOfLooks } from './looks.ts'

/* Rehearsals that a schedule begins, with a time of day that the test sets. */

let region: ActingRegion
let creation: Operation
let schedule: Part | undefined
const looks = clockOfLooks()
const hour = 3_600_000
/** A full day that is to come: the clock of the region begins there. */
const begin = Math.ceil(Date.now() / (24 * hour)) * 24 * hour
let ahead = 0
const now = () => systemClock.now() + ahead

/** Lets time pass until so many hours after the beginning. */
function pass(hours: number): void {
  const ms = begin + hours * hour - now()
  ahead += ms
  region.pass(ms)
}

before(async () => {
  region = await startActingRegion()
  pass(0)
  await region.ended(await region.putProject('harbour'))
  const { snapshots } = withSnapshots(smallDatabase({ id: 'tidal' }))
  creation = await region.ended(
    await region.putDatabase('harbour', { id: 'tidal', snapshots: { ...snapshots, keep: 7, rehearse: '0 5 * * *' } }),
  )
  keepSnapshots({ region }, 'tidal')
  fill({ region }, 'tidal')
})
after(() => region?.close())
afterEach(async () => {
  await schedule?.stop(0)
  schedule = undefined
})

async function start(): Promise<void> {
  const { admin: cluster, caches, journal, requests } = region
  const lease = { isLeader: () => true, onChange: () => () => {} }
  const log = createLog({ level: 'silent', name: 'test' })
  schedule = createRehearsalSchedule(
    { tickMs: 10 },
    { cluster, caches, journal, requests, lease, clock: looks.clock, log, careful: { now } },
  )
  await schedule.start(new AbortController().signal)
}

const rehearsals = (): Operation[] => region.journal.all().filter(({ spec }) => spec.action === 'rehearse-restore')
const stateOf = async () =>
  JSON.parse((await region.cratedb('harbour', 'tidal')).metadata.annotations?.['skerry.dev/backups'] ?? '{}').rehearsal ?? {}

/** Whatever is due is begun by the next look. */
async function nothingBegins(): Promise<void> {
  const count = rehearsals().length
  await looks.looked()
  assert.equal(rehearsals().length, count)
}

/** The rehearsal after so many, once it has ended. */
async function ended(count: number): Promise<Operation> {
  await until('a rehearsal was begun', async () => rehearsals().length > count)
  return region.ended(rehearsals()[count] as Operation)
}

test('a schedule counts from when it was set, and its run begins within an hour, once', async () => {
  await start()
  await until('the beginning is noted', async () => (await stateOf()).schedule?.cron === '0 5 * * *')
  await nothingBegins()
  pass(4.9)
  await nothingBegins()
  pass(6.1)
  const first = await ended(0)
  assert.equal(phaseOf(first), 'Succeeded', JSON.stringify(first.status))
  assert.equal(first.spec.requestedBy, 'schedule of Skerry')
  await until('it is recorded', async () => (await stateOf()).lastSuccess?.operation === first.metadata.name)
  assert.equal((await stateOf()).schedule.cron, '0 5 * * *')
  await nothingBegins()
})

test('what was missed while no agent ran is caught up with once', async () => {
  pass(24 * 9 + 12)
  await start()
  assert.equal(phaseOf(await ended(1)), 'Succeeded')
  await nothingBegins()
})

test('one that gave way to another request is tried again after an hour', async () => {
  pass(24 * 10 + 6.1)
  region.lead(false)
  await start()
  await until('a rehearsal was begun', async () => rehearsals().length === 3)
  const wanted = changed(creation, { allowedCIDRs: ['10.9.0.0/16'] })
  const other = await region.accept({ action: 'put', target: creation.spec.target, wanted })
  region.lead(true)
  assert.equal(phaseOf(await ended(2)), 'Superseded')
  await region.ended(other)
  await nothingBegins()
  pass(24 * 10 + 7.3)
  assert.equal(phaseOf(await ended(3)), 'Succeeded')
  await nothingBegins()
})

test('a quota without room is a failure that is seen, and the next run is the next attempt', async () => {
  const quota = (databases: number) =>
    region.accept({
      action: 'put',
      target: { kind: 'project', project: 'harbour' },
      wanted: projectSpec.parse({ id: 'harbour', quota: { databases } }),
    })
  await region.ended(await quota(1))
  pass(24 * 11 + 6.1)
  await start()
  const { lastFailure } = await until('it is recorded', async () => {
    const state = await stateOf()
    return state.lastFailure ? state : false
  })
  assert.equal(lastFailure.reason, 'QuotaExceeded')
  assert.match(
    lastFailure.message,
    /tidal-rehearsal: 1 database wanted, 1 database used by the project's other databases, 1 database allowed/,
  )
  await region.ended(await quota(2))
  pass(24 * 11 + 8)
  await nothingBegins()
  pass(24 * 12 + 6.1)
  assert.equal(phaseOf(await ended(4)), 'Succeeded')
})

test('a refusal that should pass, and does not, is a failure that is seen', async () => {
  await region.ended(await region.putDatabase('harbour', { id: 'tidal-rehearsal' }))
  await start()
  pass(24 * 13 + 6.1)
  await nothingBegins()
  assert.notEqual((await stateOf()).lastFailure.reason, 'WrongState')
  for (const hours of [6.3, 6.5]) {
    pass(24 * 13 + hours)
    await nothingBegins()
  }
  const { lastFailure } = await until('it is recorded', async () => {
    const state = await stateOf()
    return state.lastFailure.reason === 'WrongState' ? state : false
  })
  assert.match(lastFailure.message, /a rehearsal needs a database tidal-rehearsal, and there is another one of that name/)
})
