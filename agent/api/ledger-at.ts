import { Problem } from '../../shared/errors.ts'
import type { Journal } from '../operations/journal.ts'
import { describeTarget, projectOfTarget, type Target } from '../resources/kind.ts'
import { operationName } from '../resources/operation.ts'

/** The last entry of the ledger that a caller knows; its hash, if it says that too. */
export type LedgerAt = { sequence: number; hash: string | undefined }

/**
 * Whether a caller may decide on a target, given the last entry of the ledger that it knows (`If-Ledger-At`). A cloud that was restored from
 * last night's backup would otherwise undo what was changed since, and a region that was restored itself would give numbers again that the
 * cloud knows as other operations.
 *
 * @param ledgerAt undefined for a caller that does not say
 * @throws Problem `ledger-behind` if the target, or the project that it is in, may have changed since; `ledger-ahead` if there is no such entry,
 *   or another one under its number
 */
export function mustKnow(journal: Journal, target: Target, ledgerAt: LedgerAt | undefined): void {
  if (ledgerAt === undefined) return
  const { sequence: known, hash } = ledgerAt
  const { sequence: head } = journal.head()
  if (known > head) {
    const detail = `If-Ledger-At is ${known}, but the ledger of this region ends at ${head}.`
    throw new Problem('ledger-ahead', detail, { extensions: { ledger: { known, head } } })
  }
  const ours = hash === undefined ? undefined : hashAt(journal, known)
  if (ours !== undefined && ours !== hash) {
    const detail = `If-Ledger-At is ${known} with another hash than entry ${known} of this region has. The ledger ends at ${head}.`
    throw new Problem('ledger-ahead', detail, { extensions: { ledger: { known, head } } })
  }
  const project = projectOfTarget(target)
  const targets: Target[] = project === undefined ? [target] : [target, { kind: 'project', project }]
  const changed = Math.max(...targets.map((each) => journal.lastChangeOf(each)))
  if (changed <= known) return
  const detail = `If-Ledger-At is ${known}, but ${describeTarget(target)} may have changed at ${changed}. The ledger ends at ${head}.`
  throw new Problem('ledger-behind', detail, { extensions: { ledger: { known, changed, head } } })
}

/** Reads the entry that the caller knows, if another replica has accepted it a moment ago. @throws Problem as `Cluster.request` does */
export async function hearOf(journal: Journal, ledgerAt: LedgerAt | undefined): Promise<void> {
  if (ledgerAt !== undefined && ledgerAt.sequence > journal.head().sequence) await journal.find(operationName(ledgerAt.sequence))
}

/** The hash of an entry, from itself or from the next one; undefined if neither is kept. */
function hashAt(journal: Journal, sequence: number): string | undefined {
  const head = journal.head()
  if (head.sequence === sequence) return head.hash
  const kept = journal.all().find(({ spec }) => spec.sequence === sequence || spec.sequence === sequence + 1)?.spec
  return kept && (kept.sequence === sequence ? kept.hash : kept.previousHash)
}
