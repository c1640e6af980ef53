import { type Cache, isNewer } from '../../shared/kubernetes/cache.ts'
import type { KubernetesObject } from '../../shared/kubernetes/objects.ts'
import { type Operation, operationName } from '../resources/operation.ts'
import type { Entries } from './entries.ts'
import { type LedgerRecord, readLedgerRecord } from './holes.ts'
import type { LedgerHead } from './ledger.ts'
import type { Register } from './register.ts'

export type CatchUpParts = { ledger: Cache<KubernetesObject>; operations: Cache<Operation>; entries: Entries; register: Register }

/**
 * Reads the entries that this replica knows to exist, but that its watch has not delivered yet: the record of the ledger names a later entry,
 * or somebody asks for one. Only then is the head of the register raised, so that every entry up to it is known here, or known to be gone.
 */
export class CatchUp {
  readonly #parts: CatchUpParts
  #recorded: { record: LedgerRecord; version: string | undefined } | undefined
  #reading: Promise<void> | undefined

  constructor(parts: CatchUpParts) {
    this.#parts = parts
    parts.ledger.subscribe(({ type, object }) => {
      const record = type === 'removed' ? undefined : readLedgerRecord(object)
      this.#recorded = record && { record, version: object.metadata.resourceVersion }
    })
  }

  /** The record as it was last read. */
  get record(): LedgerRecord | undefined {
    return this.#recorded?.record
  }

  /** Whether the ledger has entries that may be unknown here. */
  isNeeded(): boolean {
    const { operations, register } = this.#parts
    if (this.#recorded === undefined) return false
    const { record, version } = this.#recorded
    if (record.head.sequence <= register.head().sequence) return false
    // Once the watch of operations has passed the version of the record, what it has not delivered is gone.
    const isPassed = !isNewer(version, operations.seen)
    if (!isPassed && this.#unheardUpTo(record.head.sequence).length > 0) return true
    register.raiseTo(record.head)
    return false
  }

  /** Until every entry up to the newest one in the record is known, or known to be gone. @throws Problem as `Cluster.request` does */
  async run(): Promise<void> {
    while (this.#recorded && this.isNeeded()) await this.upTo(this.#recorded.record.head)
  }

  /** Until every entry up to this one, which exists or did, is known, or known to be gone. @throws Problem as `Cluster.request` does */
  async upTo(head: LedgerHead): Promise<void> {
    while (head.sequence > this.#parts.register.head().sequence) {
      this.#reading ??= this.#read(head).finally(() => {
        this.#reading = undefined
      })
      await this.#reading
    }
  }

  async #read(head: LedgerHead): Promise<void> {
    await this.#parts.entries.readAll(this.#unheardUpTo(head.sequence).map(operationName))
    this.#parts.register.raiseTo(head)
  }

  /** The entries after the head that may exist, by sequence. */
  #unheardUpTo(last: number): number[] {
    const known = Math.max(this.#parts.register.head().sequence, this.record?.collectedUpTo ?? 0)
    return Array.from({ length: Math.max(last - known, 0) }, (_, index) => known + 1 + index)
  }
}
