import type { Socket } from 'node:net'
import type { Document } from 'bson'
import * as z from 'zod'
import { host, hostAndPort, port } from '../wire/fields.ts'
import { CheckFailure } from '../wire/reasons.ts'
import { openSocket, readSocket } from '../wire/socket.ts'
import { secure, tlsFields, tlsOf } from '../wire/tls.ts'
import { count, shorten, versionIn } from '../wire/wording.ts'
import { type CheckResult, checkKind, type Finding, type Measurement, resultOf } from './kind.ts'

const options = z.strictObject({
  host: host.describe('Host name or IP address.'),
  port: port.default(27017).describe('TCP port.'),
  tls: z.boolean().default(false).describe('Whether to use TLS.'),
  expectSet: z
    .string()
    .min(1)
    .max(128)
    .optional()
    .describe('Name of the replica set that the server must belong to; by default any, or none.'),
  needsPrimary: z.boolean().default(true).describe('Whether the check is down while the replica set has no primary.'),
  ...tlsFields,
})

type MongodbOptions = z.output<typeof options>

/**
 * Up when the server serves, in the replica set that it should be in.
 *
 * Two commands on a bare socket: a driver brings pools, monitors of every member of the set, and reconnects, which a check must not have.
 */
export const mongodb = checkKind({
  about:
    'Sends `hello` on a new connection, which needs no login; so the check has none, and cannot tell whether logins work. MongoDB 3.6.21, 4.0.21, 4.2.10, 4.4.2, 5.0 or later, including mongos. Down when the server does not answer, belongs to another replica set than `expectSet`, is neither primary nor secondary (starting, recovering), or when its set has no primary.',
  example: { host: 'mongo.example.com', tls: true, expectSet: 'rs0' },
  options,
  measures: {
    skerry_mongodb_info: {
      type: 'gauge',
      help: 'Always 1; version (unknown if the server tells it only after a login) and role (standalone, primary, secondary, arbiter, mongos, other) are its labels.',
      labels: ['version', 'role'],
    },
    skerry_mongodb_set_members: { type: 'gauge', help: 'Members of the replica set that clients can see, with arbiters.' },
    skerry_mongodb_set_has_primary: { type: 'gauge', help: 'Whether this member knows a primary of its replica set: 1 or 0.' },
    skerry_mongodb_max_wire_version: { type: 'gauge', help: 'Highest version of the wire protocol that the server speaks.' },
  },
  target: hostAndPort,
  async check(options, { signal }) {
    const tcp = await openSocket(options, signal)
    try {
      const socket = options.tls ? await secure(tcp, tlsOf(options, options.host), options.serverName ?? options.host) : tcp
      const hello = await askHello(socket)
      return judge(options, hello, await askVersion(socket))
    } finally {
      tcp.destroy()
    }
  },
})

const names = z.array(z.string().max(300)).max(100).default([])

/** The answer to hello (MongoDB manual 8.0, "hello"), as far as it is used. A set has at most 50 members. */
const helloAnswer = z.object({
  ok: z.literal(1),
  isWritablePrimary: z.boolean(),
  secondary: z.boolean().default(false),
  arbiterOnly: z.boolean().default(false),
  /** Present on a member that is in no set yet. */
  isreplicaset: z.boolean().default(false),
  setName: z.string().min(1).max(1000).optional(),
  hosts: names,
  passives: names,
  arbiters: names,
  primary: z.string().max(300).optional(),
  /** `isdbgrid` on mongos. */
  msg: z.string().max(1000).optional(),
  maxWireVersion: z.int().min(0).max(10_000),
})
type Hello = z.output<typeof helloAnswer>

const refusal = z.object({ ok: z.literal(0), errmsg: z.string().default('no reason'), code: z.number().optional() })

async function askHello(socket: Socket): Promise<Hello> {
  const answer = await command(socket, { hello: 1, $db: 'admin' }, 1)
  const { success: isRefusal, data: refused } = refusal.safeParse(answer)
  // CommandNotFound
  if (isRefusal && refused.code === 59)
    throw new CheckFailure('protocol', 'The server does not know the command hello. Update it; versions since October 2020 have it.')
  if (isRefusal)
    throw new CheckFailure('failing', `The server refuses hello: ${shorten(refused.errmsg, 200).replace(/\.$/, '')}. See its log.`)
  const parsed = helloAnswer.safeParse(answer)
  if (!parsed.success) throw notMongo('its answer to hello does not have the documented shape')
  return parsed.data
}

/** The version; `unknown` where the server tells it only after a login, which 8.1 made a setting (jira.mongodb.org, SERVER-102881). */
async function askVersion(socket: Socket): Promise<string> {
  const { success, data } = z
    .object({ ok: z.literal(1), version: z.string() })
    .safeParse(await command(socket, { buildInfo: 1, $db: 'admin' }, 2))
  return success ? versionIn(data.version) : 'unknown'
}

const opMsg = 2013
/** Length, request id, id of the request that it answers, opcode: 4 bytes each (MongoDB wire protocol, "Standard Message Header"). */
const headerBytes = 16
/** An answer to hello of the largest set has some 10 KiB, one to buildInfo less. */
const longestAnswer = 256 * 1024

/**
 * Sends a command as OP_MSG, and returns the document of its answer: header, flags, and one section of kind 0, which is the document. With
 * the flag checksumPresent, a checksum of 4 bytes follows. (github.com/mongodb/specifications, source/message/OP_MSG.md, at commit 0a7a8b5.)
 * @throws CheckFailure if the answer is anything else
 */
async function command(socket: Socket, body: Document, id: number): Promise<unknown> {
  const { deserialize, serialize } = await import('bson')
  const section = serialize(body)
  const head = Buffer.alloc(headerBytes + 5) // with flags 0 and kind 0
  head.writeInt32LE(head.length + section.length, 0)
  head.writeInt32LE(id, 4)
  head.writeInt32LE(opMsg, 12)
  socket.write(Buffer.concat([head, section]))
  const message = await readSocket(socket, { enough: (read) => isComplete(read, id), maxBytes: longestAnswer })
  const flags = message.readUInt32LE(headerBytes)
  const end = message.readInt32LE(0) - (flags & 1 ? 4 : 0)
  // Of the flags below 16, none but checksumPresent may be in an answer that was not asked to be one of many.
  if ((flags & 0xfffe) !== 0 || message[headerBytes + 4] !== 0) throw notMongo('its message is not a plain OP_MSG')
  try {
    return deserialize(message.subarray(headerBytes + 5, end), { promoteBuffers: true })
  } catch {
    throw notMongo('its message holds no BSON')
  }
}

/** Whether the whole answer is there. Its header is judged as soon as it has come. */
function isComplete(read: Buffer, id: number): boolean {
  if (read.length < headerBytes) return false
  const length = read.readInt32LE(0)
  if (read.readInt32LE(12) !== opMsg || read.readInt32LE(8) !== id) throw notMongo('its message has another header')
  // The smallest BSON document has 5 bytes.
  if (length < headerBytes + 10 || length > longestAnswer) throw notMongo(`its message claims to be of ${length} bytes`)
  if (read.length > length) throw notMongo('it says more than was asked')
  return read.length === length
}

function notMongo(why: string): CheckFailure {
  return new CheckFailure('protocol', `The server does not answer like MongoDB: ${why}. Is this the right port?`)
}

function roleOf(hello: Hello): 'standalone' | 'primary' | 'secondary' | 'arbiter' | 'mongos' | 'other' {
  if (hello.msg === 'isdbgrid') return 'mongos'
  if (hello.setName === undefined) return hello.isWritablePrimary ? 'standalone' : 'other'
  if (hello.arbiterOnly) return 'arbiter'
  if (hello.isWritablePrimary) return 'primary'
  return hello.secondary ? 'secondary' : 'other'
}

function judge(options: MongodbOptions, hello: Hello, version: string): CheckResult {
  const role = roleOf(hello)
  const members = hello.hosts.length + hello.passives.length + hello.arbiters.length
  const hasPrimary = role === 'primary' || hello.primary !== undefined
  const measurements: Measurement[] = [
    { name: 'skerry_mongodb_info', labels: { version, role }, value: 1 },
    { name: 'skerry_mongodb_max_wire_version', value: hello.maxWireVersion },
    ...(hello.setName === undefined
      ? []
      : [
          { name: 'skerry_mongodb_set_members', value: members },
          { name: 'skerry_mongodb_set_has_primary', value: hasPrimary ? 1 : 0 },
        ]),
  ]
  const set = hello.setName === undefined ? undefined : shorten(hello.setName, 60)
  const found: Finding[] = []
  if (hello.isreplicaset)
    found.push({
      state: 'down',
      reason: 'unavailable',
      text: 'The server waits to be added to a replica set. Run rs.initiate() or rs.add()',
    })
  else if (options.expectSet !== undefined && options.expectSet !== hello.setName)
    found.push({
      state: 'down',
      reason: 'unexpected_answer',
      text: `The server belongs to ${set === undefined ? 'no replica set' : `replica set ${set}`}, not to ${options.expectSet}. Check host and port, and replSetName of the server`,
    })
  if (set !== undefined && !hasPrimary && options.needsPrimary)
    found.push({
      state: 'down',
      reason: 'unavailable',
      text: `Replica set ${set} has no primary, and takes no writes. Check that most of its ${count(members, 'member')} run and reach each other`,
    })
  if (role === 'other' && !hello.isreplicaset)
    found.push({
      state: 'down',
      reason: 'unavailable',
      text: 'The server is neither primary nor secondary: it is starting, recovering or removed. rs.status() and its log say more',
    })
  const inSet = set === undefined ? '' : ` of replica set ${set} with ${count(members, 'member')}`
  const which = role === 'mongos' ? 'mongos' : `${role.charAt(0).toUpperCase()}${role.slice(1)}`
  return resultOf(found, `${which}${inSet}, version ${version}.`, measurements)
}
