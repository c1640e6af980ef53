import * as z from 'zod'
import { shownSum } from '../../resources/retained-keeping.ts'

/** What deleted databases still hold, as the API shows it. */
export const retainedSchema = z
  .object({ databases: z.int(), volumes: z.int(), storage: z.string() })
  .describe('What deleted databases still hold. It counts against the quota, and is freed by a purge')
  .meta({ example: { databases: 1, volumes: 3, storage: '192Gi' } })

/** Nothing is held. */
export const noneRetained: z.output<typeof retainedSchema> = shownSum({ databases: 0, volumes: 0, bytes: 0n })
