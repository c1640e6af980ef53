import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formatByteSize, formatDuration, parseByteSize, parseDuration } from '../../shared/fields.ts'
import { fc } from './property.ts'

const durations: [string, number | undefined][] = [
  ['250ms', 250],
  ['30s', 30_000],
  ['1.5s', 1_500],
  ['5m', 300_000],
  ['5m10ms', 300_010],
  ['1h30m', 5_400_000],
  ['7d', 604_800_000],
  ['0s', 0],
  ['', undefined],
  ['30', undefined],
  ['s', undefined],
  ['-5s', undefined],
  ['5s1m', undefined],
  ['1s1s', undefined],
  ['5 s', undefined],
  ['5S', undefined],
  ['1e9s', undefined],
  [`${'9'.repeat(30)}s`, undefined],
]
for (const [text, ms] of durations)
  test(`the duration ${JSON.stringify(text)} is ${ms ?? 'none'}`, () => assert.equal(parseDuration(text), ms))

const sizes: [string, number | undefined][] = [
  ['0B', 0],
  ['64KiB', 65_536],
  ['1MiB', 1_048_576],
  ['1.5GiB', 1_610_612_736],
  ['2Gi', 2_147_483_648],
  ['1MB', 1_000_000],
  ['1024', undefined],
  ['1mib', undefined],
  ['MiB', undefined],
  ['-1MiB', undefined],
  ['1constructor', undefined],
  ['9999999TiB', undefined],
]
for (const [text, bytes] of sizes)
  test(`the size ${JSON.stringify(text)} is ${bytes ?? 'none'}`, () => assert.equal(parseByteSize(text), bytes))

test('a duration or a size that is written out is read as the same again', () => {
  fc.assert(fc.property(fc.nat(2 ** 40), (value) => parseDuration(formatDuration(value)) === value))
  fc.assert(fc.property(fc.nat(2 ** 50), (value) => parseByteSize(formatByteSize(value)) === value))
})
