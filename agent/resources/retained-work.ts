import type { DatabaseTarget } from './kind.ts'
import { type Operation, targetKey } from './operation.ts'
import type { RetainedDatabase, RetainedDatabaseStatus } from './retained-database.ts'

/** The actions on deleted databases, and the request of the API that asks for each. */
export const purge = { action: 'purge', operationId: 'purgeDeletedDatabase' } as const

/** The phase of a record while such an operation works on it. */
const phases: Record<string, RetainedDatabaseStatus['phase']> = { undelete: 'Undeleting', [purge.action]: 'Purging' }

/** Whether an operation is about this record of a deleted database. */
export function worksOn({ spec }: Operation, target: DatabaseTarget, { metadata }: RetainedDatabase): boolean {
  return phases[spec.action] !== undefined && targetKey(spec.target) === targetKey(target) && spec.parameters?.deleted === metadata.name
}

/** Whether the operation makes a database of it again. */
export function isTakenBackBy({ spec }: Operation, { metadata }: RetainedDatabase): boolean {
  return phases[spec.action] === 'Undeleting' && spec.parameters?.deleted === metadata.name
}

/** The status while an operation works on the record. */
export function statusDuring({ metadata, spec }: Operation): RetainedDatabaseStatus {
  const phase = phases[spec.action] ?? 'Kept'
  const does = phase === 'Undeleting' ? 'It is taken back' : 'Its data is being deleted'
  return { phase, message: `${does} by ${metadata.name}, which ${spec.requestedBy} asked for.` }
}
