import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import { type TestContext, test } from 'node:test'
import { createSecureContext, TLSSocket } from 'node:tls'
import { type Document, deserialize, serialize } from 'bson'
import { mongodb } from '../../../monitor/checks/mongodb.ts'
import { createCertificate, type Signed } from '../../peers/certificates.ts'
import { assertResult, measured, run, secret } from './run.ts'
import { listen } from './servers.ts'

/** A message as the server sends it: header, flags, one section of kind 0 (mongodb/specifications, OP_MSG.md at commit 0a7a8b5). */
function opMsg(document: Uint8Array, { responseTo, flags = 0, kind = 0, opCode = 2013 }: Partial<Record<string, number>>): Buffer {
  const checksum = Buffer.alloc(flags & 1 ? 4 : 0, 0xee)
  const head = Buffer.alloc(21)
  head.writeInt32LE(head.length + document.length + checksum.length, 0)
  head.writeInt32LE(4711, 4)
  head.writeInt32LE(responseTo ?? 0, 8)
  head.writeInt32LE(opCode, 12)
  head.writeUInt32LE(flags, 16)
  head[20] = kind
  return Buffer.concat([head, document, checksum])
}

/** Answers to hello by role, with the fields and in the shape of the MongoDB manual 8.0, "hello". */
const common = { maxBsonObjectSize: 16_777_216, connectionId: 7, minWireVersion: 0, maxWireVersion: 25, readOnly: false, ok: 1 }
const hosts = ['quay-1:27017', 'quay-2:27017', 'quay-3:27017']
const inSet = { hosts, setName: 'rs0', setVersion: 3, me: 'quay-1:27017', localTime: new Date(0), ...common }
const answers = {
  standalone: { isWritablePrimary: true, ...common },
  primary: { isWritablePrimary: true, secondary: false, primary: 'quay-1:27017', ...inSet },
  secondary: { isWritablePrimary: false, secondary: true, primary: 'quay-2:27017', ...inSet },
  alone: { isWritablePrimary: false, secondary: true, ...inSet },
  arbiter: { isWritablePrimary: false, secondary: false, arbiterOnly: true, arbiters: ['quay-4:27017'], primary: 'quay-2:27017', ...inSet },
  recovering: { isWritablePrimary: false, secondary: false, primary: 'quay-2:27017', ...inSet },
  waiting: { isWritablePrimary: false, secondary: false, isreplicaset: true, info: 'Does not have a valid replica set config', ...common },
  mongos: { isWritablePrimary: true, msg: 'isdbgrid', ...common },
} satisfies Record<string, Document>

type Answering = { hello?: Document; buildInfo?: Document; flags?: number; tls?: Signed }

/** There is no MongoDB in Debian, so a server that answers hello and buildInfo with the documented bytes stands in for it. */
async function startServer(t: TestContext, { hello = answers.standalone, buildInfo, flags = 0, tls }: Answering = {}): Promise<number> {
  const speak = (socket: Socket) =>
    socket.on('data', (message: Buffer) => {
      const command = deserialize(message.subarray(21))
      assert.equal(message.readInt32LE(0), message.length)
      assert.equal(command.$db, 'admin')
      const answer = 'hello' in command ? hello : (buildInfo ?? { version: '8.0.4', gitVersion: 'bc35ab4', ok: 1 })
      socket.write(opMsg(serialize(answer), { responseTo: message.readInt32LE(4), flags }))
    })
  return listen(t, (socket) => {
    if (tls === undefined) return speak(socket)
    const secure = new TLSSocket(socket, { isServer: true, secureContext: createSecureContext(tls) })
    secure.on('error', () => {}) // the check may not trust it
    return speak(secure)
  })
}

const standIn = 'mongodb check, with a server that answers with the documented bytes in place of MongoDB,'

for (const { name, hello, given = {}, state = 'up', reason, detail, role, hasPrimary } of [
  { name: 'is up for a standalone server', hello: answers.standalone, detail: /^Standalone, version 8\.0\.4\.$/, role: 'standalone' },
  {
    name: 'is up for a primary',
    hello: answers.primary,
    given: { expectSet: 'rs0' },
    detail: /^Primary of replica set rs0 with 3 members/,
    role: 'primary',
    hasPrimary: 1,
  },
  {
    name: 'is up for a secondary that knows a primary',
    hello: answers.secondary,
    detail: /^Secondary of/,
    role: 'secondary',
    hasPrimary: 1,
  },
  {
    name: 'is up for an arbiter',
    hello: answers.arbiter,
    detail: /^Arbiter of replica set rs0 with 4 members/,
    role: 'arbiter',
    hasPrimary: 1,
  },
  { name: 'is up for mongos', hello: answers.mongos, detail: /^mongos, version/, role: 'mongos' },
  {
    name: 'is down while the set has no primary',
    hello: answers.alone,
    state: 'down',
    reason: 'unavailable',
    detail: /Replica set rs0 has no primary, and takes no writes\. Check that most of its 3 members run/,
    role: 'secondary',
    hasPrimary: 0,
  },
  {
    name: 'is up without a primary if it needs none',
    hello: answers.alone,
    given: { needsPrimary: false },
    detail: /^Secondary/,
    role: 'secondary',
    hasPrimary: 0,
  },
  {
    name: 'is down in another replica set',
    hello: answers.primary,
    given: { expectSet: 'rs1' },
    state: 'down',
    reason: 'unexpected_answer',
    detail: /belongs to replica set rs0, not to rs1/,
    role: 'primary',
  },
  {
    name: 'is down in no replica set where it should be in one',
    hello: answers.standalone,
    given: { expectSet: 'rs0' },
    state: 'down',
    reason: 'unexpected_answer',
    detail: /belongs to no replica set, not to rs0/,
    role: 'standalone',
  },
  {
    name: 'is down while the set is not initiated',
    hello: answers.waiting,
    given: { expectSet: 'rs0' },
    state: 'down',
    reason: 'unavailable',
    detail: /^The server waits to be added to a replica set\. Run rs\.initiate/,
    role: 'other',
  },
  {
    name: 'is down while the member recovers',
    hello: answers.recovering,
    state: 'down',
    reason: 'unavailable',
    detail: /neither primary nor secondary/,
    role: 'other',
    hasPrimary: 1,
  },
] as const)
  test(`${standIn} ${name}`, async (t) => {
    const result = await run(mongodb, { host: '127.0.0.1', port: await startServer(t, { hello }), ...given })
    assertResult(result, state, reason, detail)
    assert.equal(measured(result, 'skerry_mongodb_info', { role, version: '8.0.4' }), 1)
    assert.equal(measured(result, 'skerry_mongodb_max_wire_version'), 25)
    if (hasPrimary !== undefined) assert.equal(measured(result, 'skerry_mongodb_set_has_primary'), hasPrimary)
  })

test(`${standIn} is up where the version needs a login`, async (t) => {
  const buildInfo = { ok: 0, errmsg: 'Command buildInfo requires authentication', code: 13, codeName: 'Unauthorized' }
  const result = await run(mongodb, { host: '127.0.0.1', port: await startServer(t, { buildInfo }) })
  assertResult(result, 'up', undefined, /version unknown/)
  assert.equal(measured(result, 'skerry_mongodb_info', { version: 'unknown' }), 1)
})

test(`${standIn} reads past a checksum, and ignores flags that are optional`, async (t) => {
  for (const flags of [1, 1 << 20]) assertResult(await run(mongodb, { host: '127.0.0.1', port: await startServer(t, { flags }) }), 'up')
})

test(`${standIn} holds its certificate against serverName`, async (t) => {
  const tls = await createCertificate({ name: 'mongo.example.com' })
  const given = { host: '127.0.0.1', port: await startServer(t, { tls }), tls: true, caFile: secret(tls.ca) }
  assertResult(await run(mongodb, { ...given, serverName: 'mongo.example.com' }), 'up')
  assertResult(await run(mongodb, { ...given, serverName: 'other.example.com' }), 'down', 'tls')
})

for (const { name, hello, reason, detail } of [
  {
    name: 'is older than hello',
    hello: { ok: 0, errmsg: "no such command: 'hello'", code: 59, codeName: 'CommandNotFound' },
    reason: 'protocol',
    detail: /Update it/,
  },
  {
    name: 'refuses hello',
    hello: { ok: 0, errmsg: 'storm\ntide.', code: 8000 },
    reason: 'failing',
    detail: /refuses hello: storm tide\. See/,
  },
  { name: 'answers with another shape', hello: { ok: 1, isWritablePrimary: 'yes' }, reason: 'protocol', detail: /documented shape/ },
])
  test(`${standIn} is down when it ${name}`, async (t) => {
    assertResult(await run(mongodb, { host: '127.0.0.1', port: await startServer(t, { hello }) }), 'down', reason, detail)
  })

const document = serialize(answers.standalone)
const deep = (levels: number): Buffer => {
  // Each level is a document with one element of type 3, named by one letter: 4 + 1 + 2 bytes before it, one after it.
  const bytes = Buffer.alloc(levels * 8 + 5)
  for (let level = 0; level <= levels; level++) {
    bytes.writeInt32LE(bytes.length - level * 8, level * 7)
    if (level < levels) bytes.write('\x03a\0', level * 7 + 4, 'latin1')
  }
  return bytes
}
for (const { name, bytes } of [
  { name: 'an old opcode', bytes: opMsg(document, { responseTo: 1, opCode: 1 }) },
  { name: 'the answer to another request', bytes: opMsg(document, { responseTo: 2 }) },
  { name: 'a section of another kind', bytes: opMsg(document, { responseTo: 1, kind: 1 }) },
  { name: 'a required flag that it does not know', bytes: opMsg(document, { responseTo: 1, flags: 4 }) },
  { name: 'more than one answer', bytes: Buffer.concat([opMsg(document, { responseTo: 1 }), Buffer.from('x')]) },
  { name: 'a document that is cut off', bytes: opMsg(document.subarray(0, 30), { responseTo: 1 }) },
  { name: 'documents in each other', bytes: opMsg(deep(30_000), { responseTo: 1 }) },
  { name: 'a length of 2 GiB', bytes: Buffer.from('ffffff7f000000000100000dd0700000000', 'hex') },
])
  test(`mongodb check of a server that sends ${name} is down for its protocol`, async (t) => {
    const port = await listen(t, (socket) => socket.once('data', () => socket.write(bytes)))
    assertResult(await run(mongodb, { host: '127.0.0.1', port }), 'down', 'protocol', /does not answer like MongoDB/)
  })
