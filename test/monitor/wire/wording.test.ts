import assert from 'node:assert/strict'
import { test } from 'node:test'
import { expiryOf, shorten, versionIn } from '../../../monitor/wire/wording.ts'

test('text from elsewhere becomes one line, not longer than allowed', () => {
  assert.equal(shorten(' a\r\n\tb\u2028c '), 'a b c')
  assert.equal(shorten('abcdef', 6), 'abcdef')
  assert.equal(shorten('abcdefg', 6), 'abcde…')
})

test('no half of a character is left of text from elsewhere: neither one that came so, nor one that was cut in two', () => {
  assert.equal(shorten('a\ud800b'), 'a\ufffdb')
  assert.equal(shorten('abcd🚢efg', 6), 'abcd\ufffd…')
})

test('what nobody can see in text from elsewhere is put in writing, so that it can neither hide nor turn round what is beside it', () => {
  assert.equal(shorten('pay\u202elap'), 'pay‹U+202E›lap')
  assert.equal(shorten('a\u200bb\u2066c\u00add\u3164e\u{e0041}'), 'a‹U+200B›b‹U+2066›c‹U+00AD›d‹U+3164›e‹U+E0041›')
  assert.equal(shorten('schön 港 ❤\ufe0f'), 'schön 港 ❤\ufe0f')
  assert.equal(shorten('\u202e'.repeat(1000), 20).length, 20)
})

test('the days until something expires are told as people would', () => {
  const said = [12.7, 1, 0.2, 0, -0.5, -1, -2157.3].map((days) => expiryOf(days))
  assert.deepEqual(said, [
    'expires in 12 days',
    'expires in 1 day',
    'expires within a day',
    'expired less than a day ago',
    'expired less than a day ago',
    'expired 1 day ago',
    'expired 2157 days ago',
  ])
})

test('a version label holds a version, whatever a server says', () => {
  const said = ['15.6 (Debian 15.6-0+deb12u1)', 'v1.33.2+k3s1', '7.4.1-alpine', '29', 'ring the harbour master', '']
  assert.deepEqual(said.map(versionIn), ['15.6', 'v1.33.2+k3s1', '7.4.1-alpine', '29', 'unknown', 'unknown'])
  assert.ok(versionIn(`1.2.3-${'a'.repeat(1000)}`).length <= 40)
})
