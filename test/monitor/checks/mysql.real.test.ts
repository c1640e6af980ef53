import assert from 'node:assert/strict'
import { test } from 'node:test'
import { mysql } from '../../../monitor/checks/mysql.ts'
import { until } from '../../cluster/index.ts'
import { createCertificate } from '../../peers/certificates.ts'
import { mariadbPassword, mariadbSession, startMariadb } from '../../peers/mariadb.ts'
import { assertResult, measured, run, secret } from './run.ts'

test('mysql check of a real MariaDB', async (t) => {
  const peer = await startMariadb(t, { settings: ['max-connections=10'] })
  const given = { host: '127.0.0.1', port: peer.port, username: 'harbour', passwordFile: secret(mariadbPassword) }
  const watcher = await mariadbSession(peer.port)
  t.after(() => watcher.end())
  const status = async (name: string) => {
    const [rows] = await watcher.query(`SHOW GLOBAL STATUS LIKE '${name}'`)
    return Number((rows as { Value: string }[])[0]?.Value)
  }
  const alone = () => until('the other sessions are over', async () => (await status('Threads_connected')) === 1)

  await t.test('is up, and measures connections', async () => {
    await alone()
    const result = await run(mysql, given)
    assertResult(result, 'up', undefined, /^Primary, 2 of 10 connections in use\.$/)
    assert.equal(measured(result, 'skerry_mysql_max_connections'), 10)
    assert.equal(measured(result, 'skerry_mysql_connections'), 2)
    assert.equal(measured(result, 'skerry_mysql_info', { role: 'primary' }), 1)
    const { version } = result.measurements?.find(({ name }) => name === 'skerry_mysql_info')?.labels ?? {}
    assert.match(version ?? '', /^\d+\.\d+\.\d+/)
  })
  await t.test('takes its leave: the server counts no aborted client', async () => {
    await alone()
    const before = await status('Aborted_clients')
    await run(mysql, given)
    await run(mysql, { ...given, query: 'SELECT * FROM quay.cargo' })
    await alone()
    assert.equal(await status('Aborted_clients'), before)
  })
  await t.test('is down with a wrong password, and does not tell it', async () => {
    const result = await run(mysql, { ...given, passwordFile: secret('storm tide') })
    assertResult(result, 'down', 'unauthorized', /Access denied for user.*Check the password of user harbour/)
    assert.doesNotMatch(result.detail, /storm tide/)
  })
  await t.test('is down without a password where one is needed', async () => {
    const { passwordFile: _, ...without } = given
    assertResult(await run(mysql, without), 'down', 'unauthorized', /Give the check a passwordFile/)
  })
  await t.test('is down when the database does not exist', async () => {
    assertResult(await run(mysql, { ...given, database: 'atlantis' }), 'down', 'missing', /Check that atlantis is right/)
  })
  await t.test('is down when the query fails', async () => {
    assertResult(await run(mysql, { ...given, query: 'SELECT * FROM mysql.cargo' }), 'down', 'failing', /cargo/)
  })
  for (const query of ['CREATE DATABASE cargo', 'CREATE TABLE cargo (id int)', "SET GLOBAL init_connect = ''; SELECT 1"])
    await t.test(`is down when the query would be ${query}`, async () => {
      assertResult(await run(mysql, { ...given, query, database: 'mysql' }), 'down', 'failing')
      const [rows] = await watcher.query("SHOW DATABASES LIKE 'cargo'")
      assert.deepEqual(rows, [])
    })
  await t.test('is down when TLS is wanted and not offered', async () => {
    assertResult(await run(mysql, { ...given, tls: true }), 'down', 'tls', /offers no TLS/)
  })
  await t.test('does not judge replication that its user may not see', async () => {
    await watcher.query("CREATE USER deckhand@127.0.0.1 IDENTIFIED BY 'rope'")
    const result = await run(mysql, { ...given, username: 'deckhand', passwordFile: secret('rope') })
    assertResult(result, 'up', undefined, /Replication unseen \(no privilege REPLICA MONITOR\)/)
    assert.equal(measured(result, 'skerry_mysql_info', { role: 'unknown' }), 1)
    const shut = { ...given, username: 'deckhand', passwordFile: secret('rope'), database: 'mysql' }
    assertResult(await run(mysql, shut), 'down', 'unauthorized', /grant user deckhand access/)
  })
  await t.test('is degraded when connections run out, and down when there are none left', async () => {
    await alone()
    const sessions = await Promise.all(Array.from({ length: 7 }, () => mariadbSession(peer.port)))
    const degraded = await run(mysql, given)
    assertResult(degraded, 'degraded', 'limit', /90 % of the connections are in use \(9 of 10\)/)
    await until('that of the check is over', async () => (await status('Threads_connected')) === 8)
    // The server keeps one more for an administrator, and harbour is one.
    sessions.push(...(await Promise.all(Array.from({ length: 3 }, () => mariadbSession(peer.port)))))
    assertResult(await run(mysql, given), 'down', 'limit', /Too many connections/)
    await Promise.all(sessions.map((session) => session.end()))
  })
  await t.test('is down when the server hangs', async () => {
    await peer.hang()
    assertResult(await run(mysql, given, { timeoutMs: 300 }), 'down', 'timeout', /hangs/)
    peer.wake()
  })
  await t.test('is down when the server is stopped', async () => {
    await peer.stop()
    assertResult(await run(mysql, given), 'down', 'connection_refused', /Nothing listens on that port/)
  })
})

test('mysql check of a real MariaDB that replicates', async (t) => {
  const source = await startMariadb(t, { settings: ['server-id=1', 'log-bin=harbour'] })
  // Otherwise, harbour is made a second time on the replica, and gets its privileges a moment later.
  const there = await mariadbSession(source.port)
  await there.query('RESET MASTER')
  await there.end()
  const replica = await startMariadb(t, { settings: ['server-id=2'] })
  const given = { host: '127.0.0.1', port: replica.port, username: 'harbour', passwordFile: secret(mariadbPassword) }
  const session = await mariadbSession(replica.port)
  t.after(() => session.end())
  const change = `MASTER_HOST='127.0.0.1', MASTER_PORT=${source.port}, MASTER_USER='harbour', MASTER_PASSWORD='${mariadbPassword}'`
  await session.query(`CHANGE MASTER TO ${change}, MASTER_USE_GTID=slave_pos, MASTER_CONNECT_RETRY=1`)
  await session.query('START SLAVE')

  await t.test('is up while the replica keeps up, and measures its lag', async () => {
    const result = await until('the replica has caught up', async () => {
      const found = await run(mysql, given)
      return found.state === 'up' && measured(found, 'skerry_mysql_replication_lag_seconds', { channel: '' }) === 0 && found
    })
    assertResult(result, 'up', undefined, /^Replica, /)
    assert.equal(measured(result, 'skerry_mysql_replication_lag_seconds', { channel: '' }), 0)
    assert.equal(measured(result, 'skerry_mysql_info', { role: 'replica' }), 1)
  })
  await t.test('is degraded when the replica has lost its source', async () => {
    await source.stop()
    const result = await until('the replica notices', async () => {
      const found = await run(mysql, given)
      return found.state === 'degraded' && /no connection to its source/.test(found.detail) && found
    })
    assertResult(result, 'degraded', 'partly_unavailable')
  })
  await t.test('is degraded when replication has stopped', async () => {
    await session.query('STOP SLAVE')
    assertResult(await run(mysql, given), 'degraded', 'partly_unavailable', /has stopped\..*then START REPLICA/)
  })
})

test('mysql check of a real MariaDB with TLS verifies its certificate', async (t) => {
  const tls = await createCertificate({ name: 'db.example.com' })
  const peer = await startMariadb(t, { tls, settings: ['require-secure-transport=ON'] })
  const given = { host: '127.0.0.1', port: peer.port, username: 'harbour', passwordFile: secret(mariadbPassword) }
  const trusting = { ...given, tls: true, caFile: secret(tls.ca) }
  assertResult(await run(mysql, { ...trusting, serverName: 'db.example.com' }), 'up')
  assertResult(await run(mysql, trusting), 'up') // its certificate is for the address too
  assertResult(await run(mysql, { ...trusting, serverName: 'other.example.com' }), 'down', 'tls')
  assertResult(await run(mysql, { ...given, tls: true }), 'down', 'tls')
  assertResult(await run(mysql, given), 'down', 'unauthorized', /whether it must use TLS/)
})
