import * as z from 'zod'
import type { PlaceName } from '../../export/places/place.ts'
import type { ExportState } from '../../export/state.ts'

const moment = z.iso.datetime().meta({ example: '2026-01-31T12:00:00Z' })

export const exportSchema = z
  .record(
    z.string(),
    z.object({
      writtenAt: moment.nullable().describe('When the file was written there last; null if it never was'),
      confirmedAt: moment.nullable().describe('When the region was last seen to be what the file there says'),
      bytes: z.int().nullable().describe('Its size').meta({ example: 41_234 }),
      digest: z
        .string()
        .nullable()
        .describe('SHA-256 of its document')
        .meta({ example: '8f02e6d4b1c7'.repeat(6).slice(0, 64) }),
      failing: z
        .object({
          since: moment,
          message: z.string().meta({ example: '/var/lib/skerry/region.json cannot be written: the disk is full.' }),
        })
        .nullable()
        .describe('Why the last attempt to write it was in vain; null after one that was not')
        .meta({ example: null }),
    }),
  )
  .describe('Where the file is kept that the region can be made again from, by place: `cloud`, `bucket`, `file`. Absent without a place')

/** Places as the region shows them. */
export function exportShown(places: readonly PlaceName[], state: ExportState): z.input<typeof exportSchema> {
  const shown = places.map((place) => {
    const { file, failing } = state[place] ?? {}
    const { writtenAt = null, confirmedAt = null, bytes = null, digest = null } = file ?? {}
    return [place, { writtenAt, confirmedAt, bytes, digest, failing: failing ?? null }] as const
  })
  return Object.fromEntries(shown)
}
