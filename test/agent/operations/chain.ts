import { hashOfEntry } from '../../../agent/operations/ledger.ts'
import type { Operation } from '../../../agent/resources/operation.ts'

/**
 * What is wrong with a run of consecutive entries, in words; undefined when the chain holds.
 * @param operations sorted by sequence; the first one's predecessor may have been collected
 */
export function faultOfChain(operations: readonly Operation[]): string | undefined {
  for (const [index, { spec }] of operations.entries()) {
    if (hashOfEntry(spec) !== spec.hash) return `entry ${spec.sequence} is not what was hashed`
    const before = operations[index - 1]?.spec
    if (before && spec.sequence !== before.sequence + 1) return `entry ${before.sequence + 1} is missing`
    if (before && spec.previousHash !== before.hash) return `entry ${spec.sequence} does not follow entry ${before.sequence}`
  }
  return undefined
}
