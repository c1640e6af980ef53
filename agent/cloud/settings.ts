import * as z from 'zod'
import { duration, fileToRead } from '../../shared/fields.ts'

/** The section `cloud` of the configuration. */
export const cloudSection = z.strictObject({
  url: z
    .url({ protocol: /^https$/, error: 'must be an https URL without a path, such as https://cloud.example.org' })
    .refine((url) => URL.parse(url)?.pathname === '/' && !/[?#@]/.test(url), 'must have no path, query or user')
    .transform((url) => new URL(url).origin)
    .describe('The cloud that the region joins and tells its status'),
  caFile: fileToRead().optional().describe("PEM CA certificates that the cloud's certificate may come from, besides those of the system"),
  tags: z
    .record(z.string().regex(/^[A-Za-z0-9]([\w./-]{0,61}[A-Za-z0-9])?$/, 'must be letters, digits, . _ / -'), z.string().max(200))
    .default({})
    .describe(
      'What the site says about the region, such as its place. Of two tags with one name, this one counts, not the one of the cloud',
    ),
  heartbeat: duration({ min: '15s', max: '1h' })
    .prefault('60s')
    .describe('Time between two heartbeats, where the cloud does not ask for another one'),
  gather: duration({ min: '1s', max: '10m' })
    .prefault('5s')
    .describe('How long changes of the status are gathered before the cloud hears of them'),
  timeout: duration({ min: '1s', max: '5m' }).prefault('30s').describe('The longest time for one exchange'),
})
export type CloudConfig = z.output<typeof cloudSection>
