import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import { type TestContext, test } from 'node:test'
import { mysql } from '../../../monitor/checks/mysql.ts'
import { assertResult, measured, run, secret } from './run.ts'
import { listen } from './servers.ts'

/** A packet: length in 3 bytes, sequence number, payload (MySQL protocol documentation, "Protocol::Packet"). */
const packet = (sequence: number, ...parts: (string | Buffer)[]): Buffer => {
  const payload = Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part, 'latin1') : part)))
  const head = Buffer.alloc(4)
  head.writeUIntLE(payload.length, 0, 3)
  head[3] = sequence
  return Buffer.concat([head, payload])
}

/** Protocol::HandshakeV10 of a MySQL 8.4 without TLS that authenticates by caching_sha2_password, with the capabilities up to PLUGIN_AUTH. */
const greeting = packet(
  0,
  '\x0a8.4.7\0',
  Buffer.alloc(4, 7),
  'scramble\0',
  Buffer.from([0xff, 0xf7, 0xff, 2, 0, 0x0f, 0, 21]),
  Buffer.alloc(10),
  'scramble-of-\0',
  'caching_sha2_password\0',
)
const ok = (sequence: number) => packet(sequence, Buffer.from([0, 0, 0, 2, 0, 0, 0]))
const given = (port: number) => ({ host: '127.0.0.1', port, username: 'monitor', passwordFile: secret('storm tide') })

/** A server that greets, and then answers each packet of the client with the next of these. */
function greeter(t: TestContext, ...replies: Buffer[]): Promise<{ port: number; heard: Buffer[] }> {
  const heard: Buffer[] = []
  const speak = (socket: Socket) => {
    socket.write(greeting)
    let next = 0
    socket.on('data', (bytes: Buffer) => {
      heard.push(bytes)
      const reply = replies[next++]
      if (reply) socket.write(reply)
    })
  }
  return listen(t, speak).then((port) => ({ port, heard }))
}

const accepted = Buffer.concat([packet(2, '\x01\x03'), ok(3)])
for (const { name, replies, reason, detail } of [
  {
    name: 'asks for the password in plain text',
    replies: [packet(2, '\xfemysql_clear_password\0')],
    reason: 'unauthorized',
    detail: /a way to log in/,
  },
  { name: 'asks for an unknown way to log in', replies: [packet(2, '\xfetoString\0x')], reason: 'unauthorized', detail: /a way to log in/ },
  {
    name: 'asks for a file',
    replies: [accepted, packet(1, '\xfb/etc/passwd'), ok(3)],
    reason: 'protocol',
    detail: /does not answer like MySQL/,
  },
  { name: 'sends packets out of order', replies: [packet(9, '\x01\x03')], reason: 'protocol', detail: /does not answer like MySQL/ },
  {
    name: 'sends a million packets out of order',
    replies: [Buffer.alloc(2 ** 20, packet(9, ''))],
    reason: 'protocol',
    detail: /like MySQL/,
  },
  {
    name: 'refuses with an unknown number',
    replies: [packet(2, '\xff\x0f\x27#HY000storm')],
    reason: 'failing',
    detail: /says: storm\. See/,
  },
  { name: 'sends an empty packet', replies: [accepted, packet(1, '')], reason: 'protocol', detail: /does not answer like MySQL/ },
  { name: 'announces columns without an end', replies: [accepted, packet(1, '\xfe\xff\xff\xff\xff\xff\xff\xff\x0f')], reason: 'timeout' },
  { name: 'sends a column that is cut off', replies: [accepted, Buffer.concat([packet(1, '\x01'), packet(2, '\x03def\xfd\xff\xff')])] },
])
  test(`mysql check of a server that ${name} is down, sends no password and prints nothing`, async (t) => {
    const printed: unknown[] = []
    t.mock.method(console, 'error', (...words: unknown[]) => void printed.push(words))
    const { port, heard } = await greeter(t, ...replies)
    const result = await run(mysql, given(port), { timeoutMs: reason === 'timeout' ? 300 : 5000 })
    assert.equal(result.state, 'down')
    if (reason !== undefined) assertResult(result, 'down', reason, detail)
    assert.ok(!Buffer.concat(heard).includes('storm tide'))
    assert.ok(!Buffer.concat(heard).includes('root:'))
    assert.deepEqual(printed, [])
  })

type Row = Record<string, string | null>

/** Protocol::LengthEncodedString, up to 250 bytes; NULL in a row. */
const text = (value: string | null) => (value === null ? '\xfb' : String.fromCharCode(value.length) + value)
const end = '\xfe\0\0\x02\0'

/** Protocol::ColumnDefinition41 of a VARCHAR. */
const column = (name: string) => `${['def', '', '', '', name, name].map(text).join('')}\x0c\x21\0\x5a\0\0\0\xfd\0\0\0\0\0`

/** The text result set of these rows, which have the same columns. */
function resultSet(rows: readonly Row[]): Buffer {
  const names = Object.keys(rows[0] as Row)
  const payloads = [
    String.fromCharCode(names.length),
    ...names.map(column),
    end,
    ...rows.map((row) => Object.values(row).map(text).join('')),
    end,
  ]
  return Buffer.concat(payloads.map((payload, index) => packet(index + 1, payload)))
}

/** A server with the documented bytes in place of MySQL 8.4, which Debian does not have. It knows SHOW REPLICA STATUS, with these rows. */
function startMysql(t: TestContext, replication: readonly Row[]): Promise<number> {
  const answers: [string, Buffer][] = [
    ['SELECT VERSION', resultSet([{ version: '8.4.7', max_connections: '151' }])],
    ['SHOW GLOBAL STATUS', resultSet([{ Variable_name: 'Threads_connected', Value: '12' }])],
    ['SHOW REPLICA STATUS', resultSet(replication)],
    ['SELECT 1', resultSet([{ 1: '1' }])],
  ]
  return listen(t, (socket) => {
    socket.write(greeting)
    socket.once('data', () => {
      socket.write(accepted)
      // COM_QUERY is 3; after its packet's head comes the statement.
      socket.on('data', (bytes: Buffer) => {
        const sql = bytes.toString('latin1', 5)
        if (bytes[4] === 3) socket.write(answers.find(([statement]) => sql.startsWith(statement))?.[1] ?? ok(1))
      })
    })
  })
}

const running = {
  Replica_IO_Running: 'Yes',
  Replica_SQL_Running: 'Yes',
  Seconds_Behind_Source: '0',
  Channel_Name: '',
  Last_Error: '',
  Last_IO_Error: '',
}
for (const { name, rows, state = 'degraded', reason, detail } of [
  {
    name: 'is up while two channels run',
    rows: [running, { ...running, Channel_Name: 'east' }],
    state: 'up',
    detail: /^Replica, 12 of 151/,
  },
  {
    name: 'is degraded while one lags',
    rows: [{ ...running, Seconds_Behind_Source: '90' }],
    reason: 'limit',
    detail: /Replication lags 90 s behind/,
  },
  {
    name: 'is degraded when one has stopped',
    rows: [
      running,
      { ...running, Channel_Name: 'east', Replica_SQL_Running: 'No', Seconds_Behind_Source: null, Last_Error: 'Duplicate entry' },
    ],
    reason: 'partly_unavailable',
    detail: /Replication of east has stopped\. The server says: Duplicate entry; mend that, then START REPLICA/,
  },
] as const)
  test(`mysql check, with a server that answers with the documented bytes in place of MySQL 8.4, ${name}`, async (t) => {
    const result = await run(mysql, given(await startMysql(t, rows)))
    assertResult(result, state, reason, detail)
    assert.equal(measured(result, 'skerry_mysql_info', { version: '8.4.7', role: 'replica' }), 1)
    assert.equal(measured(result, 'skerry_mysql_replication_lag_seconds', { channel: '' }), Number(rows[0].Seconds_Behind_Source))
  })
