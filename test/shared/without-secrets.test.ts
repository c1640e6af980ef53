import assert from 'node:assert/strict'
import { test } from 'node:test'
import { withoutSecrets } from '../../shared/without-secrets.ts'

test('a secret that begins as another one does leaves nothing of itself', () => {
  assert.equal(
    withoutSecrets('of AKIA and AKIAEXAMPLE, not of nothing', ['AKIA', 'AKIAEXAMPLE', '']),
    'of [masked] and [masked], not of nothing',
  )
})
