import * as z from 'zod'
import { type LinkStanding, linkProfiles } from '../../../shared/link/index.ts'
import { heartbeatFloorOf } from '../../cloud/pace.ts'

const bytes = z.int().min(0).meta({ example: 731_412 })

/** How the links of the region stand. It changes a few times a day at most: each change of a status costs bytes. */
export const linkSchema = z
  .object({
    profile: z.enum(linkProfiles).describe('How much the agent sends; `normal` is as much as is configured'),
    because: z.enum(['configuration', 'budget']).describe('Why it is not more'),
    heartbeatFloor: z
      .int()
      .nullable()
      .describe('Seconds that are between two heartbeats at least, whatever the cloud asks for; null if none')
      .meta({ example: null }),
    budget: z
      .object({
        perDay: bytes.describe('Bytes that a day may have, in both directions'),
        usedPercent: z.int().describe('How much of it is used, rounded down to tens; above 100, it is exceeded').meta({ example: 30 }),
      })
      .nullable()
      .describe('null if there is none'),
    yesterday: z
      .record(z.string(), z.object({ received: bytes, sent: bytes }))
      .describe('Bytes of the last whole day (UTC) by wire, of all replicas: `cloud`, `api`. With TLS, without the headers of TCP and IP'),
  })
  .meta({ id: 'LinkOfRegion' })

/** The standing as the region shows it. */
export function linkShown({ profile, because, budget, yesterday }: LinkStanding): z.input<typeof linkSchema> {
  return {
    profile,
    because,
    heartbeatFloor: heartbeatFloorOf(profile),
    budget: budget === undefined ? null : { perDay: budget.perDay, usedPercent: Math.floor((10 * budget.used) / budget.perDay) * 10 },
    yesterday: { ...yesterday },
  }
}
