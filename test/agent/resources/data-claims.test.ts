import assert from 'node:assert/strict'
import { test } from 'node:test'
import { holdsData, isClaimOf } from '../../../agent/resources/data-claims.ts'

const claims: { claim: string; database: string; groups: string[] | undefined; its: boolean }[] = [
  { claim: 'data0-crate-data-hot-tide-0', database: 'tide', groups: ['hot'], its: true },
  { claim: 'data12-crate-master-tide-2', database: 'tide', groups: ['hot'], its: true },
  { claim: 'data0-crate-data-hot-high-tide-0', database: 'high-tide', groups: ['hot'], its: true },
  { claim: 'data0-crate-data-hot-high-tide-0', database: 'tide', groups: ['hot'], its: false },
  { claim: 'data0-crate-data-hot-high-tide-0', database: 'tide', groups: ['hot', 'hot-high'], its: true },
  { claim: 'data0-crate-master-high-tide-0', database: 'tide', groups: ['hot'], its: false },
  { claim: 'data0-crate-master-high-tide-0', database: 'tide', groups: undefined, its: false },
  { claim: 'data0-crate-data-hot-tide-ebb-0', database: 'tide', groups: ['hot'], its: false },
  { claim: 'data0-crate-data-tide-0', database: 'tide', groups: undefined, its: false },
  { claim: 'data0-crate-data-cold-tide-0', database: 'tide', groups: ['hot'], its: false },
  { claim: 'data0-crate-data-cold-tide-0', database: 'tide', groups: undefined, its: true },
  { claim: 'debug-crate-data-hot-tide-0', database: 'tide', groups: ['hot'], its: false },
  { claim: 'data0-crate-data-hot-tide-0', database: 'hot-tide', groups: ['data'], its: false },
]
for (const { claim, database, groups, its } of claims)
  test(`${claim} is ${its ? 'a' : 'no'} claim of ${database} with the groups ${groups?.join(' and ') ?? 'that nobody knows'}`, () => {
    assert.equal(isClaimOf(claim, database, groups), its)
  })

test('a claim holds data that the Crate Operator names so', () => {
  for (const claim of ['data0-crate-data-hot-tide-0', 'data3-crate-master-tide-11']) assert.equal(holdsData(claim), true, claim)
  for (const claim of ['debug-crate-data-hot-tide-0', 'data0-postgres-0', 'database-0', '']) assert.equal(holdsData(claim), false, claim)
})
