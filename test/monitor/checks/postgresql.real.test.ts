import assert from 'node:assert/strict'
import { test } from 'node:test'
import { postgresql } from '../../../monitor/checks/postgresql.ts'
import { until } from '../../cluster/index.ts'
import { postgresqlPassword, postgresqlSession, startPostgresql } from '../../peers/postgresql.ts'
import { assertResult, measured, run, runUntil, secret } from './run.ts'

test('postgresql check of a real PostgreSQL', async (t) => {
  const peer = await startPostgresql(t, { settings: ['max_connections=10', 'superuser_reserved_connections=3'] })
  const given = { host: '127.0.0.1', port: peer.port, username: 'postgres', passwordFile: secret(postgresqlPassword) }

  await t.test('is up, and measures connections', async () => {
    // The server lets go of a connection a moment after its client, such as that which asked whether it is ready.
    const attempt = async () => {
      const result = await run(postgresql, given)
      return measured(result, 'skerry_postgresql_connections') === 1 ? result : { ...result, state: 'down' as const }
    }
    const result = await runUntil('up', attempt)
    assertResult(result, 'up', undefined, /^Primary, 1 of 10 connections in use/)
    assert.equal(measured(result, 'skerry_postgresql_max_connections'), 10)
    assert.equal(measured(result, 'skerry_postgresql_info', { role: 'primary' }), 1)
  })
  await t.test('leaves no connection open', async () => {
    const result = await run(postgresql, given)
    assert.ok((measured(result, 'skerry_postgresql_connections') as number) <= 2)
  })
  await t.test('is down with a wrong password, and does not tell it', async () => {
    const result = await run(postgresql, { ...given, passwordFile: secret('storm tide') })
    assertResult(result, 'down', 'unauthorized', /password authentication failed.*Check the password of role postgres/)
    assert.doesNotMatch(result.detail, /storm tide/)
  })
  await t.test('is down when the database does not exist', async () => {
    assertResult(await run(postgresql, { ...given, database: 'atlantis' }), 'down', 'missing', /atlantis/)
  })
  await t.test('is down when the query fails', async () => {
    assertResult(await run(postgresql, { ...given, query: 'SELECT * FROM cargo' }), 'down', 'failing', /cargo/)
  })
  await t.test('is down when the query would write', async () => {
    assertResult(await run(postgresql, { ...given, query: 'CREATE TABLE cargo (id int)' }), 'down', 'failing', /read-only/)
  })
  await t.test('is down when TLS is wanted and not offered', async () => {
    assertResult(await run(postgresql, { ...given, tls: true }), 'down', 'tls', /offers no TLS/)
  })
  await t.test('is degraded without the replicas that it should have', async () => {
    const result = await run(postgresql, { ...given, minReplicas: 1 })
    assertResult(result, 'degraded', 'partly_unavailable', /Only 0 of 1 replicas stream/)
    assert.equal(measured(result, 'skerry_postgresql_replicas'), 0)
  })
  await t.test('is degraded when connections run out, and down when there are none left', async () => {
    const first = await postgresqlSession(peer.port)
    const count = "SELECT count(*)::int AS sessions FROM pg_stat_activity WHERE backend_type = 'client backend'"
    await until('the sessions of before are over', async () => (await first.query(count)).rows[0].sessions === 1)
    const sessions = [first, ...(await Promise.all(Array.from({ length: 7 }, () => postgresqlSession(peer.port))))]
    const degraded = await run(postgresql, given)
    assertResult(degraded, 'degraded', 'limit', /90 % of the connections are in use \(9 of 10\)/)
    await until('that of the check is over', async () => (await first.query(count)).rows[0].sessions === 8)
    sessions.push(await postgresqlSession(peer.port), await postgresqlSession(peer.port))
    assertResult(await run(postgresql, given), 'down', 'limit', /too many clients/)
    await Promise.all(sessions.map((session) => session.end()))
  })
  await t.test('is down when the server hangs', async () => {
    await peer.hang()
    assertResult(await run(postgresql, given, { timeoutMs: 300 }), 'down', 'timeout', /hangs/)
    peer.wake()
  })
  await t.test('is down when the server is stopped', async () => {
    await peer.stop()
    assertResult(await run(postgresql, given), 'down', 'connection_refused', /Nothing listens on that port/)
  })
})
