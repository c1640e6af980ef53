import type { DatabaseTarget } from './kind.ts'
import { type Operation, targetKey } from './operation.ts'
import type { RetainedDatabase } from './retained-database.ts'

/** The action that deletes the data of a deleted database, and the request of the API that asks for it. */
export const purge = { action: 'purge', operationId: 'purgeDeletedDatabase' } as const

/** Whether an operation purges this deleted database. */
export function isPurgeOf({ spec }: Operation, target: DatabaseTarget, { metadata }: RetainedDatabase): boolean {
  return spec.action === purge.action && targetKey(spec.target) === targetKey(target) && spec.parameters?.deleted === metadata.name
}

/** Whether the operation makes a database of it again. */
export function isTakenBackBy({ spec }: Operation, { metadata }: RetainedDatabase): boolean {
  return (spec.action === 'undelete' || spec.action === 'reattach') && spec.parameters?.deleted === metadata.name
}
