import * as z from 'zod'
import { refusalCodes } from '../../region-file/import/plan.ts'
import { obstacleCodes, verdicts } from '../../region-file/import/verdict.ts'

const openEnum = (names: readonly string[]) => z.union([z.enum(names as [string, ...string[]]), z.string().describe('Of a newer version')])

const said = (example: string) => z.string().meta({ example })

const database = z.object({
  project: said('harbour'),
  database: said('tidal-gauge'),
  verdict: openEnum(verdicts).meta({ example: 'refused' }),
  volumes: z.int().describe('How many volumes the file has of it').meta({ example: 3 }),
  obstacles: z
    .array(
      z.object({
        code: openEnum(obstacleCodes).meta({ example: 'host-unknown' }),
        message: said(
          'no node of this cluster can use volume pvc-7f1c: edge-1 is of another cluster; say which host it is here, as in hosts=edge-1=NAME',
        ),
      }),
    )
    .describe('Why it cannot be imported'),
  notes: z
    .array(z.string())
    .describe('What will be otherwise than it was')
    .meta({ example: ['Its backups fail until their keys are put again: the file has none.'] }),
})

const count = (example: number) => z.int().min(0).meta({ example })

/** What a dry run of an import tells besides the steps. */
export const importedSchema = {
  import: z
    .object({
      file: z.object({
        region: said('harbour-1'),
        createdAt: z.iso.datetime().meta({ example: '2026-01-31T12:00:00.000Z' }),
        ledger: count(117).describe('The newest entry of the ledger in it'),
        digest: said('9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08').describe('SHA-256 of its document'),
        origin: said('Not signed: the region had no key. The digest shows that the file is whole, not where it comes from.').describe(
          'Who vouches for it',
        ),
        leftOut: z
          .array(z.object({ what: said('project pier'), why: said('/quota must be an object') }))
          .describe('What of the region could not be put into the file when it was made, and why: an import does not bring it back'),
      }),
      refusals: z
        .array(
          z.object({
            code: openEnum(refusalCodes).meta({ example: 'other-region' }),
            message: said('The file is of the region pier-2, and this is harbour-1.'),
          }),
        )
        .describe('Why nothing of it would be imported; empty if it would'),
      counts: z
        .record(z.string(), z.int())
        .describe('How many databases have each verdict')
        .meta({ example: { ready: 97, 'volumes-found': 0, unchanged: 2, refused: 1 } }),
      projects: z.array(
        z.object({ project: said('harbour'), verdict: openEnum(['ready', 'unchanged', 'differs']).meta({ example: 'ready' }) }),
      ),
      databases: z.array(database).describe('A verdict for each database, those that need somebody first; at most 1,000'),
      deletions: count(0).describe('How many deleted databases the file has, which are kept here too'),
      more: z.object({ projects: count(0), databases: count(0) }).describe('How many there are besides those listed'),
    })
    .describe('The verdicts'),
}
