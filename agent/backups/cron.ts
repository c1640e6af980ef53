/** When something is due, in UTC. The grammar is that of `cron` in agent/resources/identifiers.ts: no names, no nicknames, no seconds. */
export type Cron = {
  minutes: ReadonlySet<number>
  hours: ReadonlySet<number>
  days: ReadonlySet<number>
  months: ReadonlySet<number>
  weekdays: ReadonlySet<number>
  /** With both days of the month and of the week named, one of the two is enough; so in cron, and in a CronJob of Kubernetes. */
  eitherDay: boolean
}

const ranges = [
  [0, 59],
  [0, 23],
  [1, 31],
  [1, 12],
  [0, 6],
] as const

/** @param text valid by the schema @returns undefined for a text that is not */
export function parseCron(text: string): Cron | undefined {
  const fields = text.split(' ')
  const sets = ranges.map(([least, greatest], index) => valuesOf(fields[index] ?? '', least, greatest))
  const [minutes, hours, days, months, weekdays] = sets
  if (fields.length !== 5 || !minutes || !hours || !days || !months || !weekdays) return undefined
  return { minutes, hours, days, months, weekdays, eitherDay: fields[2] !== '*' && fields[4] !== '*' }
}

function valuesOf(field: string, least: number, greatest: number): Set<number> | undefined {
  if (field === '*') return numbers(least, greatest, 1)
  const [, from, operator, to] = /^(\d{1,2})(?:([/-])(\d{1,2}))?$/.exec(field) ?? []
  if (operator === '-') return numbers(Number(from), Number(to), 1)
  // From there to the end, in steps: as the CronJob controller reads it.
  if (operator === '/') return Number(to) > 0 ? numbers(Number(from), greatest, Number(to)) : undefined
  return /^\d{1,2}(,\d{1,2})*$/.test(field) ? new Set(field.split(',').map(Number)) : undefined
}

function numbers(from: number, to: number, step: number): Set<number> {
  return new Set(Array.from({ length: Math.max(0, Math.floor((to - from) / step) + 1) }, (_, index) => from + index * step))
}

const minuteMs = 60_000
const minutesPerDay = 24 * 60

/** A time that comes comes within 8 years: 29 February, around a year such as 2100. */
const longestMs = 9 * 366 * 24 * 60 * minuteMs

/** The first time after a moment, in Unix milliseconds; undefined if there never is one: 31 February. */
export function nextRun(cron: Cron, after: number): number | undefined {
  return search(cron, Math.floor(after / minuteMs) * minuteMs + minuteMs, 1)
}

/** The last time until a moment, that moment too; undefined if there never was one. */
export function lastRun(cron: Cron, until: number): number | undefined {
  return search(cron, Math.floor(until / minuteMs) * minuteMs, -1)
}

/** The shortest time between two runs, in minutes; undefined for a schedule that never comes, or for one that comes less than twice. */
export function shortestGap(cron: Cron): number | undefined {
  const first = nextRun(cron, Date.UTC(2026, 0))
  if (first === undefined) return undefined
  const times = [...cron.hours].flatMap((hour) => [...cron.minutes].map((minute) => hour * 60 + minute)).sort((a, b) => a - b)
  const gaps = times.slice(1).flatMap((time, index) => time - (times[index] ?? time) || [])
  const overnight = (times[0] ?? 0) + minutesPerDay - (times.at(-1) ?? 0)
  const shortest = Math.min(...gaps, hasNeighbours(cron) ? overnight : Number.POSITIVE_INFINITY)
  if (Number.isFinite(shortest)) return shortest
  const second = nextRun(cron, first)
  return second === undefined ? undefined : (second - first) / minuteMs
}

/** Whether it comes on two days in a row. Days of the week meet the same days of the month again after 28 years. */
function hasNeighbours(cron: Cron): boolean {
  const comesOn = (day: number) => {
    const date = new Date(day * minutesPerDay * minuteMs)
    return cron.months.has(date.getUTCMonth() + 1) && isDay(cron, date)
  }
  const start = Date.UTC(2026, 0) / (minutesPerDay * minuteMs)
  return Array.from({ length: 28 * 366 }, (_, index) => start + index).some((day) => comesOn(day) && comesOn(day + 1))
}

/** @param direction 1: later, -1: earlier */
function search(cron: Cron, from: number, direction: 1 | -1): number | undefined {
  let at = from
  while (Math.abs(at - from) <= longestMs) {
    const date = new Date(at)
    const [year, month, day, hour] = [date.getUTCFullYear(), date.getUTCMonth(), date.getUTCDate(), date.getUTCHours()]
    // What does not fit is left as a whole, to the first minute after it or the last one before it.
    const next = direction === 1
    if (!cron.months.has(month + 1)) at = next ? Date.UTC(year, month + 1) : Date.UTC(year, month) - minuteMs
    else if (!isDay(cron, date)) at = next ? Date.UTC(year, month, day + 1) : Date.UTC(year, month, day) - minuteMs
    else if (!cron.hours.has(hour)) at = next ? Date.UTC(year, month, day, hour + 1) : Date.UTC(year, month, day, hour) - minuteMs
    else if (!cron.minutes.has(date.getUTCMinutes())) at += direction * minuteMs
    else return at
  }
  return undefined
}

function isDay({ days, weekdays, eitherDay }: Cron, date: Date): boolean {
  const [ofMonth, ofWeek] = [days.has(date.getUTCDate()), weekdays.has(date.getUTCDay())]
  return eitherDay ? ofMonth || ofWeek : ofMonth && ofWeek
}
