import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createClocks, PatientTime } from '../../../agent/clock/index.ts'
import { type ExpiryParts, expire } from '../../../agent/controllers/expiry.ts'
import type { OwnRequest } from '../../../agent/operations/own-request.ts'
import type { Operation } from '../../../agent/resources/operation.ts'
import type { RetainedDatabase, RetainedDatabaseStatus } from '../../../agent/resources/retained-database.ts'
import { Problem } from '../../../shared/errors.ts'
import { createFakeClock } from '../../shared/fake-clock.ts'
import { log } from './region.ts'

const target = { kind: 'database' as const, project: 'harbour', database: 'tide' }
const due = Date.parse('2026-12-07T10:00:00Z')
const [minute, hour, day] = [60_000, 3_600_000, 24 * 3_600_000]

function record(status?: RetainedDatabaseStatus): RetainedDatabase {
  const metadata = { name: 'tide.00000001', namespace: 'skerry', uid: 'uid-of-it' }
  return { apiVersion: 'skerry.dev/v1', kind: 'RetainedDatabase', metadata, spec: {} as never, ...(status && { status }) }
}

function purged(sequence: number, endedAt: number | undefined, more: object = {}): Operation {
  const status =
    endedAt === undefined ? { phase: 'Applying' } : { phase: 'Failed', message: 'It broke.', endedAt: new Date(endedAt).toISOString() }
  const spec = { action: 'purge', target, parameters: { deleted: 'tide.00000001' }, ...more }
  return { apiVersion: 'skerry.dev/v1', kind: 'Operation', metadata: { name: `op-${sequence}` }, spec, status } as unknown as Operation
}

/** Looks at a record that has come due. */
async function look(
  now: number,
  given: { dueAt?: number | undefined; operations?: Operation[]; status?: RetainedDatabaseStatus; refuse?: Problem } = {},
) {
  const asked: OwnRequest[] = []
  const parts: ExpiryParts = {
    requests: {
      async accept(request) {
        asked.push(request)
        if (given.refuse) throw given.refuse
        return { outcome: 'unchanged' }
      },
    },
    journal: { all: () => given.operations ?? [] },
    now: () => now,
    mustAct: () => {},
    log,
  }
  return { ...(await expire(record(given.status), { target, dueAt: 'dueAt' in given ? given.dueAt : due }, parts)), asked }
}

test('a record without a date never expires', async () => {
  assert.deepEqual(await look(due + 1000 * day, { dueAt: undefined }), { asked: [] })
})

test('before its date a record is looked at again, within the hour', async () => {
  assert.deepEqual(await look(due - minute), { nextMs: minute, asked: [] })
  assert.deepEqual(await look(due - 30 * day), { nextMs: hour, asked: [] })
})

test('when its date has come the agent asks for the purge in its own name, and every leader for the same entry', async () => {
  const { asked } = await look(due)
  assert.deepEqual(asked, [
    {
      operationId: 'purgeDeletedDatabase',
      target,
      params: { project: 'harbour', deleted: 'tide.00000001' },
      requestedBy: 'expiry of Skerry',
      key: 'uid-of-it.first',
    },
  ])
  assert.deepEqual((await look(due + day)).asked, asked)
})

test('a purge that failed is repeated, later each time, as another entry', async () => {
  const failed = [due, due + 5 * minute].map((at, index) => purged(index + 1, at))
  const { nextMs, trouble, asked } = await look(due + 5 * minute, { operations: failed })
  assert.deepEqual([nextMs, asked], [2 * minute, []])
  assert.equal(trouble, 'Its purge by op-2 ended as Failed: It broke.')
  const repeated = await look(due + 7 * minute, { operations: failed })
  assert.deepEqual(
    repeated.asked.map(({ key }) => key),
    ['uid-of-it.op-2'],
  )
  const many = Array.from({ length: 50 }, (_, index) => purged(index + 1, due))
  assert.equal((await look(due + 6 * hour - minute, { operations: many })).nextMs, minute)
  assert.equal((await look(due + 6 * hour, { operations: many })).asked.length, 1)
})

test('a purge that the storage did not complete is repeated once a day', async () => {
  const given = {
    operations: [purged(1, due)],
    status: { phase: 'PurgeIncomplete' as const, left: [{ volume: 'a', why: 'has no provisioner' }] },
  }
  assert.deepEqual(await look(due + day - minute, given), { nextMs: minute, asked: [] })
  assert.equal((await look(due + day, given)).asked.length, 1)
})

test('purges of other records do not count', async () => {
  const operations = [
    purged(1, due, { parameters: { deleted: 'tide.00000002' } }),
    purged(2, due, { target: { ...target, database: 'ebb' } }),
    purged(3, due, { action: 'undelete' }),
  ]
  assert.deepEqual(
    (await look(due, { operations })).asked.map(({ key }) => key),
    ['uid-of-it.first'],
  )
})

const yearMs = 366 * day
for (const { name, apiServerSays } of [
  { name: 'ours alone', apiServerSays: -yearMs },
  { name: 'that of the API server with it', apiServerSays: 0 },
]) {
  test(`a clock that is set forward by a year lets nothing expire before it is put right: ${name}`, async () => {
    const clock = createFakeClock(due - 7 * day)
    const apiServer = { offsetMs: 0, uncertaintyMs: 20 }
    const pod = { name: 'skerry-agent-0', namespace: 'skerry' }
    const given = { cloud: { offset: () => undefined }, apiServer: { offset: () => apiServer }, pod, recorder: { record: () => {} } }
    const { careful } = createClocks(given, { cluster: {} as never, clock, log })
    const time = new PatientTime(careful)
    assert.deepEqual((await look(time.now())).asked, [])
    clock.jump(yearMs)
    apiServer.offsetMs = apiServerSays
    for (let hours = 0; hours < 23; hours++) {
      assert.deepEqual((await look(time.now())).asked, [], `after ${hours} h`)
      await clock.advance(hour)
    }
    clock.jump(-yearMs)
    apiServer.offsetMs = 0
    assert.deepEqual((await look(time.now())).asked, [])
    await clock.advance(6 * day + hour)
    assert.equal((await look(time.now())).asked.length, 1, 'seven days have passed')
  })
}

test('a refusal is told and tried again after a while; any other failure is the business of the queue', async () => {
  const { nextMs, trouble } = await look(due, { refuse: new Problem('wrong-state', 'The database is being created.') })
  assert.deepEqual([nextMs, trouble], [10 * minute, 'Its purge was refused: The database is being created.'])
  await assert.rejects(look(due, { refuse: new Problem('cluster-unreachable', 'no answer') }))
})
