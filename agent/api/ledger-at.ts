import { Problem } from '../../shared/errors.ts'
import type { Journal } from '../operations/journal.ts'
import { describeTarget, type Target } from '../resources/kind.ts'
import { operationName } from '../resources/operation.ts'

/**
 * Whether a caller may decide on a target, given the last entry of the ledger that it knows (`If-Ledger-At`). A cloud that was restored from
 * last night's backup would otherwise undo what was changed since, and a region that was restored itself would give numbers again that the
 * cloud knows as other operations.
 *
 * @param ledgerAt undefined for a caller that does not say
 * @throws Problem `ledger-behind` if the target, or the project that it is in, may have changed since; `ledger-ahead` if there is no such entry
 */
export function mustKnow(journal: Journal, target: Target, ledgerAt: number | undefined): void {
  if (ledgerAt === undefined) return
  const { sequence: head } = journal.head()
  if (ledgerAt > head) {
    const detail = `If-Ledger-At is ${ledgerAt}, but the ledger of this region ends at ${head}.`
    throw new Problem('ledger-ahead', detail, { extensions: { ledger: { known: ledgerAt, head } } })
  }
  const project: Target = { kind: 'project', project: target.project }
  const changed = Math.max(journal.lastChangeOf(target), journal.lastChangeOf(project))
  if (changed <= ledgerAt) return
  const detail = `If-Ledger-At is ${ledgerAt}, but ${describeTarget(target)} may have changed at ${changed}. The ledger ends at ${head}.`
  throw new Problem('ledger-behind', detail, { extensions: { ledger: { known: ledgerAt, changed, head } } })
}

/** Reads the entry that the caller knows, if another replica has accepted it a moment ago. @throws Problem as `Cluster.request` does */
export async function hearOf(journal: Journal, ledgerAt: number | undefined): Promise<void> {
  if (ledgerAt !== undefined && ledgerAt > journal.head().sequence) await journal.find(operationName(ledgerAt))
}
