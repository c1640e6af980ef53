import assert from 'node:assert/strict'
import { test } from 'node:test'
import { JsonSyntaxError, parseJson } from '../../../agent/api/json-text.ts'
import { fc } from '../../shared/property.ts'

test('what JSON.stringify writes is read back as it was', () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 6 }), (value) => {
      const text = JSON.stringify(value)
      if (/\\u00[01]|\\b|\\f|\\ud[89a-f]|[\u007f]|__proto__|constructor|prototype/i.test(text)) return
      const numbersAreExact = !/\d{16}|e\+/.test(text)
      if (!numbersAreExact) return
      assert.deepEqual(parseJson(text), { value: JSON.parse(text), faults: [] })
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
  { text: '['.repeat(100_000), says: 'line 1, column 33: more than 32 levels of objects and lists' },
]
for (const { text, says } of broken) {
  test(`${JSON.stringify(text.slice(0, 20))} is refused with the place where it goes wrong`, () => {
    assert.throws(() => parseJson(text), { name: 'JsonSyntaxError', message: says })
  })
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
