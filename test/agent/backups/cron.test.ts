import assert from 'node:assert/strict'
import { test } from 'node:test'
import { lastRun, nextRun, parseCron, shortestGap } from '../../../agent/backups/cron.ts'
import { cron as schema } from '../../../agent/resources/identifiers.ts'
import { fc } from '../../shared/property.ts'

const parsed = (text: string) => {
  const cron = parseCron(text)
  assert.ok(cron, text)
  return cron
}
const shown = (at: number | undefined) => (at === undefined ? undefined : new Date(at).toISOString().slice(0, 16))

// 30 November 2026 is a Monday.
const cases: { cron: string; after: string; next: string | undefined; last: string | undefined }[] = [
  { cron: '* * * * *', after: '2026-11-30T12:00:30Z', next: '2026-11-30T12:01', last: '2026-11-30T12:00' },
  { cron: '30 3 * * *', after: '2026-11-30T03:30:00Z', next: '2026-12-01T03:30', last: '2026-11-30T03:30' },
  { cron: '30 3 * * *', after: '2026-11-30T03:29:59Z', next: '2026-11-30T03:30', last: '2026-11-29T03:30' },
  { cron: '0/15 * * * *', after: '2026-11-30T12:46:00Z', next: '2026-11-30T13:00', last: '2026-11-30T12:45' },
  { cron: '10/20 * * * *', after: '2026-11-30T12:51:00Z', next: '2026-11-30T13:10', last: '2026-11-30T12:50' },
  { cron: '0 3 * * 1-5', after: '2026-11-28T12:00:00Z', next: '2026-11-30T03:00', last: '2026-11-27T03:00' },
  { cron: '0 0 31 * *', after: '2026-11-01T00:00:00Z', next: '2026-12-31T00:00', last: '2026-10-31T00:00' },
  { cron: '0 0 1 1 *', after: '2026-11-30T00:00:00Z', next: '2027-01-01T00:00', last: '2026-01-01T00:00' },
  { cron: '0 0 29 2 *', after: '2096-03-01T00:00:00Z', next: '2104-02-29T00:00', last: '2096-02-29T00:00' },
  // The 13th, or a Friday.
  { cron: '0 0 13 * 5', after: '2026-12-05T00:00:00Z', next: '2026-12-11T00:00', last: '2026-12-04T00:00' },
  { cron: '0 0 13 * 5', after: '2026-12-11T00:00:00Z', next: '2026-12-13T00:00', last: '2026-12-11T00:00' },
  { cron: '0 0 31 2 *', after: '2026-11-30T00:00:00Z', next: undefined, last: undefined },
]
for (const { cron, after, next, last } of cases) {
  test(`"${cron}" seen at ${after}`, () => {
    const at = Date.parse(after)
    assert.deepEqual([shown(nextRun(parsed(cron), at)), shown(lastRun(parsed(cron), at))], [next, last])
  })
}

const number = (least: number, greatest: number) => fc.integer({ min: least, max: greatest }).map(String)
const field = (least: number, greatest: number) =>
  fc.oneof(
    fc.constant('*'),
    number(least, greatest),
    fc.array(number(least, greatest), { minLength: 2, maxLength: 4 }).map((all) => all.join(',')),
    fc.tuple(number(least, greatest), number(1, greatest)).map(([from, step]) => `${from}/${step}`),
    fc.tuple(number(least, greatest), number(least, greatest)).map((ends) => ends.toSorted((a, b) => Number(a) - Number(b)).join('-')),
  )
const anyCron = fc.tuple(field(0, 59), field(0, 23), field(1, 31), field(1, 12), field(0, 6)).map((fields) => fields.join(' '))

test('what the schema of the API takes is read, and between two runs there is none', () => {
  fc.assert(
    fc.property(anyCron, fc.integer({ min: 1.7e12, max: 2e12 }), (text, at) => {
      assert.ok(schema.safeParse(text).success, text)
      const cron = parsed(text)
      const next = nextRun(cron, at)
      if (next === undefined) return
      assert.ok(next > at)
      assert.equal(lastRun(cron, next), next)
      assert.ok((lastRun(cron, next - 1) ?? 0) <= at)
    }),
  )
})

test('what is no schedule is none', () => {
  for (const text of ['', '@daily', '* * * *', '* * * * * *', '*/5 * * * *', '0/0 * * * *', 'x * * * *', '1-2-3 * * * *'])
    assert.equal(parseCron(text), undefined, text)
})

const gaps: [string, number | undefined][] = [
  ['* * * * *', 1],
  ['0/15 * * * *', 15],
  ['0/25 * * * *', 10],
  ['17 * * * *', 60],
  ['30 3 * * *', 1440],
  ['0 3 * * 1', 7 * 1440],
  ['0,59 5 * * 1', 59],
  // Over midnight, where the next day is one too; with both days named, either is enough.
  ['0,50 0,23 * * *', 10],
  ['0,50 0,23 13 * *', 50],
  ['0,50 0,23 13 * 5', 10],
  ['0,50 0,23 31,1 * *', 10],
  ['0 0 31 2 *', undefined],
  ['0/1 0 30 2 *', undefined],
]
for (const [text, gap] of gaps) {
  test(`the shortest time between two runs of ${text} is ${gap} minutes`, () => assert.equal(shortestGap(parsed(text)), gap))
}

test('no two runs are closer than the shortest time', () => {
  const numbers = (greatest: number) => fc.uniqueArray(fc.nat(greatest), { minLength: 1, maxLength: 3 }).map((all) => all.join(','))
  const schedules = fc.tuple(
    numbers(59),
    numbers(23),
    fc.constantFrom('*', '1', '1,31'),
    fc.constant('*'),
    fc.constantFrom('*', '1', '0,6'),
  )
  fc.assert(
    fc.property(schedules, fc.nat(366), (fields, day) => {
      const cron = parsed(fields.join(' '))
      const gap = shortestGap(cron)
      let at = nextRun(cron, Date.UTC(2026, 0, day))
      for (let run = 0; run < 20 && at !== undefined; run += 1) {
        const next = nextRun(cron, at)
        if (next !== undefined) assert.ok(gap !== undefined && next - at >= gap * 60_000, `${fields.join(' ')}: ${gap}`)
        at = next
      }
    }),
  )
})
