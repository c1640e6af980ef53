import { describeBytes, formatBytes, parseBytes } from '../../shared/kubernetes/quantity.ts'
import type { RetainedDatabase, RetainedDatabaseSpec, RetainedDatabaseStatus, RetainedDatabaseVolume } from './retained-database.ts'
import { readRetained } from './retained-reading.ts'

/** What deleted databases still hold. */
export type RetainedSum = { databases: number; volumes: number; bytes: bigint }

/** The sum over records. A volume that several of them name counts once; a record that cannot be read holds nothing that is known. */
export function sumOfRetained(records: Iterable<RetainedDatabase>): RetainedSum {
  const volumes = new Map<string, bigint>()
  let databases = 0
  for (const record of records) {
    databases++
    for (const { uid, capacity } of readRetained(record).spec?.volumes ?? []) volumes.set(uid, parseBytes(capacity ?? '') ?? 0n)
  }
  return { databases, volumes: volumes.size, bytes: [...volumes.values()].reduce((sum, bytes) => sum + bytes, 0n) }
}

/** What is shown of deleted databases: what they still hold, and when the data of the next one is deleted. */
export type ShownRetained = { databases: number; volumes: number; storage: string; nextExpiry?: string }

/** The same for objects and the API. */
export function shownRetained(records: readonly RetainedDatabase[]): ShownRetained {
  const { databases, volumes, bytes } = sumOfRetained(records)
  const next = nextExpiry(records)
  return { databases, volumes, storage: formatBytes(bytes), ...(next !== undefined && { nextExpiry: new Date(next).toISOString() }) }
}

/** A record with its reading. */
type Read = { record: RetainedDatabase; spec: RetainedDatabaseSpec }

/** How much a record says of its database: one of volumes that were found says the least. */
const knowledge = { operation: 1, outside: 1, found: 0 } as const

/**
 * Whether another record has taken over all volumes of this one. Of two with the same volumes the newer one counts: the volumes served a
 * database once more. One that was made from volumes alone never replaces one that knows more. Pure.
 */
export function isTakenOver({ record, spec }: Read, others: Iterable<RetainedDatabase>): boolean {
  if (spec.volumes.length === 0) return false
  for (const other of others) {
    if (other.spec.project !== spec.project || other.spec.database !== spec.database) continue
    const reading = readRetained(other)
    if (other.metadata.name === record.metadata.name || !reading.spec) continue
    const theirs = new Set(reading.spec.volumes.map(({ uid }) => uid))
    if (spec.volumes.every(({ uid }) => theirs.has(uid)) && precedes({ record: other, spec: reading.spec }, { record, spec })) return true
  }
  return false
}

/** The uids of volumes of a record that other records name too, unless it has taken those over: they are not its own to delete. Pure. */
export function sharedVolumes(record: RetainedDatabase, others: readonly RetainedDatabase[]): Set<string> {
  const theirs = others.filter((other) => {
    if (other.metadata.name === record.metadata.name) return false
    const { spec } = readRetained(other)
    return spec === undefined || !isTakenOver({ record: other, spec }, [record])
  })
  return recordedVolumes(theirs)
}

/** A total order: of two records, never both are dropped. */
function precedes(one: Read, other: Read): boolean {
  const order = ({ record, spec }: Read) => [
    knowledge[spec.origin],
    Date.parse(spec.deletedAt),
    Date.parse(record.metadata.creationTimestamp ?? '') || 0,
  ]
  const [a, b] = [order(one), order(other)]
  const index = a.findIndex((value, at) => value !== b[at])
  if (index === -1) return one.record.metadata.name < other.record.metadata.name
  return (a[index] as number) > (b[index] as number)
}

/**
 * When the data of a deleted database may be deleted, in Unix milliseconds; undefined if nobody has decided that it may.
 *
 * The record must also have stood for as long as it was to be kept, by the clock of the API server: an agent whose clock was behind when it
 * wrote the record wrote an early date, and a record that was imported into another cluster is as useful there as on its first day.
 */
export function dueAt({ metadata }: RetainedDatabase, { deletedAt, expiresAt }: RetainedDatabaseSpec): number | undefined {
  if (expiresAt === undefined) return undefined
  const [expires, deleted] = [Date.parse(expiresAt), Date.parse(deletedAt)]
  const stands = Date.parse(metadata.creationTimestamp ?? '')
  return Number.isNaN(stands) ? expires : Math.max(expires, stands + expires - deleted)
}

/** When the first of these comes due, in Unix milliseconds; undefined if none has a date. */
export function nextExpiry(records: Iterable<RetainedDatabase>): number | undefined {
  let next: number | undefined
  for (const record of records) {
    const { spec } = readRetained(record)
    const due = spec && dueAt(record, spec)
    if (due !== undefined && (next === undefined || due < next)) next = due
  }
  return next
}

/** How one recorded volume is now. */
export type VolumeState = 'kept' | 'serves' | 'gone'

/** What becomes of a record by its volumes. */
export type Finding = 'stays' | 'gone' | 'serves'

/**
 * `gone`: no volume is left, so there is nothing to have back. `serves`: those that are left serve a database that stands. A record without
 * volumes stays: it still says what the database was. Pure.
 */
export function findingOf(states: readonly VolumeState[]): Finding {
  if (states.length === 0 || states.includes('kept')) return 'stays'
  return states.includes('serves') ? 'serves' : 'gone'
}

/** How a record is while no operation works on it. */
export type Standing = {
  /** Of its volumes, in their order. */
  states: readonly VolumeState[]
  /** Unix milliseconds. */
  dueAt: number | undefined
  /** A sentence about what keeps its data from being deleted. */
  trouble?: string | undefined
}

/** The status while no operation works on the record. What a purge said of volumes that it could not delete stays. Pure. */
export function keptStatus({ spec, status }: RetainedDatabase, { states, dueAt, trouble }: Standing): RetainedDatabaseStatus {
  const left = leftBy(status)
  const lost = states.filter((state) => state === 'gone').length
  const used = states.filter((state) => state === 'serves').length
  const sentences = [
    ...(left.length > 0 ? [`The storage did not delete ${left.length} of its volumes: ${left[0]?.volume}: ${left[0]?.why}.`] : []),
    ...(left.length > 0 ? [] : [dueAt === undefined ? 'Kept until somebody purges it.' : `Its data is deleted on ${momentOf(dueAt)}.`]),
    ...(lost > 0 ? [`${lost} of ${spec.volumes.length} volumes no longer exist.`] : []),
    ...(used > 0 ? [`${used} of ${spec.volumes.length} volumes serve the database that has the name now.`] : []),
    ...(trouble === undefined ? [] : [trouble]),
  ]
  return { phase: left.length > 0 ? 'PurgeIncomplete' : 'Kept', message: sentences.join(' ') }
}

/** The volumes that a purge could not delete. */
export function leftBy(status: RetainedDatabaseStatus | undefined): NonNullable<RetainedDatabaseStatus['left']> {
  return status?.left ?? []
}

/** `2026-12-24 18:00 UTC` */
function momentOf(at: number): string {
  return `${new Date(at).toISOString().slice(0, 16).replace('T', ' ')} UTC`
}

/** `192 GiB in 3 volumes of 2 deleted databases` */
export function describeRetained({ databases, volumes, bytes }: RetainedSum): string {
  const counted = (count: number, noun: string) => `${count} ${noun}${count === 1 ? '' : 's'}`
  return `${describeBytes(bytes)} in ${counted(volumes, 'volume')} of ${counted(databases, 'deleted database')}`
}

/** The uids of all volumes that some record names. */
export function recordedVolumes(records: Iterable<RetainedDatabase>): Set<string> {
  return new Set([...records].flatMap(uidsOf))
}

/** Also of a record that cannot be read as a whole: its volumes are somebody's. */
function uidsOf({ spec }: RetainedDatabase): string[] {
  const volumes: Partial<RetainedDatabaseVolume>[] = Array.isArray(spec?.volumes) ? spec.volumes : []
  return volumes.flatMap((each) => (typeof each?.uid === 'string' ? each.uid : []))
}
