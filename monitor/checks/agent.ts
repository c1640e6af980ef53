import * as z from 'zod'
import { ask, below, httpUrl, jsonOf, targetOfUrl } from '../wire/http-access.ts'
import { tlsFields } from '../wire/tls.ts'
import { shorten } from '../wire/wording.ts'
import { checkKind, type Measurement } from './kind.ts'

const options = z.strictObject({
  url: httpUrl.describe("The agent's admin port, such as http://skerry-agent:9808."),
  ...tlsFields,
})

const readiness = z.object({
  ready: z.boolean(),
  parts: z.array(z.object({ name: z.string(), ready: z.boolean(), reason: z.string().optional() })).max(1000),
})

/** Up when every part of the agent is ready. */
export const agent = checkKind({
  about: "Asks Skerry's agent for `/readyz`. Down when a part of the agent is not ready; the detail names the part and says why.",
  example: { url: 'http://skerry-agent.skerry.svc:9808' },
  options,
  measures: { skerry_agent_parts: { type: 'gauge', help: 'Parts of the agent, by state: ready, not_ready.', labels: ['state'] } },
  target: ({ url }) => targetOfUrl(url),
  async check(options, { signal }) {
    const answer = await ask(options, { url: below(options.url, '/readyz'), signal })
    const { ready, parts } = await jsonOf(answer, readiness, { statuses: [200, 503], what: '/readyz' })
    const waiting = parts.filter((part) => !part.ready)
    const measurements: Measurement[] = [
      { name: 'skerry_agent_parts', labels: { state: 'ready' }, value: parts.length - waiting.length },
      { name: 'skerry_agent_parts', labels: { state: 'not_ready' }, value: waiting.length },
    ]
    if (ready) return { state: 'up', detail: 'Every part is ready.', measurements }
    const why = waiting.slice(0, 3).map(({ name, reason }) => `${name}${reason === undefined ? '' : ` (${reason})`}`)
    return {
      state: 'down',
      reason: 'unavailable',
      detail: shorten(`Not ready: ${why.join(', ')}. See the agent's log.`),
      measurements,
    }
  },
})
