import { isDeepStrictEqual } from 'node:util'

/** A status as far as it is looked at. */
type Looked = { [field: string]: unknown; parts: Record<string, object> }

/** What somebody may have to act on at once: it is told without being gathered for long, whatever a byte costs. */
const alarming = ['leader', 'operator', 'tunnel', 'databaseStates', 'components', 'blockers', 'ledger', 'sealing'] as const

/** The fields of hosts that say whether they work. */
const vital = ['hostname', 'name', 'ready'] as const

/** Whether something has happened between the two that must not wait: an operation was accepted, something broke, or works again. */
export function isAlarm(before: Looked, now: Looked): boolean {
  return !isDeepStrictEqual(vitalsOf(before), vitalsOf(now))
}

function vitalsOf(document: Looked): unknown {
  const stale = Object.entries(document.parts).flatMap(([part, age]) => ('stale' in age && age.stale !== undefined ? [part] : []))
  const lists = Object.entries(document).flatMap(([field, value]) =>
    Array.isArray(value) ? [[field, value.map((item) => picked(item, vital))] as const] : [],
  )
  return [stale, Object.fromEntries(lists), picked(document, alarming)]
}

function picked(from: unknown, keys: readonly string[]): unknown {
  if (typeof from !== 'object' || from === null) return from
  return Object.fromEntries(Object.entries(from).filter(([key]) => keys.includes(key)))
}
