import assert from 'node:assert/strict'
import { after, afterEach, before, describe, test } from 'node:test'
import { until } from '../until.ts'
import { type Fixture, type Subject, startFixture } from './fixture.ts'

/* What the stand-in answers about repositories and snapshots: that of cratedb-facts.md. */

describe('repositories and snapshots of the database stand-in', () => {
  let fixture: Fixture
  let subject: Subject
  let login: string
  before(async () => {
    fixture = await startFixture()
    subject = await fixture.created(await fixture.project(), 'gauge')
    const secret = await fixture.until('Secret', `${subject.namespace}/user-system-gauge`, () => true)
    login = `system:${Buffer.from(secret.data.password, 'base64').toString()}`
    database().tables.set('doc.readings', { rows: 100, shards: 4 })
  })
  after(() => fixture.stop())
  afterEach(() => {
    const { registered, running, behaviour } = database()
    registered.clear()
    running.length = 0
    Object.assign(behaviour, { ms: 0, held: false, ends: 'SUCCESS', failures: [], reason: null })
    const bucket = fixture.standIns.database.bucket('b')
    bucket.fault = undefined
    bucket.folders.clear()
  })

  const database = () => fixture.standIns.database.state(subject.namespace, 'gauge')

  async function sql(stmt: string, args: unknown[] = [], as = login) {
    const answer = await fetch(fixture.standIns.database.urlOf(subject.namespace, 'gauge'), {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Basic ${Buffer.from(as).toString('base64')}` },
      body: JSON.stringify({ stmt, args }),
    })
    // biome-ignore lint/suspicious/noExplicitAny: as it comes
    const { rows, error } = (await answer.json()) as any
    return { rows, code: error?.code, message: error?.message as string | undefined }
  }

  const create = 'CREATE REPOSITORY r TYPE s3 WITH (bucket = ?, base_path = ?, access_key = ?, secret_key = ?)'
  const place = ['b', 'x/y', 'AKIAEXAMPLE', 'a-secret-key']
  const snapshot = (name: string) => `CREATE SNAPSHOT r.${name} ALL WITH (wait_for_completion = false, ignore_unavailable = false)`
  const states = async () => (await sql('SELECT name, state, failures, reason, total_shards FROM sys.snapshots ORDER BY name')).rows

  test('only a user with DDL on the cluster has repositories and snapshots', async () => {
    await sql('CREATE USER reader WITH (password = ?)', ['password of reader'])
    const as = 'reader:password of reader'
    for (const stmt of [create, 'DROP REPOSITORY r', snapshot('one'), 'DROP SNAPSHOT r.one']) {
      const { code, message } = await sql(stmt, stmt === create ? place : [], as)
      assert.deepEqual([code, message], [4011, "MissingPrivilegeException[Missing 'DDL' privilege for user 'reader']"], stmt)
    }
    assert.deepEqual((await sql('SELECT name FROM sys.repositories', [], as)).rows, [])
  })

  test('a repository is created once', async () => {
    assert.equal((await sql(create, place)).code, undefined)
    const again = await sql(create, place)
    assert.deepEqual([again.code, again.message], [4095, "RepositoryAlreadyExistsException[Repository 'r' already exists]"])
  })

  test('keys that are arguments are neither in sys.repositories nor in the logs of jobs', async () => {
    await sql(create, place)
    const shown = await sql('SELECT settings FROM sys.repositories')
    assert.deepEqual(shown.rows, [[{ bucket: 'b', base_path: 'x/y', access_key: '[xxxxx]', secret_key: '[xxxxx]' }]])
    const log = JSON.stringify((await sql('SELECT stmt, error FROM sys.jobs_log')).rows)
    assert.ok(log.includes('access_key = ?') && !log.includes('AKIA') && !log.includes('a-secret-key'), log)
    await sql(snapshot('one'))
    // What the operator asks: the statement has ended, whatever the snapshot does.
    assert.deepEqual((await sql("SELECT stmt FROM sys.jobs WHERE stmt LIKE '%CREATE SNAPSHOT%' AND stmt NOT LIKE '%sys.jobs%'")).rows, [])
  })

  test('a setting that the release does not know is refused', async () => {
    const { code, message } = await sql("CREATE REPOSITORY r TYPE s3 WITH (bucket = 'b', region = 'eu-north-1')")
    assert.deepEqual([code, message], [4000, "SQLParseException[Setting 'region' is not supported]"])
    assert.equal((await sql("CREATE REPOSITORY r TYPE s3 WITH (bucket = 'b', use_path_style_access = true)")).code, undefined)
  })

  test('a repository that cannot be verified is gone again', async () => {
    fixture.standIns.database.bucket('b').fault = 'denied'
    database().verificationHeld = true
    const creating = sql(create, place)
    await until(
      'the repository is being verified',
      async () => (await sql("SELECT id FROM sys.jobs WHERE stmt LIKE 'CREATE REPOSITORY r %'")).rows.length === 1,
    )
    assert.deepEqual((await sql('SELECT name FROM sys.repositories')).rows, [['r']])
    database().verificationHeld = false
    const { code, message = '' } = await creating
    assert.equal(code, 5000)
    assert.match(
      message,
      /^RepositoryVerificationException\[\[r\] Unable to verify the repository, \[r\] is not accessible on master node: /,
    )
    assert.match(message, /AKIAEXAMPLE/, 'a store repeats what it was sent')
    assert.deepEqual((await sql('SELECT name FROM sys.repositories')).rows, [])
    const log = await sql("SELECT error FROM sys.jobs_log WHERE stmt LIKE 'CREATE REPOSITORY r %' ORDER BY ended DESC LIMIT 1")
    assert.deepEqual(log.rows, [[message]])
  })

  test('a snapshot begins, goes on and ends in one of three states', async () => {
    const { behaviour } = database()
    await sql(create, place)
    behaviour.held = true
    assert.equal((await sql(snapshot('one'))).code, undefined)
    assert.deepEqual(await states(), [['one', 'IN_PROGRESS', [], null, 4]])
    const [[started, finished]] = (await sql('SELECT started, finished FROM sys.snapshots')).rows
    assert.ok(started > 0)
    assert.equal(finished, 0)
    behaviour.held = false
    assert.deepEqual(await states(), [['one', 'SUCCESS', [], null, 4]])
    const failure = "SnapshotShardFailure{shardId=[readings][0], reason='aborted', nodeId='n'}"
    Object.assign(behaviour, { ends: 'PARTIAL', failures: [failure] })
    await sql(snapshot('three'))
    await states()
    Object.assign(behaviour, { ends: 'FAILED', failures: [], reason: 'no space left' })
    await sql(snapshot('two'))
    assert.deepEqual((await states()).slice(1), [
      ['three', 'PARTIAL', [failure], null, 4],
      ['two', 'FAILED', [], 'no space left', 4],
    ])
    assert.equal((await sql('SELECT shards_done FROM sys.snapshots')).code, 4043)
  })

  test('the name of a snapshot is taken once', async () => {
    await sql(create, place)
    database().behaviour.held = true
    await sql(snapshot('one'))
    const running = await sql(snapshot('one'))
    assert.equal(running.code, 4096)
    assert.match(running.message ?? '', /^InvalidSnapshotNameException\[\[r:one\] .*snapshot with the same name is already in-progress\]$/)
    assert.equal((await sql(snapshot('two'))).code, undefined, 'since 5.2 several run at once')
    database().behaviour.held = false
    const ended = await sql(snapshot('one'))
    assert.match(ended.message ?? '', /snapshot with the same name already exists\]$/)
  })

  test('a snapshot that is dropped is gone, also while it is being taken', async () => {
    await sql(create, place)
    await sql(snapshot('one'))
    database().behaviour.held = true
    await sql(snapshot('two'))
    for (const name of ['one', 'two']) assert.equal((await sql(`DROP SNAPSHOT r.${name}`)).code, undefined)
    assert.deepEqual(await states(), [])
    const gone = await sql('DROP SNAPSHOT r.one')
    assert.deepEqual([gone.code, gone.message], [4048, 'SnapshotMissingException[[r:one] is missing]'])
    database().behaviour.held = false
    for (const name of ['a1', 'a2', 'b']) await sql(snapshot(name))
    await sql('DROP SNAPSHOT r."a*"')
    assert.deepEqual(
      (await states()).map(([name]: string[]) => name),
      ['b'],
    )
  })

  test('a repository in use stays, and what is in the bucket outlives it', async () => {
    await sql(create, place)
    database().behaviour.held = true
    await sql(snapshot('one'))
    const refused = await sql('DROP REPOSITORY r')
    assert.deepEqual(
      [refused.code, refused.message],
      [5000, 'IllegalStateException[trying to modify or unregister repository that is currently used]'],
    )
    database().behaviour.held = false
    assert.equal((await sql('DROP REPOSITORY r')).code, undefined)
    assert.deepEqual(await states(), [])
    assert.equal((await sql('DROP REPOSITORY r')).code, 4047)
    await sql(create, place)
    assert.deepEqual(await states(), [['one', 'SUCCESS', [], null, 4]])
  })

  test('a database without all its primaries takes no snapshot', async () => {
    await sql(create, place)
    fixture.standIns.database.setHealth(subject.namespace, 'gauge', 'RED')
    const { code, message } = await sql(snapshot('one'))
    assert.equal(code, 5000)
    assert.match(message ?? '', /^SnapshotException\[.*Indices don't have primary shards/)
    fixture.standIns.database.setHealth(subject.namespace, 'gauge', undefined)
  })

  test('a repository that is read only takes no snapshot', async () => {
    await sql("CREATE REPOSITORY r TYPE s3 WITH (bucket = 'b', readonly = true)")
    const { message } = await sql(snapshot('one'))
    assert.equal(message, 'RepositoryException[[r] cannot create snapshot in a readonly repository]')
  })

  test('a bucket that cannot be read looks empty', async () => {
    await sql(create, place)
    await sql(snapshot('one'))
    await states()
    fixture.standIns.database.bucket('b').fault = 'unreachable'
    assert.deepEqual(await states(), [])
    assert.equal((await sql(snapshot('one'))).code, 5000)
  })
})
