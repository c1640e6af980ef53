import assert from 'node:assert/strict'
import { after, afterEach, before, describe, test } from 'node:test'
import { type Fixture, type Subject, startFixture } from './fixture.ts'

/* What the stand-in answers about restores: that of cratedb-facts.md. */

describe('restores of the database stand-in', () => {
  let fixture: Fixture
  let subject: Subject
  let login: string
  before(async () => {
    fixture = await startFixture()
    subject = await fixture.created(await fixture.project(), 'gauge')
    const secret = await fixture.until('Secret', `${subject.namespace}/user-system-gauge`, () => true)
    login = `system:${Buffer.from(secret.data.password, 'base64').toString()}`
    await sql("CREATE REPOSITORY r TYPE s3 WITH (bucket = 'b', base_path = 'x')")
    database().tables.set('doc.readings', { rows: 100, shards: 4, sequence: 120 })
    database().tables.set('doc.months', { rows: 7, shards: 2, partitions: [{ month: '1' }, { month: '2' }] })
    await sql('CREATE SNAPSHOT r.s ALL WITH (wait_for_completion = false)')
    await sql('SELECT name FROM sys.snapshots')
    database().tables.clear()
  })
  after(() => fixture.stop())
  afterEach(() => {
    database().tables.clear()
    Object.assign(database().restoring, { ms: 0, held: false, unallocated: 0 })
    const [snapshot] = fixture.standIns.database.bucket('b').folders.get('x') ?? []
    Object.assign(snapshot ?? {}, { state: 'SUCCESS', failures: [] })
  })

  const database = () => fixture.standIns.database.state(subject.namespace, 'gauge')

  async function sql(stmt: string, args: unknown[] = []) {
    const answer = await fetch(fixture.standIns.database.urlOf(subject.namespace, 'gauge'), {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Basic ${Buffer.from(login).toString('base64')}` },
      body: JSON.stringify({ stmt, args }),
    })
    // biome-ignore lint/suspicious/noExplicitAny: as it comes
    const { rows, error } = (await answer.json()) as any
    return { rows, code: error?.code, message: error?.message as string | undefined }
  }

  const restore = (what: string) => sql(`RESTORE SNAPSHOT r."s" ${what} WITH (wait_for_completion = false)`)
  const shards = async () =>
    (await sql('SELECT table_name, routing_state, count(*) FROM sys.shards WHERE "primary" = true GROUP BY table_name, routing_state')).rows

  test('a restore answers at once, and its shards come later', async () => {
    database().restoring.held = true
    assert.equal((await restore('TABLES, VIEWS, UDFS')).code, undefined)
    assert.deepEqual((await sql("SELECT name, state FROM sys.snapshot_restore WHERE repository = 'r'")).rows, [['s', 'STARTED']])
    assert.deepEqual(await shards(), [
      ['readings', 'INITIALIZING', 4],
      ['months', 'INITIALIZING', 4],
    ])
    database().restoring.held = false
    assert.deepEqual((await sql('SELECT state FROM sys.snapshot_restore')).rows, [])
    assert.deepEqual(await shards(), [
      ['readings', 'STARTED', 4],
      ['months', 'STARTED', 4],
    ])
    const sums =
      "SELECT sum(num_docs), max(seq_no_stats['max_seq_no']) FROM sys.shards WHERE table_name = 'readings' AND recovery['type'] = 'SNAPSHOT'"
    assert.deepEqual((await sql(sums)).rows, [[100, 120]])
    assert.deepEqual((await sql('SELECT count(*) FROM "doc"."readings"')).rows, [[100]])
    const defined = 'SELECT table_name, number_of_shards, partitioned_by FROM information_schema.tables'
    assert.deepEqual((await sql(defined)).rows, [
      ['readings', 4, null],
      ['months', 2, ['month']],
    ])
  })

  test('a table that exists is refused, and nothing is restored', async () => {
    database().tables.set('doc.readings', { rows: 1, shards: 4 })
    const { code, message } = await restore('TABLES')
    assert.deepEqual([code, message], [4093, "RelationAlreadyExists[Relation 'doc.readings' already exists.]"])
    assert.deepEqual([...database().tables.keys()], ['doc.readings'])
    assert.equal((await restore('TABLE "doc"."months" PARTITION ("month" = 2)')).code, undefined)
    assert.deepEqual((await sql('SELECT values FROM information_schema.table_partitions')).rows, [[{ month: '2' }]])
    assert.equal((await restore('TABLE "doc"."months" PARTITION ("month" = 1)')).code, undefined)
    assert.equal((await restore('TABLE "doc"."months" PARTITION ("month" = 1)')).code, 4093)
  })

  test('what a snapshot does not have whole is refused', async () => {
    const [snapshot] = fixture.standIns.database.bucket('b').folders.get('x') ?? assert.fail()
    Object.assign(snapshot ?? {}, { state: 'PARTIAL', failures: ["SnapshotShardFailure{shardId=[doc.readings][0], reason='gone'}"] })
    assert.match(
      (await restore('TABLES')).message ?? '',
      /^SnapshotRestoreException\[\[r:s\] index \[doc\.readings\] wasn't fully snapshotted/,
    )
    assert.equal((await restore('TABLE "doc"."months"')).code, undefined)
    Object.assign(snapshot ?? {}, { state: 'FAILED' })
    assert.match((await restore('TABLES')).message ?? '', /unsupported snapshot state \[FAILED\]/)
    assert.match((await sql('RESTORE SNAPSHOT r.other TABLES WITH (wait_for_completion = false)')).message ?? '', /snapshot does not exist/)
  })

  test('a restore is answered with OK although no node takes a shard', async () => {
    database().restoring.unallocated = 1
    assert.equal((await restore('TABLE "doc"."readings"')).code, undefined)
    assert.deepEqual(await shards(), [
      ['readings', 'STARTED', 3],
      ['readings', 'UNASSIGNED', 1],
    ])
    const lost = "SELECT id, recovery['type'] FROM sys.shards WHERE routing_state != 'STARTED' AND routing_state != 'RELOCATING'"
    assert.deepEqual((await sql(lost)).rows, [[3, null]])
    assert.deepEqual((await sql('SELECT state FROM sys.snapshot_restore')).rows, [])
  })

  test('a read-only repository needs no right to write', async () => {
    fixture.standIns.database.bucket('other').fault = 'read-only'
    assert.equal((await sql("CREATE REPOSITORY w TYPE s3 WITH (bucket = 'other')")).code, 5000)
    assert.equal((await sql("CREATE REPOSITORY w TYPE s3 WITH (bucket = 'other', readonly = true)")).code, undefined)
  })
})
