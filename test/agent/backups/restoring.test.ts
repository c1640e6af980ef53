import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Answers, compareShards, readContents, readCount, readRows } from '../../../agent/backups/comparison.ts'
import { compareRows, unchangedTables } from '../../../agent/backups/counted.ts'
import { restoreStatement, rowsOf, tableOf } from '../../../agent/backups/restore-statements.ts'
import { scratchId, scratchOf } from '../../../agent/resources/copied-database.ts'
import { databaseSpec, splitSecrets } from '../../../agent/resources/database.ts'
import { smallDatabase } from '../operations/acting-region.ts'

/* The pure parts of a restore by SQL: statements, what is compared, and what a rehearsal takes. */

test('names and values mean themselves in a statement, whatever they contain', () => {
  const name = 'x"; DROP TABLE y; --'
  assert.equal(rowsOf({ schema: 'doc', table: name }).stmt, 'SELECT count(*) FROM "doc"."x""; DROP TABLE y; --"')
  const partitions = [
    {
      table: 'doc.months',
      columns: [
        { name: 'month', value: "it's" },
        { name: 'day', value: 3 },
      ],
    },
  ]
  assert.equal(
    restoreStatement('skerry_20261130033000', { type: 'partitions', partitions }).stmt,
    `RESTORE SNAPSHOT skerry."skerry_20261130033000" TABLE "doc"."months" PARTITION ("month" = 'it''s', "day" = 3) WITH (wait_for_completion = false)`,
  )
  assert.equal(
    restoreStatement('a"b', { type: 'tables', tables: ['doc.a', 'doc.b'] }).stmt,
    'RESTORE SNAPSHOT skerry."a""b" TABLE "doc"."a", "doc"."b" WITH (wait_for_completion = false)',
  )
  assert.deepEqual(tableOf('doc.readings'), { schema: 'doc', table: 'readings' })
})

const answers = (change: Partial<Answers> = {}): Answers => ({
  relations: [
    ['doc', 'readings', 4, null],
    ['doc', 'months', 2, ['month']],
  ],
  partitionShards: [['doc', 'months', 2, 4]],
  startedShards: [
    ['doc', 'readings', 4, 100, 120, 4096],
    ['doc', 'months', 4, 7, 7, 1024],
  ],
  unstartedShards: [],
  emptyShards: [],
  ...change,
})
const expected = [
  { name: 'doc.months', partitions: 2 },
  { name: 'doc.readings', partitions: 0 },
]

const comparisons: { name: string; change: Partial<Answers>; missing: string[] }[] = [
  { name: 'nothing, when all shards serve', change: {}, missing: [] },
  {
    name: 'a table that is not there',
    change: { relations: [['doc', 'months', 2, ['month']]] },
    missing: ['1 of 2 tables are not there: doc.readings'],
  },
  {
    name: 'a partition that is not there',
    change: {
      partitionShards: [['doc', 'months', 1, 2]],
      startedShards: [
        ['doc', 'readings', 4, 100, 120, 4096],
        ['doc', 'months', 2, 7, 7, 1024],
      ],
    },
    missing: ['doc.months has 1 of 2 partitions'],
  },
  {
    name: 'a shard that no node has, by its name',
    change: {
      startedShards: [
        ['doc', 'readings', 3, 90, 100, 4096],
        ['doc', 'months', 4, 7, 7, 1024],
      ],
      unstartedShards: [
        ['doc', 'readings', '', 2, 'UNASSIGNED', null, null],
        ['doc', 'unrelated', '', 0, 'UNASSIGNED', null, null],
      ],
    },
    missing: ['1 of 8 primary shards do not serve: doc.readings shard 2 is UNASSIGNED'],
  },
  {
    name: 'shards that were made empty instead of being read',
    change: { emptyShards: [['doc', 'readings', 1]] },
    missing: ['1 of 4 primary shards of doc.readings were made empty, not read from the snapshot'],
  },
  { name: 'nothing, when users have filled a new partition meanwhile', change: { emptyShards: [['doc', 'months', 2]] }, missing: [] },
]
for (const { name, change, missing } of comparisons)
  test(`a restore lacks ${name}`, () => {
    assert.deepEqual(compareShards(expected, answers(change)).missing, missing)
  })

test('rows are compared where nothing was written since, and only there', () => {
  const restored: Answers['startedShards'] = [
    ['doc', 'same', 4, 10, 12, 1],
    ['doc', 'written', 4, 10, 12, 1],
    ['doc', 'resharded', 4, 10, 12, 1],
    ['doc', 'dropped', 4, 10, 12, 1],
  ]
  const source: Answers['startedShards'] = [
    ['doc', 'same', 4, 10, 12, 1],
    ['doc', 'written', 4, 10, 13, 1],
    ['doc', 'resharded', 8, 10, 12, 1],
  ]
  assert.deepEqual([...unchangedTables(restored, source)], ['doc.same'])
  const rows = new Map(['same', 'written', 'resharded', 'dropped'].map((table) => [`doc.${table}`, 10]))
  assert.deepEqual(compareRows(rows, new Map([['doc.same', 10]])), { rows: 40, equal: 1, changed: 3, differences: [] })
  assert.deepEqual(compareRows(rows, new Map([['doc.same', 11]])).differences, [{ table: 'doc.same', restored: 10, source: 11 }])
})

test('an answer of another form than CrateDB has is refused, and breaks nothing', () => {
  for (const rows of [[['doc']], [[1, 2, 3, 4, 5, 6]], [[null, null, null, null, null, null]]])
    assert.throws(() => readRows('startedShards', rows as unknown[][]), { type: 'database-refused' })
  assert.throws(() => readContents([['s', 1]]), { type: 'database-refused' })
  for (const rows of [[], [[]], [['7']], [[null]], [[1.5]], [[-1]], [[1], [2]]])
    assert.throws(() => readCount(rows as unknown[][]), { type: 'database-refused' })
  assert.deepEqual(readContents([['s', 'SUCCESS', 1e300, -1, null, [], null]]), {
    ...{ name: 's', state: 'SUCCESS', startedAt: 0, finishedAt: 0, failures: [], tables: [] },
  })
  assert.equal(readContents([]), undefined)
  const old = readContents([['s', 'SUCCESS', 1, 2, null, ['doc.b', 'doc.a'], null]])
  assert.deepEqual(old?.tables, [
    { name: 'doc.a', partitions: 0 },
    { name: 'doc.b', partitions: 0 },
  ])
})

const GiB = 1024n ** 3n
const source = (nodes: object) =>
  splitSecrets(databaseSpec.parse(smallDatabase({ id: 'tidal', nodes: { ...small, ...nodes } } as never))).spec
const small = { count: 3, cpu: 2, memory: '4Gi', disk: { count: 2, size: '64Gi', storageClass: 'crate-premium' } }
const rehearsal = { operation: 'op-1', of: 'tidal' }

const sizes = [
  {
    name: 'one node with room for the primary shards, half as much again, and a spare GiB',
    size: { bytes: 10n * GiB, shards: 40 },
    is: [1, '16Gi'],
  },
  { name: 'no more disk than the source has', size: { bytes: 900n * GiB, shards: 40 }, is: [1, '384Gi'] },
  { name: 'all disks of the source where it does not answer', size: { bytes: undefined, shards: undefined }, is: [1, '384Gi'] },
  { name: 'as many nodes as CrateDB wants for its shards', size: { bytes: 10n * GiB, shards: 1500 }, is: [2, '8Gi'] },
  { name: 'no more nodes than the source has', size: { bytes: 0n, shards: 90_000 }, is: [3, '1Gi'] },
]
for (const { name, size, is } of sizes)
  test(`a rehearsal takes ${name}`, () => {
    const { nodes, users, retainVolumes, snapshots, allowedCIDRs } = scratchOf(source({}), 'tidal-rehearsal', rehearsal, size)
    assert.deepEqual([nodes.count, nodes.disk.size], is)
    assert.deepEqual([nodes.cpu, nodes.memory, nodes.disk.count, nodes.disk.storageClass], [2, '4Gi', 1, 'crate-premium'])
    assert.deepEqual(
      { users, retainVolumes, snapshots, allowedCIDRs },
      { users: [], retainVolumes: false, snapshots: undefined, allowedCIDRs: [] },
    )
  })

test('the database of a rehearsal has an id that every database can have', () => {
  assert.equal(scratchId('tidal'), 'tidal-rehearsal')
  const longest = scratchId('a'.repeat(37))
  assert.equal(longest.length, 37)
  assert.equal(databaseSpec.shape.id.safeParse(longest).success, true)
})
