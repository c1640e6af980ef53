import type { shownPlan } from '../region-file/import/plan.ts'
import { inOwnWords } from './own-words.ts'

/** The plan of an import, as the API shows it. */
export type ShownImport = ReturnType<typeof shownPlan>

/** The plan for people: what the file is, why nothing of it would be imported, and each database in a line. Pure. */
export function importTable({ file, refusals, counts, projects, databases, more }: ShownImport): string {
  const lines = [
    `Region ${file.region}, made ${file.createdAt}, at entry ${file.ledger} of its ledger.`,
    file.origin,
    ...file.leftOut.map(({ what, why }) => `Not in the file: ${what}: ${why}`),
    ...refusals.map(({ message }) => `Refused: ${inOwnWords(message)}`),
    '',
    ...projects
      .filter(({ verdict }) => verdict === 'differs')
      .map(({ project }) => `${project}  stays as it is here, and not as the file says`),
    ...databases.flatMap(({ project, database, verdict, volumes, obstacles, notes }) => [
      `${`${project}/${database}`.padEnd(40)} ${verdict.padEnd(14)} ${volumes} ${volumes === 1 ? 'volume' : 'volumes'}`,
      ...[...obstacles.map(({ message }) => inOwnWords(message)), ...notes].map((each) => `  ${each}`),
    ]),
    ...(more.databases > 0 ? [`and ${more.databases} more databases`] : []),
    '',
    ...((counts.refused ?? 0) > 0 ? ['What to do about each reason: docs/recovery.md, "Rebuild a region".'] : []),
    Object.entries(counts)
      .map(([verdict, count]) => `${count} ${verdict}`)
      .join(', '),
  ]
  // The file may come from anybody, and a terminal obeys control characters.
  return `${lines.map((each) => each.replaceAll(/\p{Cc}/gu, ' ')).join('\n')}\n`
}
