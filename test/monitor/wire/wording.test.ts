import assert from 'node:assert/strict'
import { test } from 'node:test'
import { shorten } from '../../../monitor/wire/wording.ts'

test('text from elsewhere becomes one line, not longer than allowed', () => {
  assert.equal(shorten(' a\r\n\tb\u2028c '), 'a b c')
  assert.equal(shorten('abcdef', 6), 'abcdef')
  assert.equal(shorten('abcdefg', 6), 'abcde…')
})

test('no half of a character is left of text from elsewhere: neither one that came so, nor one that was cut in two', () => {
  assert.equal(shorten('a\ud800b'), 'a\ufffdb')
  assert.equal(shorten('abcd🚢efg', 6), 'abcd\ufffd…')
})
