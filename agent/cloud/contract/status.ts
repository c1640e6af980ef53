import * as z from 'zod'
import { jws } from './documents.ts'
import { heard } from './registration.ts'

const sequence = z.int().min(1).describe('Grows with each status of the region')
const made = {
  generatedAt: z.iso.datetime().describe('By the clock of the region').meta({ example: '2026-01-31T12:00:00.000Z' }),
  clock: z
    .object({
      offsetMs: z.int().describe('How far the clock of the cloud is ahead'),
      uncertaintyMs: z.int().min(0),
      source: z.enum(['cloud']),
    })
    .optional()
    .describe('As the region has measured it'),
}

/** The fields that every status of a region has; the others are those of `GET /v1/region` of its agent. */
const region = z.looseObject({
  id: z.string(),
  parts: z
    .record(
      z.string(),
      z.object({ observedAt: z.iso.datetime(), stale: z.object({ since: z.iso.datetime(), reason: z.string() }).optional() }),
    )
    .describe('The age of each field, by its name'),
})

/** A whole status. */
export const wholeStatus = z.object({ sequence, ...made, region }).meta({ id: 'Status' })

/** A change of a status, as a merge patch; a heartbeat has the sequence only. */
export const statusChange = z
  .looseObject({ sequence, ...z.object(made).partial().shape, region: z.record(z.string(), z.unknown()).optional() })
  .meta({ id: 'StatusChange' })

/** The answer to a status: it counts as received once this names its sequence. */
export const statusAnswer = z
  .object({
    acknowledged: z.int().min(0).describe('The sequence that the cloud has stored'),
    resync: z.boolean().optional().describe('Asks for the whole status'),
    call: z.boolean().optional().describe('The cloud is about to call: a tunnel that starts on demand is started'),
    ledger: z
      .object({ known: z.int().min(0) })
      .optional()
      .describe('The last operation of the region that the cloud knows'),
    trust: jws.optional().describe('A trust document, ahead of a change'),
    ...heard,
  })
  .meta({ id: 'StatusAnswer' })
export type StatusAnswer = z.infer<typeof statusAnswer>
