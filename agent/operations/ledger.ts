import { createHash } from 'node:crypto'
import canonicalize from 'canonicalize'
import type { OperationSpec } from '../resources/operation.ts'

/** The last entry of the ledger, which the next one is chained to. */
export type LedgerHead = { sequence: number; hash: string }

/** The head of a ledger without entries. */
export const emptyLedger: LedgerHead = { sequence: 0, hash: `sha256:${'0'.repeat(64)}` }

/** The entry after `head`, with its place in the chain and its hash. */
export function chainEntry(head: LedgerHead, entry: Omit<OperationSpec, 'sequence' | 'previousHash' | 'hash'>): OperationSpec {
  const chained = { ...entry, sequence: head.sequence + 1, previousHash: head.hash }
  return { ...chained, hash: hashOfEntry(chained) }
}

/** `sha256:` and the hash of the canonical JSON (RFC 8785) of an entry without its own hash and what was planned. */
export function hashOfEntry(entry: Omit<OperationSpec, 'hash'> & { hash?: string }): string {
  const { hash: _hash, planned: _planned, ...covered } = entry
  return `sha256:${createHash('sha256')
    .update(canonicalize(covered) ?? '')
    .digest('hex')}`
}
