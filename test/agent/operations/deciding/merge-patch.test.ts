import assert from 'node:assert/strict'
import { test } from 'node:test'
import { mergePatch } from '../../../../agent/operations/deciding/merge-patch.ts'

// RFC 7386, appendix A, all of it.
const cases: [target: string, patch: string, result: string][] = [
  ['{"a":"b"}', '{"a":"c"}', '{"a":"c"}'],
  ['{"a":"b"}', '{"b":"c"}', '{"a":"b","b":"c"}'],
  ['{"a":"b"}', '{"a":null}', '{}'],
  ['{"a":"b","b":"c"}', '{"a":null}', '{"b":"c"}'],
  ['{"a":["b"]}', '{"a":"c"}', '{"a":"c"}'],
  ['{"a":"c"}', '{"a":["b"]}', '{"a":["b"]}'],
  ['{"a":{"b":"c"}}', '{"a":{"b":"d","c":null}}', '{"a":{"b":"d"}}'],
  ['{"a":[{"b":"c"}]}', '{"a":[1]}', '{"a":[1]}'],
  ['["a","b"]', '["c","d"]', '["c","d"]'],
  ['{"a":"b"}', '["c"]', '["c"]'],
  ['{"a":"foo"}', 'null', 'null'],
  ['{"a":"foo"}', '"bar"', '"bar"'],
  ['{"e":null}', '{"a":1}', '{"e":null,"a":1}'],
  ['[1,2]', '{"a":"b","c":null}', '{"a":"b"}'],
  ['{}', '{"a":{"bb":{"ccc":null}}}', '{"a":{"bb":{}}}'],
]
for (const [target, patch, result] of cases) {
  test(`merge patch of ${target} with ${patch} is ${result}`, () => {
    const given = JSON.parse(target)
    assert.deepEqual(mergePatch(given, JSON.parse(patch)), JSON.parse(result))
    assert.deepEqual(given, JSON.parse(target), 'the target was changed')
  })
}

test('merge patch treats __proto__ as a member and leaves prototypes alone', () => {
  const merged = mergePatch({ a: {} }, JSON.parse('{"__proto__":{"polluted":true},"a":{"__proto__":{"polluted":true}}}'))
  assert.equal(Object.getPrototypeOf(merged), Object.prototype)
  assert.equal(({} as { polluted?: boolean }).polluted, undefined)
  assert.ok(Object.hasOwn(merged as object, '__proto__'))
})
