import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { domain } from '../../../monitor/checks/domain.ts'
import { assertResult, measured, run } from './run.ts'
import { serve } from './servers.ts'

const day = 86_400_000
const now = Date.UTC(2026, 10, 1)

/** An answer for a domain, with the members that RFC 9083, section 5.3, shows. */
const answer = (days: number) => ({
  objectClassName: 'domain',
  ldhName: 'EXAMPLE.COM',
  status: ['active'],
  events: [
    { eventAction: 'registration', eventDate: '1995-08-14T04:00:00Z' },
    { eventAction: 'expiration', eventDate: new Date(now + days * day).toISOString() },
  ],
})

const cases = [
  { name: 'is up while the registration is long enough', days: 200, state: 'up', detail: /^The registration expires in 200 days\.$/ },
  { name: 'is degraded when it expires soon', days: 29, state: 'degraded', reason: 'expiring', detail: /29 days\. Renew it\.$/ },
  { name: 'is down when it expires within downDays', days: 6, state: 'down', reason: 'expiring', detail: /6 days/ },
  { name: 'is down when it has expired', days: -3, state: 'down', reason: 'expiring', detail: /expired 3 days ago/ },
] as const
for (const { name, days, state, detail, ...rest } of cases)
  test(`a domain check of a small RDAP server ${name}`, async (t) => {
    const url = await serve(t, { '/rdap/domain/example.com': answer(days) })
    const result = await run(domain, { domain: 'example.com', url: `${url}/rdap`, downDays: 7 }, { now: () => now })
    assertResult(result, state, 'reason' in rest ? rest.reason : undefined, detail)
    assert.equal(measured(result, 'skerry_domain_expiry_timestamp_seconds'), (now + days * day) / 1000)
  })

test('a domain check says what a registry means by a status, and by an answer without a date', async (t) => {
  const url = await serve(t, {
    '/domain/busy.com': () => ({ status: 429, body: '' }),
    '/domain/broken.com': () => ({ status: 502, body: '' }),
    '/domain/dateless.com': { events: [] },
    '/domain/odd.com': '<html>',
  })
  const check = (name: string) => run(domain, { domain: name, url })
  assertResult(await check('none.com'), 'down', 'missing', /knows no domain none\.com/)
  assertResult(await check('busy.com'), 'down', 'limit', /Raise the interval/)
  assertResult(await check('broken.com'), 'down', 'unexpected_answer', /status 502/)
  assertResult(await check('dateless.com'), 'down', 'unexpected_answer', /does not say when/)
  assertResult(await check('odd.com'), 'down', 'protocol', /not JSON/)
})

test('a domain check follows the redirects to the registry, and no more than five', async (t) => {
  const registry = await serve(t, { '/domain/example.com': answer(200) })
  const first = createServer((request, response) => {
    const location = request.url === '/domain/example.com' ? `${registry}/domain/example.com` : request.url
    response.writeHead(302, { location }).end()
  })
  await new Promise<void>((resolve) => first.listen(0, '127.0.0.1', resolve))
  t.after(() => void first.close())
  const url = `http://127.0.0.1:${(first.address() as AddressInfo).port}/`
  assertResult(await run(domain, { domain: 'example.com', url }, { now: () => now }), 'up')
  assertResult(await run(domain, { domain: 'circle.com', url }), 'down', 'unexpected_answer', /more than 5 times/)
})
