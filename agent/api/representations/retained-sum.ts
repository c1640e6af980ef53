import * as z from 'zod'

/** What deleted databases still hold, as the API shows it. */
export const retainedSchema = z
  .object({
    databases: z.int(),
    volumes: z.int(),
    storage: z.string(),
    nextExpiry: z.iso.datetime().nullable().describe('When the data of the next one is deleted; null if none has a date'),
  })
  .describe('What deleted databases still hold. It counts against the quota, and is freed by a purge')
  .meta({ example: { databases: 1, volumes: 3, storage: '192Gi', nextExpiry: '2026-12-07T12:00:00.000Z' } })

/** Nothing is held. */
export const noneRetained: z.output<typeof retainedSchema> = { databases: 0, volumes: 0, storage: '0', nextExpiry: null }
