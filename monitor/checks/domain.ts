import * as z from 'zod'
import { ask, httpUrl, jsonOf } from '../wire/http-access.ts'
import { CheckFailure } from '../wire/reasons.ts'
import { tlsFields } from '../wire/tls.ts'
import { expiryOf, shorten } from '../wire/wording.ts'
import { checkKind } from './kind.ts'

const options = z.strictObject({
  domain: z
    .string()
    .max(253)
    .regex(/^([a-z0-9_-]{1,63}\.)+[a-z0-9-]{2,63}$/i, 'must be a registered domain, such as example.com')
    .describe('The registered domain, such as example.com; not a host in it.'),
  url: httpUrl.default('https://rdap.org/').describe('RDAP server to begin with. The default redirects to the registry of each domain.'),
  warnDays: z.number().min(0).default(30).describe('Degraded when the registration expires within this many days.'),
  downDays: z.number().min(0).default(0).describe('Down when it expires within this many days.'),
  ...tlsFields,
})

const rdap = z.object({
  events: z
    .array(z.object({ eventAction: z.string(), eventDate: z.string() }))
    .max(200)
    .default([]),
  status: z.array(z.string()).max(100).default([]),
})

/** Up while the registration of a domain is valid for long enough. */
export const domain = checkKind({
  about:
    'Asks the registry when the registration of a domain expires, by RDAP. Down or degraded when it expires soon, and down when no such domain is registered. Choose a long interval, such as 12h: registries limit how often they can be asked. A few registries of countries have no RDAP; the check is then down with status 404.',
  example: { domain: 'example.com' },
  options,
  measures: { skerry_domain_expiry_timestamp_seconds: { type: 'gauge', help: 'When the registration of the domain expires.' } },
  target: ({ domain }) => domain,
  async check({ domain, url, warnDays, downDays, ...tls }, { signal, now = Date.now }) {
    const answer = await follow(new URL(`domain/${domain}`, url.endsWith('/') ? url : `${url}/`), { tls, signal })
    if (answer.status === 404)
      throw new CheckFailure('missing', `The registry knows no domain ${domain}. Check its spelling, and that it is the registered domain.`)
    if (answer.status === 429) throw new CheckFailure('limit', 'The registry is asked too often. Raise the interval of the check.')
    if (answer.status !== 200)
      throw new CheckFailure('unexpected_answer', `The registry answers with status ${answer.status}. Try again later.`)
    const { events } = await jsonOf(answer, rdap, { what: 'RDAP' })
    const found = events.find(({ eventAction }) => eventAction === 'expiration')
    const at = Date.parse(found?.eventDate ?? '')
    if (Number.isNaN(at)) throw new CheckFailure('unexpected_answer', 'The registry does not say when the registration expires.')
    const measurements = [{ name: 'skerry_domain_expiry_timestamp_seconds', value: at / 1000 }]
    const days = (at - now()) / 86_400_000
    const detail = `The registration ${expiryOf(days)}.`
    if (days < downDays || days < 0) return { state: 'down', reason: 'expiring', detail: `${detail} Renew it.`, measurements }
    if (days < warnDays) return { state: 'degraded', reason: 'expiring', detail: `${detail} Renew it.`, measurements }
    return { state: 'up', detail, measurements }
  },
})

const maxRedirects = 5

/** RDAP servers redirect to the one that is in charge (RFC 7480, section 5.2). */
async function follow(first: URL, { tls, signal }: { tls: Parameters<typeof ask>[0]; signal: AbortSignal }) {
  let url = first
  for (let redirects = 0; ; redirects++) {
    const answer = await ask(url.origin === first.origin ? tls : { verify: tls.verify, caFile: tls.caFile }, {
      url,
      headers: { accept: 'application/rdap+json' },
      signal,
    })
    const { location } = answer.headers
    if (answer.status < 300 || answer.status > 399 || location === undefined) return answer
    const next = URL.parse(location, url.href)
    if (next === null || !/^https?:$/.test(next.protocol) || (url.protocol === 'https:' && next.protocol === 'http:'))
      throw new CheckFailure('protocol', `The server redirects to ${shorten(location, 100)}, which is not followed.`)
    if (redirects >= maxRedirects) throw new CheckFailure('unexpected_answer', `The server redirects more than ${maxRedirects} times.`)
    url = next
  }
}
