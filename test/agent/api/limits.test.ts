import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type AuditRecord, createAudit, isAudited } from '../../../agent/api/audit.ts'
import { createBuckets } from '../../../agent/api/limits.ts'
import { createFakeClock } from '../../shared/fake-clock.ts'
import { createKeptLog } from './harbour.ts'

test('a bucket gives its burst, then what it regains, and tells how long that takes', async () => {
  const clock = createFakeClock()
  const buckets = createBuckets({ perSecond: 2, burst: 3 }, clock)
  assert.deepEqual(
    [1, 2, 3, 4].map(() => buckets.take('a')),
    [0, 0, 0, 0.5],
  )
  await clock.advance(400)
  assert.ok(Math.abs(buckets.take('a') - 0.1) < 1e-9)
  await clock.advance(100)
  assert.equal(buckets.take('a'), 0)
  await clock.advance(3_600_000)
  assert.deepEqual(
    [1, 2, 3, 4].map(() => buckets.take('a')),
    [0, 0, 0, 0.5],
  )
})

test('any number of keys takes bounded memory, and those that are out of tokens are remembered longest', async () => {
  const clock = createFakeClock()
  const buckets = createBuckets({ perSecond: 1, burst: 2 }, clock)
  for (let i = 0; i < 9_999; i++) buckets.take(`quiet-${i}`)
  await clock.advance(2_000)
  buckets.take('empty')
  buckets.take('empty')
  for (let i = 0; i < 5_000; i++) buckets.take(`more-${i}`)
  assert.equal(buckets.take('empty'), 1)
})

const record: AuditRecord = {
  requestId: 'r1',
  identity: 'cloud',
  remote: '192.0.2.1',
  method: 'PUT',
  route: '/v1/projects/{project}',
  target: { project: 'harbour' },
  status: 202,
  problem: undefined,
  operation: 'op-0000000001',
  dryRun: false,
}

test('a record is one line with who, what and what came of it', () => {
  const { log, lines } = createKeptLog()
  createAudit({ log, clock: createFakeClock() }).record(record)
  const { time: _, ...line } = lines[0] ?? {}
  assert.deepEqual(line, {
    level: 'info',
    name: 'test',
    audit: true,
    requestId: 'r1',
    identity: 'cloud',
    remote: '192.0.2.1',
    method: 'PUT',
    route: '/v1/projects/{project}',
    target: { project: 'harbour' },
    status: 202,
    operation: 'op-0000000001',
    dryRun: false,
    msg: 'request answered',
  })
})

test('strangers cannot fill the disk: what was left out is counted', async () => {
  const { log, lines } = createKeptLog()
  const clock = createFakeClock()
  const audit = createAudit({ log, clock })
  for (let i = 0; i < 1_000; i++) audit.record({ ...record, identity: undefined, status: 401, problem: 'unauthenticated' })
  audit.record(record)
  assert.equal(lines.length, 51)
  assert.equal(lines.at(-1)?.untold, 950)
  await clock.advance(1_000)
  audit.record({ ...record, identity: undefined, status: 401 })
  assert.equal(lines.length, 52)
})

const audited = [
  { method: 'GET', status: 200, is: false },
  { method: 'GET', status: 404, is: false },
  { method: 'GET', status: 401, is: true },
  { method: 'GET', status: 403, is: true },
  { method: 'GET', status: 429, is: true },
  { method: 'PUT', status: 200, is: true },
  { method: 'DELETE', status: 409, is: true },
  { method: 'POST', status: 500, is: true },
  { method: 'OPTIONS', status: 204, is: false },
]
for (const { method, status, is } of audited) {
  test(`${method} answered ${status} ${is ? 'leaves a record' : 'leaves none'}`, () => assert.equal(isAudited(method, status), is))
}
