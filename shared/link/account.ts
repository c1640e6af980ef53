import * as z from 'zod'
import { noTraffic, sumOf, type Traffic } from './socket-bytes.ts'

/** The bytes of one day, by wire. */
export type DayBytes = Readonly<Record<string, Traffic>>

/** Bytes by day (`2026-01-31`, UTC) and wire. */
export type Account = Readonly<Record<string, DayBytes>>

/** Two months, so that last month's bill can be compared. */
const keptDays = 62

const count = z.int().min(0)
const stored = z.record(z.iso.date(), z.record(z.string().max(40), z.tuple([count, count])))

/** The account that a text of `accountText` has; an empty one of any other text. Too many days are cut. */
export function readAccount(text: string | undefined): Account {
  const found = stored.safeParse(jsonOf(text ?? '')).data ?? {}
  const days = Object.entries(found).map(([day, wires]): [string, DayBytes] => {
    return [day, Object.fromEntries(Object.entries(wires).map(([wire, [received, sent]]) => [wire, { received, sent }]))]
  })
  return newest(Object.fromEntries(days))
}

/** `{"2026-01-31":{"cloud":[received,sent]}}` */
export function accountText(account: Account): string {
  const days = Object.entries(account).map(([day, wires]) => {
    return [day, Object.fromEntries(Object.entries(wires).map(([wire, { received, sent }]) => [wire, [received, sent]]))]
  })
  return JSON.stringify(Object.fromEntries(days))
}

/** Both together. The oldest days go. */
export function addAccounts(one: Account, other: Account): Account {
  const days = new Set([...Object.keys(one), ...Object.keys(other)])
  return newest(Object.fromEntries([...days].map((day) => [day, addDays(one[day] ?? {}, other[day] ?? {})])))
}

export function addDays(one: DayBytes, other: DayBytes): DayBytes {
  const wires = new Set([...Object.keys(one), ...Object.keys(other)])
  return Object.fromEntries([...wires].map((wire) => [wire, sumOf([one[wire] ?? noTraffic, other[wire] ?? noTraffic])]))
}

/** All bytes of a day, in both directions. */
export function bytesOfDay(day: DayBytes): number {
  const { received, sent } = sumOf(Object.values(day))
  return received + sent
}

/** The day of this moment (Unix milliseconds), in UTC. */
export function dayOf(at: number): string {
  return new Date(at).toISOString().slice(0, 10)
}

function newest(account: Account): Account {
  const days = Object.entries(account).toSorted(([one], [other]) => one.localeCompare(other))
  return Object.fromEntries(days.slice(-keptDays))
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
