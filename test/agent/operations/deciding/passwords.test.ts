import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createPasswordMint, sameJson } from '../../../../agent/operations/deciding/decision.ts'
import { differingSecrets } from '../../../../agent/operations/deciding/present-secrets.ts'
import { password } from '../../../../agent/resources/identifiers.ts'

test('a request gets the same password for the same place however often it is decided on, and no other request gets it', () => {
  const mint = createPasswordMint()
  assert.equal(mint('users.0.password'), mint('users.0.password'))
  assert.notEqual(mint('users.0.password'), mint('users.1.password'))
  assert.notEqual(mint('users.0.password'), createPasswordMint()('users.0.password'))
})

test('a generated password is one that a request could have given', () => {
  for (let count = 0; count < 100; count++) {
    const made = createPasswordMint()('users.0.password')
    assert.match(made, /^[A-Za-z0-9_-]{32}$/)
    assert.ok(password.safeParse(made).success)
  }
})

test('secrets differ where another value is given, or where none is present', () => {
  const present = { a: 'same', b: 'old', c: 'longer than the other' }
  assert.deepEqual(differingSecrets({ a: 'same', b: 'new', c: 'short', d: 'added' }, present), ['b', 'c', 'd'])
  assert.deepEqual(differingSecrets({}, present), [])
})

const pairs: [one: unknown, other: unknown, same: boolean][] = [
  [{ a: 1, b: undefined }, { a: 1 }, true],
  [{ a: 1, b: { c: [1, 2] } }, { b: { c: [1, 2] }, a: 1 }, true],
  [{ a: [1, 2] }, { a: [2, 1] }, false],
  [{ a: [] }, { a: {} }, false],
  [{ a: null }, {}, false],
  [{ a: null }, { a: 0 }, false],
  [[1], [1, 2], false],
]
for (const [one, other, same] of pairs) {
  test(`${JSON.stringify(one)} and ${JSON.stringify(other)} are ${same ? 'the same' : 'not the same'} JSON`, () => {
    assert.equal(sameJson(one, other), same)
    assert.equal(sameJson(other, one), same)
  })
}
