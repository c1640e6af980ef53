import * as z from 'zod'
import type { KubernetesObject } from '../../shared/kubernetes/objects.ts'
import { managedBy } from '../resources/labels.ts'
import { emptyLedger, type LedgerHead } from './ledger.ts'

/** The ConfigMap of the record, in the agent's own namespace. */
export const ledgerConfigMapName = 'skerry-ledger'

const holeSchema = z.object({
  from: z.int().min(1),
  to: z.int().min(1),
  previousHash: z.string().nullable(),
  hash: z.string().nullable(),
  noticedAt: z.string().nullable(),
})

const recordSchema = z.object({
  collectedUpTo: z.int().min(0),
  head: z.object({ sequence: z.int().min(0), hash: z.string() }),
  holes: z.array(holeSchema),
})

/** Entries of the ledger that somebody deleted: all from `from` to `to`. */
export type Hole = {
  from: number
  to: number
  /** The hash of the entry before the hole; null if it is unknown. */
  previousHash: string | null
  /** The hash of the last missing entry, which the entry after the hole is chained to; null if it is unknown. */
  hash: string | null
  /** When the leader noticed it; null until then. RFC 3339. */
  noticedAt: string | null
}

/** A hole, and how many of its entries are missing. In the oldest one that can be fewer than all: beyond 100, holes are merged. */
export type CountedHole = Hole & { missing: number }

/** Facts about the ledger that its entries cannot show, since they are gone. */
export type LedgerRecord = {
  /** The collector deletes entries up to this one. Any other missing entry is a hole. */
  collectedUpTo: number
  /** The newest entry, as last noted. */
  head: LedgerHead
  /** By sequence, without those that the collector has passed. */
  holes: Hole[]
}

/** An entry, as far as the chain is concerned. */
export type Link = { sequence: number; hash: string; previousHash: string }

/** The record in a ConfigMap; undefined if there is none, or if somebody has made it unreadable. */
export function readLedgerRecord(object: KubernetesObject | undefined): LedgerRecord | undefined {
  try {
    return recordSchema.parse(JSON.parse(object?.data?.record))
  } catch {
    return undefined
  }
}

/** @param resourceVersion writes only if it is still that version */
export function ledgerConfigMap(namespace: string, record: LedgerRecord, resourceVersion: string | undefined): KubernetesObject {
  const metadata = { name: ledgerConfigMapName, namespace, labels: managedBy, ...(resourceVersion !== undefined && { resourceVersion }) }
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { record: JSON.stringify(record) } }
}

/** The record of a ledger that has none yet: what is missing before its oldest entry counts as collected. @param kept by sequence */
export function firstRecord(kept: readonly Link[], head: LedgerHead): LedgerRecord {
  return { collectedUpTo: (kept[0]?.sequence ?? head.sequence + 1) - 1, head, holes: [] }
}

/**
 * The holes that are not in the record yet, by sequence, with the hashes that are known.
 *
 * @param kept all entries that are kept, by sequence
 * @param gone what is remembered of entries that are gone
 */
export function newHoles(
  kept: readonly Link[],
  { collectedUpTo, head, holes }: LedgerRecord,
  gone: ReadonlyMap<number, Link> = new Map(),
): Hole[] {
  const links = new Map([...gone, ...kept.map((link) => [link.sequence, link] as const)])
  const hashOf = (sequence: number) => {
    if (sequence === 0) return emptyLedger.hash
    if (sequence === head.sequence) return head.hash
    return links.get(sequence)?.hash ?? links.get(sequence + 1)?.previousHash ?? null
  }
  const accounted = [
    { from: 1, to: collectedUpTo },
    ...kept.map(({ sequence }) => ({ from: sequence, to: sequence })),
    ...holes,
    { from: head.sequence + 1, to: head.sequence + 1 },
  ].sort((a, b) => a.from - b.from)
  const found: Hole[] = []
  let next = 1
  for (const { from, to } of accounted) {
    if (from > next) found.push({ from: next, to: from - 1, previousHash: hashOf(next - 1), hash: hashOf(from - 1), noticedAt: null })
    next = Math.max(next, to + 1)
  }
  return found
}

/** The holes with the number of entries that are missing in each. Both lists are sorted by sequence. */
export function countHoles(holes: readonly Hole[], kept: readonly Link[]): CountedHole[] {
  let at = 0
  return holes.map((hole) => {
    while ((kept[at]?.sequence ?? Number.POSITIVE_INFINITY) < hole.from) at++
    const first = at
    while ((kept[at]?.sequence ?? Number.POSITIVE_INFINITY) <= hole.to) at++
    return { ...hole, missing: hole.to - hole.from + 1 - (at - first) }
  })
}

/** Holes that are recorded, each with about 250 bytes, in a ConfigMap that is written with every new entry. */
const mostHoles = 100

/**
 * At most `mostHoles`: the oldest are merged into one, which spans the entries that are kept between them.
 * @param holes by sequence
 */
export function boundHoles(holes: readonly Hole[]): Hole[] {
  const merged = holes.slice(0, Math.max(holes.length - mostHoles, 0) + 1)
  const [first, last] = [merged[0], merged.at(-1)]
  if (!first || !last) return []
  const noticedAt =
    merged
      .map((hole) => hole.noticedAt ?? '')
      .sort()
      .at(-1) || null
  return [{ ...first, to: last.to, hash: last.hash, noticedAt }, ...holes.slice(merged.length)]
}

/** The holes that remain when the collector has deleted everything up to an entry. */
export function holesAfter(upTo: number, holes: readonly Hole[]): Hole[] {
  return holes.flatMap((hole) => (hole.to <= upTo ? [] : hole.from > upTo ? hole : { ...hole, from: upTo + 1, previousHash: null }))
}
