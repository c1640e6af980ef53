import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type LinkProfile, linkProfiles } from '../../../shared/link/index.ts'
import { type Consumption, profileOfBudget } from '../../../shared/link/ladder.ts'
import { fc } from '../property.ts'

const cases: { name: string; used: number; passed: number; before?: LinkProfile; profile: LinkProfile }[] = [
  { name: 'is normal while less than half of the budget is used', used: 49, passed: 0.01, profile: 'normal' },
  { name: 'is metered from half of the budget on, before half of the day has passed', used: 50, passed: 0.4, profile: 'metered' },
  { name: 'is normal if as much of the day has passed', used: 60, passed: 0.7, profile: 'normal' },
  { name: 'is critical from four fifths on', used: 80, passed: 0.6, profile: 'critical' },
  { name: 'is normal late in the day, however much is used of what was to be used', used: 90, passed: 0.97, profile: 'normal' },
  { name: 'is critical until midnight once all of it is used', used: 100, passed: 0.999, profile: 'critical' },
  { name: 'stays metered until the day is well ahead', used: 60, passed: 0.62, before: 'metered', profile: 'metered' },
  { name: 'is normal again once the day is well ahead', used: 60, passed: 0.66, before: 'metered', profile: 'normal' },
  { name: 'does not become metered while the day is barely ahead', used: 60, passed: 0.62, before: 'normal', profile: 'normal' },
  { name: 'is normal again on the next day', used: 1, passed: 0.001, before: 'critical', profile: 'normal' },
]
for (const { name, used, passed, before = 'normal', profile } of cases) {
  test(`the profile ${name}`, () => assert.equal(profileOfBudget({ used, perDay: 100, passed }, before), profile))
}

test('without a budget the profile is normal, whatever is used', () => {
  assert.equal(profileOfBudget({ used: Number.MAX_SAFE_INTEGER, perDay: undefined, passed: 0 }, 'critical'), 'normal')
})

test('more bytes never make the profile more generous', () => {
  const consumption = fc.record({ used: fc.nat(300), perDay: fc.constant(100), passed: fc.double({ min: 0, max: 1, noNaN: true }) })
  const rank = (given: Consumption, before: LinkProfile) => linkProfiles.indexOf(profileOfBudget(given, before))
  fc.assert(
    fc.property(consumption, fc.nat(300), fc.constantFrom(...linkProfiles), (given, more, before) => {
      assert.ok(rank({ ...given, used: given.used + more }, before) >= rank(given, before))
    }),
  )
})

test('a region that uses its budget evenly never changes its profile', () => {
  for (let minute = 0, profile: LinkProfile = 'normal'; minute < 1440; minute++) {
    profile = profileOfBudget({ used: minute, perDay: 1440, passed: minute / 1440 }, profile)
    assert.equal(profile, 'normal')
  }
})

test('a region whose heartbeats alone would use its budget one and a half times stays within it, and changes its profile a few times only', () => {
  const perHeartbeat = { normal: 1 / 960, metered: 1 / 960 / 5, critical: 1 / 960 / 15 }
  let [used, changes]: [number, number] = [0, 0]
  for (let minute = 0, profile: LinkProfile = 'normal'; minute < 1440; minute++) {
    used += perHeartbeat[profile]
    const next = profileOfBudget({ used, perDay: 1, passed: minute / 1440 }, profile)
    if (next !== profile) changes++
    profile = next
  }
  assert.ok(used <= 1.001, `${used}`)
  assert.ok(changes <= 20, `${changes} changes`)
})
