import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { type Fixture, type Subject, startFixture } from './fixture.ts'

describe('the database stand-in', () => {
  let fixture: Fixture
  let subject: Subject
  let password: string
  before(async () => {
    fixture = await startFixture()
    subject = await fixture.created(await fixture.project(), 'gauge')
    const secret = await fixture.until('Secret', `${subject.namespace}/user-system-gauge`, () => true)
    password = Buffer.from(secret.data.password, 'base64').toString()
  })
  after(() => fixture.stop())

  async function sql(stmt: string, args?: unknown[], login = `system:${password}`) {
    const answer = await fetch(fixture.standIns.database.urlOf(subject.namespace, 'gauge'), {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Basic ${Buffer.from(login).toString('base64')}` },
      body: JSON.stringify({ stmt, ...(args && { args }) }),
    })
    const text = await answer.text()
    return {
      status: answer.status,
      text,
      body: answer.headers.get('content-type')?.startsWith('application/json') ? JSON.parse(text) : undefined,
    }
  }

  test('answers as CrateDB does', async () => {
    const { status, body } = await sql('SELECT 1')
    assert.equal(status, 200)
    assert.deepEqual({ ...body, duration: typeof body.duration }, { cols: ['1'], rows: [[1]], rowcount: 1, duration: 'number' })
  })

  test('lets in the user system with the password of its Secret, and nobody else', async () => {
    const { status, text } = await sql('SELECT 1', undefined, 'system:wrong')
    assert.equal(status, 401)
    assert.equal(text, 'password authentication failed for user "system"')
    assert.equal((await sql('SELECT 1', undefined, 'crate:')).status, 401)
    assert.equal((await sql('SELECT 1', undefined, 'harbourmaster:first-password')).status, 200)
  })

  test('tells its nodes and their health', async () => {
    const nodes = await sql("SELECT name, version['number'] AS version FROM sys.nodes ORDER BY name")
    assert.deepEqual(nodes.body.cols, ['name', 'version'])
    assert.deepEqual(nodes.body.rows, [
      ['data-hot-0', '5.10.1'],
      ['data-hot-1', '5.10.1'],
    ])
    assert.deepEqual((await sql('SELECT COUNT(*) FROM sys.nodes')).body.rows, [[2]])
    assert.deepEqual((await sql("SELECT count(*) FROM sys.nodes WHERE name = ANY(['data-hot-1', 'data-hot-2'])")).body.rows, [[1]])
    assert.deepEqual((await sql('SELECT max(severity) FROM sys.health')).body.rows, [[1]])
    fixture.standIns.database.setHealth(subject.namespace, 'gauge', 'RED')
    assert.deepEqual((await sql('SELECT health, severity FROM sys.health')).body.rows, [['RED', 3]])
    await subject.until(({ status }) => status.crateDBStatus.health === 'RED')
    fixture.standIns.database.setHealth(subject.namespace, 'gauge', undefined)
    await subject.until(({ status }) => status.crateDBStatus.health === 'GREEN')
  })

  test('keeps global settings until they are reset', async () => {
    const enable = async () => (await sql("SELECT settings['cluster']['routing']['allocation']['enable'] FROM sys.cluster")).body.rows[0][0]
    assert.equal(await enable(), 'all')
    assert.equal((await sql("SET GLOBAL PERSISTENT cluster.routing.allocation.enable = 'primaries'")).body.rowcount, 1)
    assert.equal(await enable(), 'primaries')
    assert.equal(
      fixture.standIns.database.state(subject.namespace, 'gauge').settings.persistent.get('cluster.routing.allocation.enable'),
      'primaries',
    )
    await sql('RESET GLOBAL "cluster.routing.allocation.enable"')
    assert.equal(await enable(), 'all')
    await sql('SET GLOBAL TRANSIENT "cluster.routing.allocation.enable" = ?', ['none'])
    assert.equal(await enable(), 'none')
    await sql('RESET GLOBAL cluster.routing')
    assert.equal(await enable(), 'all')
  })

  test('makes users, changes and drops them', async () => {
    assert.equal((await sql('CREATE USER "reader" WITH (password = $1)', ['first'])).status, 200)
    const again = await sql('CREATE USER "reader" WITH (password = ?)', ['x'])
    assert.deepEqual(
      [again.status, again.body.error],
      [409, { message: "RoleAlreadyExistsException[Role 'reader' already exists]", code: 4099 }],
    )
    assert.equal((await sql('SELECT 1', undefined, 'reader:first')).status, 200)
    await sql('ALTER USER "reader" SET (password = ?)', ['second'])
    assert.equal((await sql('SELECT 1', undefined, 'reader:second')).status, 200)
    assert.equal((await sql('DROP USER reader')).status, 200)
    const unknown = await sql('ALTER USER reader SET (password = ?)', ['x'])
    assert.deepEqual([unknown.status, unknown.body.error.code], [404, 40410])
  })

  test('grants, denies and revokes', async () => {
    await sql('CREATE USER writer')
    await sql('GRANT DQL, DML ON SCHEMA doc TO writer')
    await sql('DENY DDL TO writer')
    const privileges = async () => (await sql("SELECT state, type, class, ident FROM sys.privileges WHERE grantee = 'writer'")).body.rows
    assert.deepEqual(await privileges(), [
      ['GRANT', 'DQL', 'SCHEMA', 'doc'],
      ['GRANT', 'DML', 'SCHEMA', 'doc'],
      ['DENY', 'DDL', 'CLUSTER', null],
    ])
    await sql('REVOKE DML ON SCHEMA doc FROM writer')
    assert.equal((await privileges()).length, 2)
    await sql('GRANT ALL PRIVILEGES TO writer')
    assert.deepEqual((await privileges()).filter(([, , level]: string[]) => level === 'CLUSTER').length, 4)
  })

  test('refuses what it does not understand, with the code of CrateDB', async () => {
    const { status, body } = await sql('EXPLODE everything')
    assert.deepEqual([status, body.error.code], [400, 4000])
    assert.match(body.error.message, /^SQLParseException\[/)
    const unknown = await sql('SELECT * FROM doc.nothing')
    assert.deepEqual(
      [unknown.status, unknown.body.error],
      [404, { message: "RelationUnknown[Relation 'doc.nothing' unknown]", code: 4041 }],
    )
  })

  test('remembers what it was asked', () => {
    const { statements } = fixture.standIns.database.state(subject.namespace, 'gauge')
    assert.ok(statements.some(({ stmt, user }) => stmt === 'SELECT 1' && user === 'harbourmaster'))
  })

  test('hangs up where no node is up', async () => {
    await subject.run(() => subject.editGroup((group) => Object.assign(group, { replicas: 0 })))
    await assert.rejects(sql('SELECT 1'), /fetch failed/)
  })
})
