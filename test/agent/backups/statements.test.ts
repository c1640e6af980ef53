import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  createRepository,
  createSnapshot,
  dropSnapshot,
  hasSettings,
  isConcurrent,
  isInUse,
  isOurs,
  listSnapshots,
  nextName,
  repositorySettings,
} from '../../../agent/backups/statements.ts'
import { DatabaseRefusal, type DatabaseSql } from '../../../agent/region/sql.ts'

const place = {
  bucket: 'harbour-snapshots',
  basePath: 'eu-north/harbour/gauge',
  endpointUrl: 'https://s3.harbour.example:9000',
  region: 'local',
}
const keys = { accessKeyId: "AK'IA", secretAccessKey: 'a\'); DROP SNAPSHOT skerry."*"; --' }

test('no value of a place and no key is part of a statement', () => {
  const { stmt, args, secrets } = createRepository(repositorySettings(place, '6.4.0'), keys)
  assert.equal(
    stmt,
    'CREATE REPOSITORY skerry TYPE s3 WITH (bucket = ?, base_path = ?, protocol = ?, endpoint = ?, region = ?, use_path_style_access = ?, access_key = ?, secret_key = ?)',
  )
  assert.deepEqual(args, [
    'harbour-snapshots',
    'eu-north/harbour/gauge',
    'https',
    's3.harbour.example:9000',
    'local',
    'true',
    ...Object.values(keys),
  ])
  assert.deepEqual(secrets, Object.values(keys))
})

test('an older CrateDB is told nothing that it would refuse', () => {
  assert.deepEqual(Object.keys(repositorySettings(place, '6.2.11')), [
    'bucket',
    'base_path',
    'protocol',
    'endpoint',
    'use_path_style_access',
  ])
  assert.deepEqual(Object.keys(repositorySettings(place, '5.6.5')), ['bucket', 'base_path', 'protocol', 'endpoint'])
})

test('a repository is the wanted one by what Skerry decides on, and nothing else', () => {
  const wanted = repositorySettings(place, '5.10.1')
  const masked = { access_key: '[xxxxx]', secret_key: '[xxxxx]' }
  assert.ok(hasSettings({ ...wanted, ...masked, max_snapshot_bytes_per_sec: '100mb' }, wanted))
  assert.ok(!hasSettings({ ...wanted, bucket: 'other' }, wanted))
  assert.ok(!hasSettings({ ...wanted, region: 'eu-north-1' }, wanted), 'a setting that is no longer wanted')
  for (const unreadable of [undefined, null, 'x', []]) assert.ok(!hasSettings(unreadable, wanted))
})

test('only names that Skerry makes become part of statements: a pattern would drop the snapshots of others', () => {
  assert.equal(dropSnapshot('skerry_20261130033000').stmt, 'DROP SNAPSHOT skerry.skerry_20261130033000')
  for (const name of ['*', 'skerry_*', 'skerry_20261130033000"', 'nightly', 'skerry_2026113003300', 'Skerry_20261130033000']) {
    assert.ok(!isOurs(name), name)
    assert.throws(() => dropSnapshot(name), TypeError, name)
    assert.throws(() => createSnapshot(name), TypeError, name)
  }
})

const at = Date.parse('2026-11-30T03:30:00.999Z')
const names: { name: string; present: string[]; is: string }[] = [
  { name: 'is the moment, to the second', present: ['nightly', 'skerry_20261129033000'], is: 'skerry_20261130033000' },
  { name: 'is later than the last one in the same second', present: ['skerry_20261130033000'], is: 'skerry_20261130033001' },
  { name: 'is later than the last one after the clock was set back', present: ['skerry_20261231235959'], is: 'skerry_20270101000000' },
]
for (const { name, present, is } of names) test(`the name of the next snapshot ${name}`, () => assert.equal(nextName(at, present), is))

test('what passes by itself is known by its words, since it has no number', () => {
  const refused = (said: string) => new DatabaseRefusal('database harbour/gauge', said, 5000)
  assert.ok(isConcurrent(refused('ConcurrentSnapshotExecutionException[[skerry:x]  a snapshot is already running]')))
  assert.ok(isInUse(refused('IllegalStateException[trying to modify or unregister repository that is currently used]')))
  // So up to 4.5.
  assert.ok(isInUse(refused('IllegalStateException[trying to modify or unregister repository that is currently used ]')))
  assert.ok(!isConcurrent(refused('SnapshotException[no]')) && !isInUse(new Error('repository that is currently used')))
})

test('snapshots are listed by an older CrateDB without the columns that it does not have', async () => {
  const asked: string[] = []
  const sql: DatabaseSql = {
    async query(_database, stmt, args = []) {
      asked.push(`${stmt} ${JSON.stringify(args)}`)
      if (stmt.includes('reason')) throw new DatabaseRefusal('database', 'ColumnUnknownException[Column reason unknown]', 4043)
      return { cols: [], rows: [['skerry_20261130033000', 'skerry', 'IN_PROGRESS', 1_795_000_000_000, 0, ['doc.readings'], null]] }
    },
  }
  const found = await listSnapshots(sql, { project: 'harbour', database: 'gauge' }, { repository: 'skerry', name: 'x' })
  assert.deepEqual(found, [
    {
      name: 'skerry_20261130033000',
      repository: 'skerry',
      state: 'IN_PROGRESS',
      started: 1_795_000_000_000,
      finished: undefined,
      tables: ['doc.readings'],
      failures: [],
      reason: undefined,
      totalShards: undefined,
    },
  ])
  assert.equal(
    asked[1],
    'SELECT name, repository, state, started, finished, tables, failures FROM sys.snapshots WHERE repository = ? AND name = ? ORDER BY started DESC LIMIT 500 ["skerry","x"]',
  )
})

test('a time of a snapshot that no date has is none', async () => {
  const row = ['skerry_20261130033000', 'skerry', 'SUCCESS', 1e300, 253_402_300_800_000, [], [], null, 4]
  const sql: DatabaseSql = { query: async () => ({ cols: [], rows: [row] }) }
  const [found] = await listSnapshots(sql, { project: 'harbour', database: 'gauge' }, {})
  assert.deepEqual([found?.started, found?.finished, found?.totalShards], [undefined, undefined, 4])
})
