import * as z from 'zod'
import { byteSize } from '../fields.ts'
import { linkProfiles } from './ladder.ts'

/** The section `link` of a program's configuration. */
export const linkSection = z.strictObject({
  profile: z
    .enum(linkProfiles)
    .default('normal')
    .describe('How much is sent: metered for a link that is paid by the megabyte, critical for one of a few kilobytes an hour'),
  budget: z
    .strictObject({
      perDay: byteSize({ min: '1kB' })
        .optional()
        .describe('Bytes that this program may send and receive in a day (UTC), such as 5MB. Towards its end less is sent, never nothing'),
    })
    .prefault({})
    .describe('The budget of the link'),
})
export type LinkSettings = z.output<typeof linkSection>
