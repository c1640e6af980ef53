import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { isAllowed } from './licences.ts'

type Locked = { packages: Record<string, { license?: string; dev?: boolean; link?: boolean; integrity?: string }> }

test('each production dependency in the lock file has a licence that is allowed', () => {
  const { packages } = JSON.parse(readFileSync('package-lock.json', 'utf8')) as Locked
  const ours = Object.entries(packages).filter(([at, { dev, link }]) => at.includes('node_modules/') && dev !== true && link !== true)
  assert.ok(ours.length > 100, `${ours.length} packages`)
  const others = ours
    .filter(([, { license }]) => license === undefined || !isAllowed(license))
    .map(([at, { license }]) => `${at}: ${license}`)
  assert.deepEqual(others, [])
})

test('each package in the lock file has its hash, and no registry of its own', () => {
  const text = readFileSync('package-lock.json', 'utf8')
  const { packages } = JSON.parse(text) as Locked
  const without = Object.entries(packages).filter(
    ([at, { link, integrity }]) => at.includes('node_modules/') && link !== true && !integrity,
  )
  assert.deepEqual(
    without.map(([at]) => at),
    [],
  )
  assert.doesNotMatch(text, /"resolved": "https?:/)
})

for (const [expression, isFine] of [
  ['MIT', true],
  ['(MIT OR GPL-3.0-only)', true],
  ['MIT AND GPL-3.0-only', false],
  ['SEE LICENSE IN LICENSE', false],
] as const)
  test(`${expression} is ${isFine ? '' : 'not '}allowed`, () => assert.equal(isAllowed(expression), isFine))
