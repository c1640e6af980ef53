import * as z from 'zod'
import { duration, formatDuration, secretFile } from '../../shared/fields.ts'
import { CheckFailure } from '../wire/reasons.ts'
import { shorten } from '../wire/wording.ts'
import { checkKind, type Measurement } from './kind.ts'

const options = z.strictObject({
  id: z
    .string()
    .max(100)
    .regex(/^[A-Za-z0-9][\w.-]*$/, 'must begin with a letter or a digit, and contain only letters, digits and . _ -')
    .describe('Where the sender reports: /heartbeat/ID at the monitor. Each check has its own.'),
  tokenFile: secretFile().describe('File with the token that the sender must show.'),
  within: duration({ min: '1s', max: '31d' }).describe('The longest time between two heartbeats.'),
})

/** The options of a heartbeat check, as they are parsed. */
export type HeartbeatOptions = z.output<typeof options>

/** Up while somebody else reports in time. */
export const heartbeat = checkKind({
  about:
    "Waits for something else to report: a backup, a cron job, another site. Down when no heartbeat has arrived within `within`, or when the last one said so. A sender requests `/heartbeat/ID` on the monitor's port with the header `Authorization: Bearer TOKEN`, or with `?token=TOKEN` if it cannot send a header. It may add `state` (`up`, `degraded` or `down`), `message`, and `ms`, the duration of its work; the names that Uptime Kuma uses (`status`, `msg`, `ping`) mean the same. Heartbeats survive a restart of the monitor, and every replica knows of them. Unknown until the first heartbeat, for as long as `within`.",
  example: { id: 'nightly-backup', tokenFile: '/etc/skerry/secrets/backup/token', within: '25h' },
  options,
  measures: {
    skerry_heartbeat_last_timestamp_seconds: { type: 'gauge', help: 'When the last heartbeat arrived.' },
    skerry_heartbeat_duration_seconds: { type: 'gauge', help: "Duration of the sender's work, as it reported." },
  },
  target: ({ id }) => id,
  async check({ id, within }, { heartbeat, now = Date.now }) {
    if (heartbeat === undefined)
      throw new CheckFailure('misconfigured', 'Heartbeats arrive at a running monitor, so this check cannot be run by itself.')
    const { last, since } = heartbeat(id)
    const limit = formatDuration(within)
    if (typeof last === 'string')
      return {
        state: 'unknown',
        reason: 'monitor_disconnected',
        detail: shorten(`Kept heartbeats are not known: ${last}.`),
        measurements: [],
      }
    if (last === undefined) {
      const detail = `No heartbeat has arrived yet. Check that the sender requests /heartbeat/${id} with its token.`
      return now() - since < within ? { state: 'unknown', reason: 'missing', detail } : { state: 'down', reason: 'missing', detail }
    }
    const measurements: Measurement[] = [{ name: 'skerry_heartbeat_last_timestamp_seconds', value: last.at / 1000 }]
    if (last.ms !== undefined) measurements.push({ name: 'skerry_heartbeat_duration_seconds', value: last.ms / 1000 })
    const ago = formatDuration(Math.max(0, Math.round((now() - last.at) / 1000) * 1000))
    const said = last.message === undefined || last.message === '' ? '' : ` It says: ${shorten(last.message, 150)}`
    if (now() - last.at > within)
      return {
        state: 'down',
        reason: 'timeout',
        detail: `The last heartbeat arrived ${ago} ago, not within ${limit}.${said}`,
        measurements,
      }
    if (last.state === 'up') return { state: 'up', detail: `The last heartbeat arrived ${ago} ago.${said}`, measurements }
    return { state: last.state, reason: 'failing', detail: `The sender reported ${last.state} ${ago} ago.${said}`, measurements }
  },
})
