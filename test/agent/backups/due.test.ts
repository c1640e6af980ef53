import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseCron } from '../../../agent/backups/cron.ts'
import { type Known, nextBackup, overdueFrom, runAt } from '../../../agent/backups/due.ts'

const cronOf = (text: string) => parseCron(text) as NonNullable<ReturnType<typeof parseCron>>
const at = (text: string) => Date.parse(`2026-11-${text}:00Z`)
const shown = (moment: number | undefined) => (moment === undefined ? undefined : new Date(moment).toISOString().slice(8, 16))
/** Its spread is the second after the minute. */
const uid = 'a database'

function known(cron: string, change: Partial<Known> = {}): Known {
  return { uid, cron: cronOf(cron), since: at('28T12:00'), state: {}, last: undefined, ...change }
}
const last = (due: string, failedAt?: string) => ({
  sequence: 7,
  due: at(due),
  failedAt: failedAt === undefined ? undefined : at(failedAt),
})

/** The moment without the spread, which the rows need not know. */
function next(given: Known, now: string): string | undefined {
  const moment = nextBackup(given, at(now))
  const regular = nextBackup({ ...given, last: given.last && { ...given.last, failedAt: undefined } }, at(now))
  const spread = regular === undefined ? 0 : regular - Math.floor(regular / 3_600_000) * 3_600_000
  return shown(moment === undefined ? undefined : moment === regular ? moment - spread : moment)
}

const cases: { name: string; known: Known; now: string; is: string | undefined }[] = [
  { name: 'the first run since the schedule was set', known: known('0 3 * * *'), now: '28T12:00', is: '29T03:00' },
  { name: 'the run after the last one', known: known('0 3 * * *', { last: last('29T03:00') }), now: '29T04:00', is: '30T03:00' },
  { name: 'a run that was missed, at once', known: known('0 3 * * *', { last: last('29T03:00') }), now: '30T20:00', is: '30T03:00' },
  {
    name: 'a failed one again ten minutes later',
    known: known('0 3 * * *', { last: last('29T03:00', '29T03:30'), state: { failures: 1 } }),
    now: '29T03:31',
    is: '29T03:40',
  },
  {
    name: 'a failed one again later each time',
    known: known('0 3 * * *', { last: last('29T03:00', '29T05:00'), state: { failures: 4 } }),
    now: '29T05:01',
    is: '29T06:20',
  },
  {
    name: 'after many failures, the next run of the schedule',
    known: known('0 * * * *', { last: last('29T03:00', '29T03:30'), state: { failures: 9 } }),
    now: '29T03:31',
    is: '29T04:00',
  },
  {
    name: 'not within ten minutes of a failure, however often the schedule says',
    known: known('* * * * *', { last: last('29T03:00', '29T03:01'), state: { failures: 9 } }),
    now: '29T03:02',
    is: '29T03:11',
  },
  {
    name: 'the run after now, if the last one is in the future: the clock was set back',
    known: known('0 3 * * *', { since: at('30T03:00') }),
    now: '28T12:00',
    is: '29T03:00',
  },
  { name: 'nothing, if it never comes', known: known('0 0 31 2 *'), now: '28T12:00', is: undefined },
]
for (const { name, known: given, now, is } of cases) test(`the next backup is ${name}`, () => assert.equal(next(given, now), is))

test('a backup that catches up is for the last of the runs that were missed', () => {
  const given = known('0 * * * *', { last: last('28T13:00') })
  assert.equal(shown(runAt(given, at('30T20:30'))), '30T20:00')
  assert.equal(shown(nextBackup({ ...given, last: last('30T20:00') }, at('30T20:31')))?.slice(0, 5), '30T21')
})

test('a thousand databases of one schedule are spread over a quarter of an hour, each always at the same moment', () => {
  const moments = Array.from(
    { length: 1_000 },
    (_, index) => nextBackup({ ...known('0 3 * * *'), uid: `database ${index}` }, at('28T12:00')) ?? 0,
  )
  const offsets = moments.map((moment) => moment - at('29T03:00'))
  assert.ok(offsets.every((offset) => offset >= 0 && offset < 15 * 60_000))
  const perMinute = Object.values(Object.groupBy(offsets, (offset) => Math.floor(offset / 60_000))).map((all = []) => all.length)
  assert.ok(Math.max(...perMinute) < 120, String(perMinute))
  assert.equal(nextBackup({ ...known('0 3 * * *'), uid: 'database 5' }, at('28T13:00')), moments[5])
})

test('the last backup is too old when the second run after it has come to nothing', () => {
  assert.equal(shown(overdueFrom(cronOf('0 3 * * *'), at('29T03:05'))), '01T03:00')
  // Not at a weekend, for a schedule of working days: the 27th is a Friday.
  assert.equal(shown(overdueFrom(cronOf('0 3 * * 1-5'), at('27T03:05'))), '01T03:00')
  assert.equal(overdueFrom(cronOf('0 0 31 2 *'), at('27T03:05')), undefined)
})
