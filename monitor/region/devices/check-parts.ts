// A group of checks whose birth is larger than a server takes is split into parts: each is a device of its own.
import { createHash } from 'node:crypto'
import type { Check } from '../../prober/check.ts'
import { birthBytes } from '../../sparkplug/birth-size.ts'
import { checkMetrics } from './checks.ts'

/** The device of a part of a group, as the name of a thing: the first is named like the group, the others `GROUP (part 2)` and so on. */
export function partKey(group: string, part: number): string {
  return part === 0 ? group : `${group} (part ${part + 1})`
}

/** What decides in which part a check is: it does not change as long as the check is defined as it is. */
export type Weight = {
  /** 32 bits of the SHA-256 of its name. */
  hash: number
  /** The bytes that it takes in a birth. */
  bytes: number
}

/** A detail of usual length. Longer ones, all at once, may make a birth leave descriptions out. */
const usualDetail = 'x'.repeat(100)

/** The weight of a check. It depends on its definition, not on its state: parts must not change with that. */
export function weightOf(check: Check): Weight {
  const seen = { state: 'degraded', since: 2 ** 41, reason: 'partly_unavailable', detail: usualDetail, lastDuration: 1.5 } as const
  return { hash: createHash('sha256').update(check.name).digest().readUInt32BE(), bytes: birthBytes(checkMetrics({ check, ...seen })) }
}

/** The part of a check: by its name alone, so that it stays where it is whatever other checks come and go. `parts` is a power of two. */
export function partOf({ hash }: Pick<Weight, 'hash'>, parts: number): number {
  return hash % parts
}

/**
 * How many parts a group needs so that the birth of each is within the limit: a power of two, so that half of the checks stay where they
 * are when it doubles.
 * @param limitBytes the largest packet
 * @param atLeast how many parts it has already: it never has fewer again while the monitor runs
 */
export function partsNeeded(weights: readonly Weight[], limitBytes: number, atLeast: number): number {
  // Beside the checks: topic, summary and control; and names that are written longer than they are.
  const budget = Math.max(1, limitBytes * 0.85 - 600)
  const total = weights.reduce((sum, { bytes }) => sum + bytes, 0)
  // Chance fills parts unevenly, and a check may be larger than the limit: more parts do not help for ever.
  const most = 8 * Math.ceil(total / budget)
  let parts = atLeast
  while (parts < most && largestPart(weights, parts) > budget) parts *= 2
  return parts
}

function largestPart(weights: readonly Weight[], parts: number): number {
  const sums = new Map<number, number>()
  for (const weight of weights) {
    const part = partOf(weight, parts)
    sums.set(part, (sums.get(part) ?? 0) + weight.bytes)
  }
  return sums.values().reduce((largest, bytes) => Math.max(largest, bytes), 0)
}
