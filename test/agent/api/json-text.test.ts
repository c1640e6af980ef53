import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as z from 'zod'
import { JsonSyntaxError, jsonLimits, parseJson } from '../../../agent/api/json-text.ts'
import { databaseSpec } from '../../../agent/resources/database.ts'
import { projectSpec } from '../../../agent/resources/project.ts'
import { restoreBody } from '../../../agent/resources/restore.ts'
import { fc } from '../../shared/property.ts'

test('what JSON.stringify writes is read back as it was', () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 6 }), (value) => {
      const text = JSON.stringify(value)
      if (/\\u00[01]|\\b|\\f|\\ud[89a-f]|[\u007f]|__proto__|constructor|prototype/i.test(text)) return
      const numbersAreExact = !/\d{16}|e\+/.test(text)
      if (!numbersAreExact) return
      assert.deepEqual(parseJson(text), { value: JSON.parse(text), faults: [], more: 0 })
    }),
  )
})

test('a text is JSON here exactly if it is JSON for JSON.parse', () => {
  const piece = fc.constantFrom(
    '{',
    '}',
    '[',
    ']',
    ',',
    ':',
    '"a"',
    '"',
    '\\',
    '\\u12',
    'true',
    'nul',
    '-',
    '0',
    '01',
    '1.',
    '1e5',
    ' ',
    '\n',
  )
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
      const text = pieces.join('')
      const isJson = accepts(() => JSON.parse(text))
      assert.equal(
        accepts(() => parseJson(text)),
        isJson,
        text,
      )
    }),
    { numRuns: 2000 },
  )
})

function accepts(parse: () => unknown): boolean {
  try {
    parse()
    return true
  } catch (error) {
    assert.ok(error instanceof SyntaxError || error instanceof JsonSyntaxError, String(error))
    return false
  }
}

const broken = [
  { text: '{"a": 1,\n "b" 2}', says: 'line 2, column 6: ":" is expected after a name' },
  { text: '', says: 'line 1, column 1: the text ends where a value is expected' },
  { text: '[1, 2', says: 'line 1, column 6: the text ends inside a list' },
  { text: '{"a": NaN}', says: 'line 1, column 7: a value is expected' },
  { text: '{"a": 1} x', says: 'line 1, column 10: unexpected text after the value' },
  { text: '"\\x41"', says: 'line 1, column 2: unknown escape' },
  { text: '\ufeff{}', says: 'line 1, column 1: a value is expected' },
]
for (const { text, says } of broken) {
  test(`${JSON.stringify(text.slice(0, 20))} is refused with the place where it goes wrong`, () => {
    assert.throws(() => parseJson(text), { name: 'JsonSyntaxError', message: says })
  })
}

const beyond = [
  { text: '['.repeat(100_000), says: 'line 1, column 33: more than 32 levels of objects and lists' },
  { text: `[\n${'1,'.repeat(2_000)}1]`, says: 'line 2, column 2049: more than 1024 items in one list' },
  { text: `{${'"a":1,'.repeat(2_000)}"a":1}`, says: 'line 1, column 6146: more than 1024 members in one object' },
  { text: `[${`[${'1,'.repeat(999)}1],`.repeat(20)}1]`, says: 'line 1, column 32767: more than 16384 values' },
]
for (const { text, says } of beyond) {
  test(`${JSON.stringify(text.slice(0, 20))} goes beyond a limit: ${says}`, () => {
    assert.throws(() => parseJson(text), { name: 'JsonLimitError', message: says })
  })
}

test('of the faults in a text the first hundred are named, the others counted', () => {
  const { faults, more } = parseJson(`[${'1e999,'.repeat(299)}1e999]`)
  assert.equal(faults.length, 100)
  assert.equal(more, 200)
})

test('no schema of a request allows more members than are read', () => {
  for (const most of [...mostMembers(databaseSpec), ...mostMembers(projectSpec), ...mostMembers(restoreBody)])
    assert.ok(most <= jsonLimits.members, `${most} members`)
})

/** The `maxItems` and the counts of fields, of a schema and everything in it. */
function mostMembers(schema: z.ZodType): number[] {
  const found: number[] = []
  const visit = (node: unknown): void => {
    if (typeof node !== 'object' || node === null) return
    const { type, maxItems, properties } = node as { type?: unknown; maxItems?: number; properties?: object }
    if (type === 'array') found.push(maxItems ?? Number.POSITIVE_INFINITY)
    if (properties !== undefined) found.push(Object.keys(properties).length)
    for (const each of Object.values(node)) visit(each)
  }
  visit(z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }))
  return found
}

const faulty = [
  { text: '{"a":1,"a":2}', faults: [{ path: '/a', message: 'is given more than once' }], value: { a: 1 } },
  {
    text: '{"x":{"__proto__":{"admin":true}}}',
    faults: [{ path: '/x/__proto__', message: 'is not allowed as a name' }],
    value: { x: {} },
  },
  { text: '{"\\u005f_proto__":1,"constructor":2}', faults: 2, value: {} },
  { text: '["\\ud800"]', faults: [{ path: '/0', message: 'contains half of a surrogate pair' }], value: [''] },
  { text: '["a\\u0000b"]', faults: [{ path: '/0', message: 'contains a control character' }], value: [''] },
  { text: '[1e999, 9007199254740993]', faults: 2, value: [0, 0] },
  {
    text: '{"a~/b":{"\\ud800":1}}',
    faults: [{ path: '/a~0~1b/\ufffd', message: 'contains half of a surrogate pair' }],
    value: { 'a~/b': {} },
  },
]
for (const { text, faults, value } of faulty) {
  test(`in ${text} what must not be there is named and taken out`, () => {
    const parsed = parseJson(text)
    assert.deepEqual(parsed.value, value)
    if (typeof faults === 'number') assert.equal(parsed.faults.length, faults)
    else assert.deepEqual(parsed.faults, faults)
    assert.equal(({} as { admin?: boolean }).admin, undefined)
  })
}
