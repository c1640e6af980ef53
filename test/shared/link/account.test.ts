import assert from 'node:assert/strict'
import { test } from 'node:test'
import { accountText, addAccounts, bytesOfDay, readAccount } from '../../../shared/link/index.ts'

const day = (wire: string, received: number, sent: number) => ({ [wire]: { received, sent } })

test('an account is read as it was written', () => {
  const account = { '2026-01-31': { ...day('cloud', 1, 2), ...day('api', 3, 4) }, '2026-02-01': day('cloud', 5, 6) }
  assert.equal(accountText(account), '{"2026-01-31":{"cloud":[1,2],"api":[3,4]},"2026-02-01":{"cloud":[5,6]}}')
  assert.deepEqual(readAccount(accountText(account)), account)
})

for (const text of [undefined, '', 'x', '[]', '{"2026-01-31":5}', '{"2026-01-31":{"cloud":[1,-2]}}', '{"yesterday":{"cloud":[1,2]}}']) {
  test(`${JSON.stringify(text)} is no account, and counts as an empty one`, () => assert.deepEqual(readAccount(text), {}))
}

test('two accounts are added day by day and wire by wire', () => {
  const one = { '2026-01-31': day('cloud', 1, 2) }
  const other = { '2026-01-31': { ...day('cloud', 10, 20), ...day('api', 3, 4) }, '2026-02-01': day('cloud', 5, 6) }
  const both = addAccounts(one, other)
  assert.deepEqual(both, { '2026-01-31': { ...day('cloud', 11, 22), ...day('api', 3, 4) }, '2026-02-01': day('cloud', 5, 6) })
  assert.equal(bytesOfDay(both['2026-01-31'] ?? {}), 40)
})

test('62 days are kept, in order, and the oldest go', () => {
  const days = Array.from({ length: 100 }, (_, index) => new Date(Date.UTC(2026, 0, 1 + index)).toISOString().slice(0, 10))
  const account = days.toReversed().reduce((all, each) => addAccounts(all, { [each]: day('cloud', 1, 1) }), {})
  assert.deepEqual(Object.keys(account), days.slice(-62))
  assert.ok(accountText(account).length < 3_000)
})
