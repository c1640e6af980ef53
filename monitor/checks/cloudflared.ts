import * as z from 'zod'
import { ask, below, httpUrl, jsonOf, targetOfUrl } from '../wire/http-access.ts'
import { tlsFields } from '../wire/tls.ts'
import { count } from '../wire/wording.ts'
import { checkKind, type Measurement } from './kind.ts'

const options = z.strictObject({
  url: httpUrl.describe("cloudflared's metrics address, such as http://cloudflared:2000."),
  minConnections: z
    .int()
    .min(1)
    .max(64)
    .default(2)
    .describe('Degraded with fewer connections to the edge than this. cloudflared keeps four.'),
  ...tlsFields,
})

const ready = z.object({ readyConnections: z.int().min(0) })

/** Up when the tunnel has enough connections to the edge. */
export const cloudflared = checkKind({
  about:
    'Asks cloudflared for `/ready`. Down when the tunnel has no connection to the edge: the region cannot be reached. Degraded with fewer connections than `minConnections`.',
  example: { url: 'http://cloudflared.skerry.svc:2000' },
  options,
  measures: { skerry_cloudflared_ready_connections: { type: 'gauge', help: "Connections between the tunnel and Cloudflare's edge." } },
  target: ({ url }) => targetOfUrl(url),
  async check(options, { signal }) {
    const answer = await ask(options, { url: below(options.url, '/ready'), signal })
    const { readyConnections } = await jsonOf(answer, ready, { statuses: [200, 503], what: '/ready' })
    const measurements: Measurement[] = [{ name: 'skerry_cloudflared_ready_connections', value: readyConnections }]
    if (answer.status !== 200 || readyConnections === 0)
      return {
        state: 'down',
        reason: 'unavailable',
        detail:
          'The tunnel has no connection to the edge. Check that outbound port 7844 is open (UDP or TCP) and that the token is current, and see the log of cloudflared.',
        measurements,
      }
    const connections = count(readyConnections, 'connection')
    if (readyConnections < options.minConnections)
      return {
        state: 'degraded',
        reason: 'partly_unavailable',
        detail: `${connections} to the edge, fewer than ${options.minConnections}. See the log of cloudflared.`,
        measurements,
      }
    return { state: 'up', detail: `${connections} to the edge.`, measurements }
  },
})
