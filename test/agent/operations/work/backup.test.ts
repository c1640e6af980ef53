import assert from 'node:assert/strict'
import { test } from 'node:test'
import { advanceBackup, leaveBackup } from '../../../../agent/operations/work/backup.ts'
import type { Progress, WorkContext } from '../../../../agent/operations/work/context.ts'
import { desiredCrateDB } from '../../../../agent/resources/cratedb.ts'
import type { DatabaseTarget } from '../../../../agent/resources/kind.ts'
import type { OperationStatus, StepRecord } from '../../../../agent/resources/operation.ts'
import { Problem } from '../../../../shared/errors.ts'
import type { KubernetesObject } from '../../../../shared/kubernetes/objects.ts'
import { createFakeClock } from '../../../shared/fake-clock.ts'
import { options, stored, target } from '../../resources/samples.ts'

/* What a backup does when the database or the operator is not as it should be; with a database that answers as it does is backup.long.test.ts. */

const snapshot = 'skerry_20261130033000'
const snapshots = { s3: { bucket: 'b', basePath: 'x/y' }, schedule: '30 3 * * *' }
const keys = { 'access-key-id': 'QUtJQQ==', 'secret-access-key': 'a2V5' }

/** A CrateDB with which the operator has done. */
function standing(fields: Record<string, unknown> = {}): KubernetesObject {
  const object = desiredCrateDB(target, stored({ snapshots, ...fields }), options)
  const last = JSON.stringify({ spec: object.spec })
  const annotations = { ...object.metadata.annotations, 'operator.cloud.crate.io/last': last }
  return { ...object, metadata: { ...object.metadata, resourceVersion: '7', annotations } }
}

type Answer = (stmt: string) => unknown[][]
const silent: Answer = () => {
  throw new Problem('database-unreachable', 'database harbour/tidal-gauge does not answer.')
}

function scene(step: Partial<StepRecord>, answer: Answer, cratedb = standing()) {
  const status: OperationStatus = {
    phase: 'Waiting',
    step: { name: 'snapshot', startedAt: '2026-01-01T00:00:00Z', ...step },
    done: step.name === 'repository' ? [] : [{ name: 'repository', startedAt: '', endedAt: '' }],
    result: { repository: 'uid/1' },
  }
  const clock = createFakeClock()
  const asked: string[] = []
  const patched: unknown[] = []
  const context = {
    operation: {
      metadata: { name: 'op-0000000042' },
      spec: { parameters: { schedule: '30 3 * * *', due: '2026-11-30T03:30:00.000Z' } },
      status,
    },
    target,
    clock,
    sql: {
      async query(_database: unknown, stmt: string) {
        asked.push(stmt)
        return { cols: [], rows: answer(stmt) }
      },
    },
    cluster: {
      read: async ({ kind }: { kind: string }) =>
        kind === 'CrateDB' ? cratedb : { metadata: { uid: 'u', resourceVersion: '1' }, data: keys },
      patch: async (_ref: unknown, change: unknown) => patched.push(change),
    },
    async record(change: Partial<OperationStatus>) {
      Object.assign(status, change)
    },
    async begin(name: string, note = {}) {
      status.step = { name, startedAt: '2026-01-01T00:00:00Z', note }
    },
    async finish() {
      status.done = [...(status.done ?? []), { name: status.step?.name ?? '', startedAt: '', endedAt: '' }]
      delete status.step
    },
  } as unknown as WorkContext<DatabaseTarget>
  const state = () => {
    const [change] = patched as [{ metadata: { resourceVersion: string; annotations: Record<string, string> } }]
    return { version: change?.metadata.resourceVersion, ...JSON.parse(change?.metadata.annotations['skerry.dev/backups'] ?? '{}') }
  }
  return { context, clock, status, asked, patched, state }
}

/** Advances until it waits or ends. @returns how long it waits, or how it ended */
async function advance(context: WorkContext<DatabaseTarget>): Promise<Progress> {
  for (let round = 0; round < 20; round += 1) {
    const progress = await advanceBackup(context)
    if (progress.next !== 'again') return progress
  }
  throw new Error('it goes on without end')
}

test('a database that does not answer while a snapshot goes on is asked for half an hour, then the backup has failed', async () => {
  const { context, state } = scene({ note: { snapshot, begun: true } }, silent)
  const waits: number[] = []
  let progress = await advance(context)
  while (progress.next === 'wait') {
    waits.push(progress.recheckMs ?? 0)
    progress = await advance(context)
  }
  assert.deepEqual(waits.slice(0, 6), [500, 1_000, 2_000, 4_000, 8_000, 10_000])
  const minutes = waits.reduce((sum, ms) => sum + ms, 0) / 60_000
  assert.ok(minutes > 25 && minutes < 35, `${minutes}`)
  assert.ok(progress.next === 'failed')
  assert.equal(progress.reason, 'DatabaseUnreachable')
  assert.equal(progress.message, `database harbour/tidal-gauge does not answer. Whether the snapshot ${snapshot} was taken is not known.`)
  assert.match(progress.action ?? '', /could not be dropped/)
  assert.deepEqual([state().lastFailure.reason, state().failures, state().version], ['DatabaseUnreachable', 1, '7'])
  assert.deepEqual(state().schedule, { cron: '30 3 * * *', since: '2026-11-30T03:30:00.000Z' })
})

test('a failure does not forget when its schedule was set: by that, the alert knows how long there was no success', async () => {
  const cratedb = standing()
  const set = '2026-11-01T12:00:00.000Z'
  const before = { schedule: { cron: '30 3 * * *', since: '2026-11-29T03:30:00.000Z', set }, failures: 28 }
  cratedb.metadata.annotations = { ...cratedb.metadata.annotations, 'skerry.dev/backups': JSON.stringify(before) }
  const failed: Answer = () => [[snapshot, 'skerry', 'PARTIAL', 1_796_000_000_000, 1_796_000_001_000, ['doc.readings'], ['a'], null, 4]]
  const { context, state } = scene({ note: { snapshot, begun: true } }, failed, cratedb)
  assert.equal((await advance(context)).next, 'failed')
  assert.deepEqual(state().schedule, { cron: '30 3 * * *', since: '2026-11-30T03:30:00.000Z', set })
  assert.equal(state().failures, 29)
})

test('a failure that was counted before the agent died is not counted again', async () => {
  const cratedb = standing()
  const lastFailure = { at: '2026-01-01T00:00:00.000Z', operation: 'op-0000000042', reason: 'SnapshotFailed', message: 'no space left' }
  const before = JSON.stringify({ failures: 3, lastFailure })
  cratedb.metadata.annotations = { ...cratedb.metadata.annotations, 'skerry.dev/backups': before }
  const verdict = { reason: 'SnapshotFailed', message: 'no space left' }
  const { context, state } = scene({ note: { snapshot, begun: true, verdict } }, () => [], cratedb)
  assert.equal((await advance(context)).next, 'failed')
  assert.equal(state().failures, 3)
})

test('a database that does not answer before a snapshot has begun holds up others for two minutes', async () => {
  const { context } = scene({ name: 'repository', note: {} }, silent)
  let waited = 0
  let progress = await advance(context)
  while (progress.next === 'wait') {
    waited += progress.recheckMs ?? 0
    progress = await advance(context)
  }
  assert.ok(progress.next === 'failed' && waited < 150_000, `${waited}`)
})

test('what passes by itself is no failure: a cluster without a master at the moment', async () => {
  const { DatabaseRefusal } = await import('../../../../agent/region/sql.ts')
  const { context } = scene({ note: { snapshot, begun: true } }, () => {
    throw new DatabaseRefusal('database', 'MasterNotDiscoveredException[null]', 5031)
  })
  assert.equal((await advance(context)).next, 'wait')
})

test('what CrateDB repeats of the words of a store has no key of the bucket in it', async () => {
  const said = 'S3Exception: The key AKIA and its secret are refused, Credential=AKIA%2F'
  const failed: Answer = () => [[snapshot, 'skerry', 'PARTIAL', 1_796_000_000_000, 1_796_000_001_000, [], [said], null, 4]]
  const { context, state } = scene({ note: { snapshot, begun: true } }, failed)
  const progress = await advance(context)
  assert.ok(progress.next === 'failed')
  for (const text of [progress.message, state().lastFailure.message]) {
    assert.match(text, /S3Exception: The \[masked\] \[masked\] and its secret are refused/)
    assert.doesNotMatch(text, /AKIA/)
  }
})

test('nor has what is told while the database is asked again', async () => {
  const { DatabaseRefusal } = await import('../../../../agent/region/sql.ts')
  const { context } = scene({ note: { snapshot, begun: true } }, () => {
    throw new DatabaseRefusal('database', 'UnavailableShardsException: Credential=AKIA', 5035)
  })
  const progress = await advance(context)
  assert.ok(progress.next === 'wait')
  assert.match(progress.message ?? '', /Credential=\[masked\]/)
})

const clocks = [
  { name: 'a year ahead', started: '2027-01-01T00:04:00Z', startedAt: '2026-01-01T00:05:00.000Z' },
  { name: 'years behind', started: '1999-01-01T00:04:00Z', startedAt: '2026-01-01T00:00:00.000Z' },
  { name: 'right', started: '2026-01-01T00:04:00Z', startedAt: '2026-01-01T00:04:00.000Z' },
  { name: 'unknown', started: undefined, startedAt: '2026-01-01T00:00:00.000Z' },
]
for (const { name, started, startedAt } of clocks) {
  test(`the time of a success is within its backup where the clock of the database is ${name}`, async () => {
    const at = started === undefined ? null : Date.parse(started)
    const { context, clock, state } = scene({ note: { snapshot, begun: true } }, () => [
      [snapshot, 'skerry', 'SUCCESS', at, at, ['doc.readings'], [], null, 4],
    ])
    clock.jump(5 * 60_000)
    assert.equal((await advance(context)).next, 'done')
    assert.deepEqual(state().lastSuccess, { at: '2026-01-01T00:05:00.000Z', startedAt, snapshot })
  })
}

test('nothing is written onto a CrateDB that the operator works on: the result waits', async () => {
  const cratedb = standing()
  const progress = JSON.stringify({ started: '2026-11-30T03:29:00', purpose: 'update' })
  cratedb.metadata.annotations = { ...cratedb.metadata.annotations, 'operator.cloud.crate.io/cluster_update': progress }
  const good: Answer = () => [[snapshot, 'skerry', 'SUCCESS', 1_796_000_000_000, 1_796_000_001_000, ['doc.readings'], [], null, 4]]
  const { context, patched, state } = scene({ note: { snapshot, begun: true } }, good, cratedb)
  assert.equal((await advance(context)).next, 'wait')
  assert.deepEqual(patched, [])
  delete cratedb.metadata.annotations['operator.cloud.crate.io/cluster_update']
  assert.equal((await advance(context)).next, 'done')
  assert.equal(state().lastSuccess.snapshot, snapshot)
})

test('no snapshot is asked for while the operator works on the database', async () => {
  const cratedb = standing()
  delete cratedb.metadata.annotations?.['operator.cloud.crate.io/last']
  const { context, asked } = scene({ note: { snapshot } }, () => [], cratedb)
  assert.equal((await advance(context)).next, 'wait')
  assert.ok(
    asked.every((stmt) => stmt.startsWith('SELECT')),
    asked.join('\n'),
  )
})

const changes = [
  { name: 'suspended', fields: { suspended: true }, reason: 'Suspended' },
  { name: 'told to have no backups any more', fields: { snapshots: undefined }, reason: 'NotSetUp' },
]
for (const { name, fields, reason } of changes) {
  test(`the backup of a database that is ${name} meanwhile has failed, and says so`, async () => {
    const { context } = scene({ note: { snapshot } }, () => [], standing(fields))
    const progress = await advance(context)
    assert.ok(progress.next === 'failed')
    assert.equal(progress.reason, reason)
  })
}

test('a snapshot whose files cannot be read at the moment is neither good nor dropped', async () => {
  const unreadable: Answer = () => [[snapshot, 'skerry', 'FAILED', null, null, [], [], null, 0]]
  const { context, asked } = scene({ note: { snapshot, begun: true } }, unreadable)
  assert.equal((await advance(context)).next, 'wait')
  assert.equal(await leaveBackup(context), undefined)
  assert.ok(!asked.some((stmt) => stmt.startsWith('DROP')))
})

test('whoever cancels a backup of a database that does not answer is told what may be left', async () => {
  const { context } = scene({ note: { snapshot, begun: true } }, silent)
  assert.match((await leaveBackup(context)) ?? '', new RegExp(`^What there is of the snapshot ${snapshot} could not be dropped`))
})
