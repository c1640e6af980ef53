import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { test } from 'node:test'
import { answerOf, queryOf } from '../../../../monitor/wire/dns/message.ts'
import { CheckFailure } from '../../../../monitor/wire/reasons.ts'
import { fc } from '../../../shared/property.ts'
import { threadMs } from '../../../shared/thread-time.ts'
import { answerTo, pointer, recordText, two, type WireRecord, wireName, zone } from './zone.ts'

const query = queryOf({ id: 4711, name: 'quay.example', type: 1, class: 1, recursionDesired: true })

test('a record of each type has the text that a zone file has, as miekg/dns 1.1.72 prints it', () => {
  const golden = new URL('./zone.golden.txt', import.meta.url)
  const lines = zone.map((record) => `${JSON.stringify(recordText(answerOf(answerTo(query, { answer: [record] })).answer))}\n`).join('')
  if (process.env.UPDATE_GOLDEN) writeFileSync(golden, lines)
  assert.equal(lines, readFileSync(golden, 'utf8'), 'rewrite with: UPDATE_GOLDEN=1 node --test test/monitor/wire/dns/message.test.ts')
})

test('a query asks one question by the name, in bytes', () => {
  assert.equal(
    query.toString('hex'),
    `1267 0100 0001 0000 0000 0000 ${wireName('quay', 'example').toString('hex')} 0001 0001`.replaceAll(' ', ''),
  )
  const quiet = queryOf({ id: 1, name: '.', type: 255, class: 3, recursionDesired: false })
  assert.equal(quiet.toString('hex'), '000100000001000000000000'.concat('00', '00ff', '0003'))
})

test('the upper bits of a response code come from EDNS', () => {
  const options: WireRecord = { type: 'OPT', data: Buffer.alloc(0), class: 4096, ttl: 0x01_00_80_00 }
  const { code, additional } = answerOf(answerTo(query, { additional: [options] }, { code: 7 }))
  assert.equal(code, 23)
  assert.equal(recordText(additional), '\n;; OPT PSEUDOSECTION:\n; EDNS: version 0; flags: do; udp: 4096')
})

const broken: { name: string; message: Buffer }[] = [
  { name: 'shorter than a header', message: Buffer.alloc(11) },
  {
    name: 'with a name that points to itself',
    message: answerTo(query, { answer: [{ type: 'A', data: Buffer.alloc(4), owner: two(0xc000 + 30) }] }),
  },
  { name: 'with a name that points behind the end', message: answerTo(query, { answer: [{ type: 'NS', data: two(0xffff) }] }) },
  {
    name: 'with a name of 256 bytes',
    message: answerTo(query, { answer: [{ type: 'NS', data: wireName(...Array.from({ length: 4 }, () => 'a'.repeat(63))) }] }),
  },
  { name: 'with a label of an unknown kind', message: answerTo(query, { answer: [{ type: 'NS', data: two(0x4000) }] }) },
  { name: 'with an address of five bytes', message: answerTo(query, { answer: [{ type: 'A', data: Buffer.alloc(5) }] }) },
  { name: 'with an address of three bytes', message: answerTo(query, { answer: [{ type: 'A', data: Buffer.alloc(3) }] }) },
  {
    name: 'with a text that is longer than its record',
    message: answerTo(query, { answer: [{ type: 'TXT', data: Buffer.from([9, 1]) }] }),
  },
  {
    name: 'with a bitmap out of order',
    message: answerTo(query, { answer: [{ type: 'CSYNC', data: Buffer.from('00000000000000014000014000', 'hex') }] }),
  },
  {
    name: 'with parameters out of order',
    message: answerTo(query, { answer: [{ type: 'HTTPS', data: Buffer.from('00010000030002005000010003026832', 'hex') }] }),
  },
  { name: 'that is cut', message: answerTo(query, { answer: [zone[0] as WireRecord] }).subarray(0, -1) },
]
for (const { name, message } of broken)
  test(`an answer ${name} is a failure of the protocol`, () => {
    assert.throws(
      () => answerOf(message),
      (error) => error instanceof CheckFailure && error.reason === 'protocol',
    )
  })

test('bytes of any kind are an answer or a failure of the protocol', () => {
  const record = fc.record({
    type: fc.oneof(fc.constantFrom(...zone.map(({ type }) => type)), fc.nat(65_535)),
    data: fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes)),
    owner: fc.constantFrom(pointer, wireName('a'), wireName()),
  })
  const message = fc.oneof(
    fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
    fc.array(record, { maxLength: 5 }).map((answer) => answerTo(query, { answer })),
  )
  fc.assert(
    fc.property(message, (bytes) => {
      try {
        for (const { text } of answerOf(bytes).answer) assert.match(text, /\t/)
      } catch (error) {
        assert.ok(error instanceof CheckFailure, String(error))
        assert.equal(error.reason, 'protocol')
      }
    }),
    { numRuns: 1_000 },
  )
})

test('the largest answer, all of names that point to a long one, is decoded within 50 ms of processor time', () => {
  // Each record has 14 bytes, and two names of 255 bytes that must be escaped.
  const long = wireName(...Array.from({ length: 3 }, () => '\x01'.repeat(60)), '\x01'.repeat(50))
  const first: WireRecord = { type: 'NS', data: long }
  const target = answerTo(query, { answer: [first] }).length - long.length
  const many = Array.from({ length: 4_600 }, (): WireRecord => ({ type: 'NS', data: two(0xc000 + target), owner: two(0xc000 + target) }))
  const message = answerTo(query, { answer: [first, ...many] })
  assert.ok(message.length > 64_000 && message.length < 65_536, String(message.length))
  answerOf(message)
  const times = Array.from({ length: 3 }, () => {
    const started = threadMs()
    answerOf(message)
    return threadMs() - started
  })
  assert.ok(Math.min(...times) < 50, `${times.join()} ms`)
})
