import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { RetainedDatabase } from '../../../agent/resources/retained-database.ts'
import {
  describeRetained,
  dueAt,
  findingOf,
  isTakenOver,
  keptStatus,
  sumOfRetained,
  type VolumeState,
} from '../../../agent/resources/retained-keeping.ts'
import { readRetained } from '../../../agent/resources/retained-reading.ts'
import { fc } from '../../shared/property.ts'

type Given = { name?: string; created?: string; spec?: object; status?: RetainedDatabase['status']; uids?: string[] }

/** A record whose volumes have these uids. */
function record({
  name = 'tide.00000001',
  created = '2026-11-30T10:00:00Z',
  spec = {},
  status,
  uids = ['a', 'b'],
}: Given = {}): RetainedDatabase {
  return {
    apiVersion: 'skerry.dev/v1',
    kind: 'RetainedDatabase',
    metadata: { name, namespace: 'skerry', uid: name, creationTimestamp: created },
    spec: {
      project: 'harbour',
      database: 'tide',
      origin: 'operation',
      deletedAt: '2026-11-30T10:00:00Z',
      deletedBy: 'token:cloud',
      volumes: uids.map((uid, node) => ({
        volume: uid,
        uid,
        claim: `project-harbour/data0-crate-data-hot-tide-${node}`,
        capacity: '64Gi',
      })),
      secrets: [],
      ...spec,
    },
    ...(status && { status }),
  }
}
const specOf = (of: RetainedDatabase) => readRetained(of).spec ?? assert.fail(readRetained(of).fault)
const takenOver = (one: RetainedDatabase, ...others: RetainedDatabase[]) =>
  isTakenOver({ record: one, spec: specOf(one) }, [one, ...others])

test('a newer record with the same volumes takes over from an older one, and not the other way round', () => {
  const [older, newer] = [record(), record({ name: 'tide.00000002', spec: { deletedAt: '2026-12-01T10:00:00Z', origin: 'outside' } })]
  assert.deepEqual([takenOver(older, newer), takenOver(newer, older)], [true, false])
})

test('a record stays that has a volume which no other one has', () => {
  const newer = record({ name: 'tide.00000002', uids: ['a'], spec: { deletedAt: '2026-12-01T10:00:00Z' } })
  assert.deepEqual([takenOver(record(), newer), takenOver(record({ uids: ['a'] }), newer)], [false, true])
})

test('what only volumes say takes over from nothing that an operation wrote', () => {
  const found = record({ name: 'tide.00000002', spec: { origin: 'found', deletedAt: '2027-01-01T00:00:00Z' } })
  assert.deepEqual([takenOver(record(), found), takenOver(found, record())], [false, true])
})

test('of any records with the same volumes, exactly one stays', () => {
  const any = fc.record({
    origin: fc.constantFrom('operation', 'outside', 'found'),
    deletedAt: fc.constantFrom('2026-11-30T10:00:00Z', '2026-12-01T10:00:00Z', '9999-01-01T00:00:00Z'),
  })
  fc.assert(
    fc.property(fc.array(any, { minLength: 1, maxLength: 6 }), (specs) => {
      const records = specs.map((spec, index) => record({ name: `tide.0000000${index}`, spec }))
      assert.equal(records.filter((each) => !takenOver(each, ...records)).length, 1)
    }),
  )
})

const day = 24 * 60 * 60_000
test('data may go when the date says so, and never before the record has stood for as long as was meant', () => {
  const expiresAt = '2026-12-07T10:00:00Z'
  const due = (given: Given) => dueAt(record(given), specOf(record(given)))
  assert.equal(due({}), undefined)
  assert.equal(due({ spec: { expiresAt } }), Date.parse(expiresAt))
  // The agent's clock was a year behind, or the record was made again in another cluster.
  assert.equal(due({ spec: { expiresAt }, created: '2027-11-30T10:00:00Z' }), Date.parse('2027-11-30T10:00:00Z') + 7 * day)
  assert.equal(due({ spec: { expiresAt }, created: '2026-11-30T09:00:00Z' }), Date.parse(expiresAt))
})

const findings: { states: VolumeState[]; finding: string }[] = [
  { states: [], finding: 'stays' },
  { states: ['kept', 'gone', 'serves'], finding: 'stays' },
  { states: ['gone', 'serves'], finding: 'serves' },
  { states: ['gone', 'gone'], finding: 'gone' },
]
for (const { states, finding } of findings) {
  test(`a record of volumes that are ${states.join(', ') || 'none at all'}: ${finding}`, () => assert.equal(findingOf(states), finding))
}

test('the status says when the data goes, what is lost, and what is in the way', () => {
  const due = Date.parse('2026-12-07T10:00:00Z')
  assert.deepEqual(keptStatus(record(), { states: ['kept', 'serves'], dueAt: due, trouble: 'Its purge was refused: no.' }), {
    phase: 'Kept',
    message:
      'Its data is deleted on 2026-12-07 10:00 UTC. 1 of 2 volumes serve the database that has the name now. Its purge was refused: no.',
  })
  const status = { phase: 'Undeleting' as const, left: [{ volume: 'a', why: 'has no provisioner' }] }
  assert.deepEqual(keptStatus(record({ status }), { states: ['kept', 'gone'], dueAt: due }), {
    phase: 'PurgeIncomplete',
    message: 'The storage did not delete 1 of its volumes: a: has no provisioner. 1 of 2 volumes no longer exist.',
  })
})

test('a volume that two records name counts once, and a record that cannot be read holds nothing that is known', () => {
  const broken = record({ name: 'ebb.00000001', spec: { database: '../ebb' } })
  const sum = sumOfRetained([record(), record({ name: 'tide.00000002', uids: ['b', 'c'] }), broken])
  assert.deepEqual(sum, { databases: 3, volumes: 3, bytes: 3n * 64n * 2n ** 30n })
  assert.equal(describeRetained(sum), '192 GiB in 3 volumes of 3 deleted databases')
})

const hostile: { name: string; spec: object; fault: RegExp }[] = [
  { name: 'a volume of another database', spec: { database: 'ebb' }, fault: /^\/spec\/volumes\/0\/claim must be a data claim/ },
  { name: 'a volume of another project', spec: { project: 'other' }, fault: /^\/spec\/volumes\/0\/claim must be a data claim/ },
  {
    name: 'a volume of a database whose name ends like its own',
    spec: {
      cratedb: { labels: {}, annotations: {}, spec: { nodes: { data: [{ name: 'hot' }] } } },
      volumes: [{ volume: 'pv-a', uid: 'a', claim: 'project-harbour/data0-crate-data-hot-high-tide-0' }],
    },
    fault: /^\/spec\/volumes\/0\/claim must be a data claim/,
  },
  { name: 'a path as its database', spec: { database: '../../secrets/x' }, fault: /^\/spec\/database must consist of/ },
  { name: 'a date that is none', spec: { expiresAt: 'soon' }, fault: /^\/spec\/expiresAt must be a time/ },
  { name: 'a date beyond all dates', spec: { expiresAt: '9999999-01-01T00:00:00Z' }, fault: /^\/spec\/expiresAt must be a time/ },
  { name: 'no volumes', spec: { volumes: null }, fault: /^\/spec\/volumes must be/ },
]
for (const { name, spec, fault } of hostile) {
  test(`a record with ${name} is not believed`, () => assert.match(readRetained(record({ spec })).fault ?? '', fault))
}
