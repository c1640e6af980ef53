import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { request } from 'node:https'
import type { AddressInfo } from 'node:net'
import { type TestContext, test } from 'node:test'
import { Context } from 'hono'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { createApi } from '../../../../agent/api/app.ts'
import type { ApiContext } from '../../../../agent/api/http.ts'
import { createAuthentication } from '../../../../agent/api/identity/authentication.ts'
import { identityConfig } from '../../../../agent/api/identity/config.ts'
import { identityFrom } from '../../../../agent/api/identity/source.ts'
import { limitsConfig } from '../../../../agent/api/limits.ts'
import { type Measured, TokenTime } from '../../../../agent/clock/token-time.ts'
import { systemClock } from '../../../../shared/clock.ts'
import { byFetch } from '../../../../shared/fetch.ts'
import { createTlsServer } from '../../../../shared/server.ts'
import { createAuthority, mountSecret } from '../../../shared/certificates.ts'
import { createFakeClock, type FakeClock } from '../../../shared/fake-clock.ts'
import { createHarbour, createKeptLog, createTestApi } from '../harbour.ts'

const limit = { timeout: 60_000 }
const tern = '/v1/harbours/leith/boats/tern'
const issuer = 'https://team.example'
const audience = 'skerry'
const rsa = await generateKeyPair('RS256')
const other = await generateKeyPair('RS256')
const jwks = { keys: [{ ...(await exportJWK(rsa.publicKey)), kid: 'one', alg: 'RS256' }] }

const sign = (claims: Record<string, unknown>, { key = rsa.privateKey, at = Date.now(), expires = '10m' } = {}) =>
  new SignJWT({ sub: 'ferry', scope: 'region:read projects:write other:thing', ...claims })
    .setProtectedHeader({ alg: 'RS256', kid: 'one' })
    .setIssuer((claims.iss as string) ?? issuer)
    .setAudience((claims.aud as string) ?? audience)
    .setIssuedAt(Math.floor(at / 1000))
    .setExpirationTime(expires === '10m' ? Math.floor(at / 1000) + 600 : Math.floor(at / 1000) - 600)
    .sign(key)

type Given = { identity: Record<string, unknown>; limits?: Record<string, unknown>; clock?: FakeClock; measured?: () => Measured }

/** The API behind the given ways to be recognised. */
async function start(t: TestContext, { identity, limits = {}, clock, measured }: Given) {
  const time = clock ?? systemClock
  const { log, lines } = createKeptLog()
  const limitsGiven = limitsConfig.parse(limits)
  const authentication = createAuthentication(identityConfig.parse(identity), limitsGiven, {
    clock: time,
    time: new TokenTime(time, measured),
    log,
  })
  await authentication.start(AbortSignal.timeout(10_000))
  t.after(() => authentication.stop(0))
  const { routes } = createHarbour()
  const names: (string | undefined)[] = []
  const audit = { record: ({ identity: name }: { identity: string | undefined }) => void names.push(name) }
  const app = createApi(limitsGiven, { routes, authentication, audit, observe: () => {}, version: '0', clock: time, log })
  const get = (headers: Record<string, string> = {}) => app.request(tern, { headers })
  return { app, get, lines, names, authentication }
}

async function tokensFile(t: TestContext): Promise<string> {
  const sha256 = createHash('sha256').update('right-token').digest('hex')
  const mounted = await mountSecret(t, { tokens: JSON.stringify([{ name: 'cloud', sha256, scopes: ['region:read'] }]) })
  return mounted.file('tokens')
}

async function serveKeys(t: TestContext, answer: () => { status: number; body: unknown }) {
  let asked = 0
  const server = createServer((_request, response) => {
    asked++
    const { status, body } = answer()
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close())
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/certs`, asked: () => asked }
}

const requestWith = (authorization: string) => new Context(new Request('https://skerry/', { headers: { authorization } })) as ApiContext
const detailOf = async (response: Response) => ((await response.json()) as { detail: string }).detail

test('a static token is recognised; what is none is challenged', limit, async (t) => {
  const { get } = await start(t, { identity: { tokensFile: await tokensFile(t) } })
  assert.equal((await get({ authorization: 'Bearer right-token' })).status, 200)
  for (const authorization of ['Bearer wrong', 'Basic cmlnaHQ6dG9rZW4=', 'Bearer', 'right-token', 'Bearer right-token x']) {
    const response = await get({ authorization })
    assert.equal(response.status, 401, authorization)
    assert.match(response.headers.get('www-authenticate') ?? '', /^Bearer realm="skerry", error="invalid_token"$/)
  }
  assert.equal((await get()).headers.get('www-authenticate'), 'Bearer realm="skerry"')
})

const signed = [
  { name: 'is recognised', status: 200 },
  { name: 'of another issuer is refused', claims: { iss: 'https://evil.example' }, status: 401, says: /"iss"/ },
  { name: 'for another audience is refused', claims: { aud: 'other' }, status: 401, says: /"aud"/ },
  { name: 'that has expired is refused', options: { expires: 'past' }, status: 401, says: /expired/ },
  { name: 'of another key is refused', options: { key: other.privateKey }, status: 401, says: /signature/ },
  { name: 'without a scope here is known, and may not', claims: { scope: 'other:thing' }, status: 403, says: /region:read/ },
]
for (const { name, claims = {}, options = {}, status, says = /./ } of signed) {
  test(`a signed token ${name}`, limit, async (t) => {
    const keys = await serveKeys(t, () => ({ status: 200, body: jwks }))
    const { get } = await start(t, { identity: { jwt: { issuer, audience, jwksUrl: keys.url } } })
    const response = await get({ authorization: `Bearer ${await sign(claims, options)}` })
    assert.equal(response.status, status)
    if (status !== 200) assert.match(await detailOf(response), says)
  })
}

test('a token that claims to need no signature, or one by the public key as a shared secret, is refused', limit, async (t) => {
  const keys = await serveKeys(t, () => ({ status: 200, body: jwks }))
  const { get } = await start(t, { identity: { jwt: { issuer, audience, jwksUrl: keys.url } } })
  const payload = Buffer.from(
    JSON.stringify({ iss: issuer, aud: audience, sub: 'ferry', scope: 'region:read', exp: Math.floor(Date.now() / 1000) + 600 }),
  ).toString('base64url')
  for (const alg of ['none', 'HS256']) {
    const head = Buffer.from(JSON.stringify({ alg, kid: 'one' })).toString('base64url')
    assert.equal((await get({ authorization: `Bearer ${head}.${payload}.${Buffer.from('x').toString('base64url')}` })).status, 401)
  }
})

const bound = [
  { name: 'without the setting sees all', claim: undefined, claims: { projects: ['harbour'] }, projects: undefined },
  { name: 'sees those in a list', claim: 'projects', claims: { projects: ['harbour', 'dock', 7] }, projects: ['harbour', 'dock'] },
  { name: 'sees those in a text', claim: 'custom.in', claims: { custom: { in: 'harbour dock' } }, projects: ['harbour', 'dock'] },
  { name: 'with * sees all', claim: 'projects', claims: { projects: ['*'] }, projects: undefined },
  { name: 'without the claim sees none', claim: 'projects', claims: {}, projects: [] },
  { name: 'with a claim of another shape sees none', claim: 'projects', claims: { projects: { harbour: true } }, projects: [] },
]
for (const { name, claim, claims, projects } of bound) {
  test(`a signed token ${name}`, limit, async (t) => {
    const mounted = await mountSecret(t, { jwks: JSON.stringify(jwks) })
    const identity = { jwt: { issuer, audience, jwksFile: mounted.file('jwks'), projectsClaim: claim } }
    const { authentication } = await start(t, { identity })
    const known = await authentication.identify(requestWith(`Bearer ${await sign(claims)}`))
    assert.deepEqual(known.projects && [...known.projects], projects)
  })
}

test('Cloudflare Access: the token stands in its header, its name in common_name, its scopes in a grant', limit, async (t) => {
  const keys = await serveKeys(t, () => ({ status: 200, body: jwks }))
  const grants = [{ claim: 'common_name', value: 'cloud.access', scopes: ['region:read', 'projects:write'] }]
  const { get, app, names } = await start(t, {
    identity: { jwt: { issuer, audience, jwksUrl: keys.url, header: 'Cf-Access-Jwt-Assertion', grants } },
  })
  const token = await sign({ sub: '', common_name: 'cloud.access', scope: undefined })
  assert.equal((await get({ 'cf-access-jwt-assertion': token })).status, 200)
  assert.equal((await get({ authorization: `Bearer ${token}` })).status, 401)
  await app.request(tern, { method: 'DELETE', headers: { 'cf-access-jwt-assertion': token } })
  await app.request('/v1/harbours/leith', { method: 'DELETE', headers: { 'cf-access-jwt-assertion': token } })
  assert.equal(names.at(-1), 'jwt:https://team.example/cloud.access')
})

test('scopes are found deeper down, as a list', limit, async (t) => {
  const keys = await serveKeys(t, () => ({ status: 200, body: jwks }))
  const { get } = await start(t, { identity: { jwt: { issuer, audience, jwksUrl: keys.url, scopesClaim: 'custom.roles' } } })
  assert.equal((await get({ authorization: `Bearer ${await sign({ custom: { roles: ['region:read'] } })}` })).status, 200)
  assert.equal((await get({ authorization: `Bearer ${await sign({ custom: 'region:read' })}` })).status, 403)
})

test('the keys are fetched once, and without them the answer is 503, not 401', limit, async (t) => {
  const clock = createFakeClock()
  let up = false
  const keys = await serveKeys(t, () => (up ? { status: 200, body: jwks } : { status: 500, body: {} }))
  const { get } = await start(t, { clock, identity: { jwt: { issuer, audience, jwksUrl: keys.url } } })
  const token = await sign({}, { at: clock.now() })
  const response = await get({ authorization: `Bearer ${token}` })
  assert.equal(response.status, 503)
  assert.ok(response.headers.get('retry-after'))
  up = true
  assert.equal((await get({ authorization: `Bearer ${token}` })).status, 503)
  assert.equal(keys.asked(), 1, 'a provider that fails is not asked for each request')
  await clock.advance(1_000)
  for (let i = 0; i < 3; i++) assert.equal((await get({ authorization: `Bearer ${await sign({ i }, { at: clock.now() })}` })).status, 200)
  assert.equal(keys.asked(), 2)
})

test('a set of keys that is too large is not kept, and the last good one stays in use', limit, async (t) => {
  const clock = createFakeClock()
  let answer: unknown = jwks
  const keys = await serveKeys(t, () => ({ status: 200, body: answer }))
  const { get, lines, authentication } = await start(t, { clock, identity: { jwt: { issuer, audience, jwksUrl: keys.url } } })
  const status = async () => (await get({ authorization: `Bearer ${await sign({ at: clock.now() }, { at: clock.now() })}` })).status
  assert.equal(await status(), 200)
  const many = Array.from({ length: 51 }, (_, index) => ({ ...jwks.keys[0], kid: `key-${index}` }))
  const wrong = [{ keys: jwks.keys, padding: 'x'.repeat(300 * 1024) }, { keys: many }, { keys: [] }, 'no keys', { keys: 'one' }]
  for (const [index, each] of wrong.entries()) {
    answer = each
    await clock.advance(600_000)
    assert.equal(await status(), 200, JSON.stringify(each).slice(0, 40))
    assert.equal(keys.asked(), index + 2)
    assert.deepEqual(authentication.stale(), { keys: true })
  }
  const told = lines.filter(({ msg }) => msg === 'keys of signed tokens cannot be fetched').map(({ err }) => (err as Error).message)
  assert.deepEqual(told, [
    'the answer has more than 256 KiB',
    'it has 51 keys, more than 50',
    'it has no keys',
    'it is not a JSON Web Key Set',
  ])
})

test('of an endless answer with keys no more is read than is kept', limit, async (t) => {
  let sent = 0
  const chunk = Buffer.alloc(64 * 1024, ' ')
  const server = createServer((_request, response) => {
    const write = () => {
      while (!response.destroyed && sent < 300e6 && response.write(chunk)) sent += chunk.byteLength
    }
    response.on('drain', write).on('error', () => {})
    write()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close())
  const jwksUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/certs`
  const { get } = await start(t, { identity: { jwt: { issuer, audience, jwksUrl } } })
  assert.equal((await get({ authorization: `Bearer ${await sign({})}` })).status, 503)
  assert.ok(sent < 16e6, `${sent} bytes`)
})

test('of several keys without a kid, each that fits is tried', limit, async (t) => {
  const keys = await Promise.all([other, rsa].map(async ({ publicKey }) => exportJWK(publicKey)))
  const { url } = await serveKeys(t, () => ({ status: 200, body: { keys } }))
  const { get } = await start(t, { identity: { jwt: { issuer, audience, jwksUrl: url } } })
  const signWith = ({ privateKey }: typeof rsa) =>
    new SignJWT({ sub: 'ferry', scope: 'region:read' })
      .setProtectedHeader({ alg: 'RS256' })
      .setIssuer(issuer)
      .setAudience(audience)
      .setExpirationTime('5m')
      .sign(privateKey)
  const stranger = await generateKeyPair('RS256')
  const status = async (pair: typeof rsa) => (await get({ authorization: `Bearer ${await signWith(pair)}` })).status
  assert.deepEqual([await status(rsa), await status(other), await status(stranger)], [200, 200, 401])
})

const useless = [
  { name: 'an RSA key of 1,024 bits', key: { kty: 'RSA', e: 'AQAB', n: Buffer.alloc(128, 0xc7).toString('base64url') } },
  { name: 'a malformed key', key: { kty: 'RSA', e: 'AQAB', n: 'AAAA' } },
]
for (const { name, key } of useless) {
  test(`${name} among those of the provider does not disturb the others, and its tokens are refused`, limit, async (t) => {
    const [{ kid: _, ...good }] = jwks.keys as [(typeof jwks.keys)[0]]
    const token = (kid?: string) =>
      new SignJWT({ sub: 'ferry', scope: 'region:read' })
        .setProtectedHeader({ alg: 'RS256', ...(kid && { kid }) })
        .setIssuer(issuer)
        .setAudience(audience)
        .setExpirationTime('5m')
        .sign(rsa.privateKey)
    for (const keys of [
      [key, good],
      [good, key],
    ]) {
      const { url } = await serveKeys(t, () => ({ status: 200, body: { keys } }))
      const { get } = await start(t, { identity: { jwt: { issuer, audience, jwksUrl: url } } })
      assert.equal((await get({ authorization: `Bearer ${await token()}` })).status, 200)
    }
    const { url } = await serveKeys(t, () => ({ status: 200, body: { keys: [{ ...key, kid: 'weak' }] } }))
    const { get } = await start(t, { identity: { jwt: { issuer, audience, jwksUrl: url } } })
    const refused = await get({ authorization: `Bearer ${await token('weak')}` })
    assert.equal(refused.status, 401)
    assert.equal(await detailOf(refused), 'The key that signed the token cannot be used here.')
  })
}

test('a name that reads like that of another source stands for no earlier entries of the ledger', () => {
  const unqualified = (name: string) => identityFrom(`jwt:${issuer}`, name, { scopes: [] }).unqualified
  assert.equal(unqualified('ferry'), 'ferry')
  for (const name of ['token:cloud', 'cert:cloud', `jwt:${issuer}/cloud`]) assert.equal(unqualified(name), undefined)
})

test('a new key under the kid of the old one is fetched, and wrong signatures do not make more fetches', limit, async (t) => {
  const clock = createFakeClock()
  let present = rsa
  let answer: unknown = jwks
  const keys = await serveKeys(t, () => ({ status: 200, body: answer }))
  const { get } = await start(t, { clock, limits: { failuresBurst: 1000 }, identity: { jwt: { issuer, audience, jwksUrl: keys.url } } })
  const status = async (key = present.privateKey) =>
    (await get({ authorization: `Bearer ${await sign({ id: Math.random() }, { key, at: clock.now() })}` })).status
  assert.equal(await status(), 200)
  present = other
  answer = { keys: [{ ...(await exportJWK(other.publicKey)), kid: 'one', alg: 'RS256' }] }
  await clock.advance(30_000)
  assert.equal(await status(), 200)
  assert.equal(keys.asked(), 2)
  for (let i = 0; i < 20; i++) assert.equal(await status(rsa.privateKey), 401)
  assert.equal(keys.asked(), 2)
})

test('a static token and a signed token of the same name are two identities', limit, async (t) => {
  const keys = await serveKeys(t, () => ({ status: 200, body: jwks }))
  const identity = { tokensFile: await tokensFile(t), jwt: { issuer, audience, jwksUrl: keys.url } }
  const limits = { requestsPerSecond: 0.001, burst: 1 }
  const { app, names } = await start(t, { identity, limits })
  const signedToken = await sign({ sub: 'cloud' })
  const get = async (token: string) => (await app.request(tern, { headers: { authorization: `Bearer ${token}` } })).status
  assert.deepEqual([await get('right-token'), await get('right-token')], [200, 429])
  assert.deepEqual([await get(signedToken), await get(signedToken)], [200, 429], 'the rate limit is its own')
  assert.deepEqual(names, ['token:cloud', `jwt:${issuer}/cloud`])
})

test('a signed token with a name that would have to be cut is refused', limit, async (t) => {
  const keys = await serveKeys(t, () => ({ status: 200, body: jwks }))
  const { get } = await start(t, { identity: { jwt: { issuer, audience, jwksUrl: keys.url } } })
  const status = async (sub: string) => (await get({ authorization: `Bearer ${await sign({ sub })}` })).status
  assert.deepEqual([await status('x'.repeat(255)), await status('x'.repeat(256)), await status('x\ny')], [200, 401, 401])
})

test('a verified token is remembered for a minute at most, and never beyond its end', limit, async (t) => {
  const clock = createFakeClock()
  const mounted = await mountSecret(t, { jwks: JSON.stringify(jwks) })
  const { get } = await start(t, { clock, identity: { jwt: { issuer, audience, jwksFile: mounted.file('jwks') } } })
  const token = await sign({}, { at: clock.now() - 595_000 })
  assert.equal((await get({ authorization: `Bearer ${token}` })).status, 200)
  clock.jump(4_000)
  assert.equal((await get({ authorization: `Bearer ${token}` })).status, 200)
  // a minute of tolerance for clocks that differ
  clock.jump(62_000)
  assert.equal((await get({ authorization: `Bearer ${token}` })).status, 401)
})

const hour = 3_600_000

test('signed tokens are judged by the time of the cloud, and a refusal says both times and what to do', limit, async (t) => {
  const clock = createFakeClock(Date.UTC(2026, 0, 31, 12))
  const mounted = await mountSecret(t, { jwks: JSON.stringify(jwks) })
  let aheadMs = 3 * hour
  const measured = (): Measured => ({ by: 'cloud', offset: { offsetMs: aheadMs, uncertaintyMs: 40 } })
  const { get } = await start(t, { clock, measured, identity: { jwt: { issuer, audience, jwksFile: mounted.file('jwks') } } })
  const answer = async (token: string) => {
    const response = await get({ authorization: `Bearer ${token}` })
    return [response.status, response.status === 200 ? undefined : ((await response.json()) as { detail: string }).detail] as const
  }
  const seconds = (at: number) => Math.floor(at / 1000)

  // Issued just now by the clock of the cloud, which is three hours ahead.
  const fresh = await sign({ nbf: seconds(clock.now() + aheadMs) }, { at: clock.now() + aheadMs })
  assert.deepEqual(await answer(fresh), [200, undefined])
  const stale = await sign({}, { at: clock.now() })
  assert.deepEqual(await answer(stale), [
    401,
    'The token expired at 2026-01-31T12:10:00Z; it is 2026-01-31T15:00:00Z by the clock of the cloud. The clock of this machine is 3 h behind. Synchronize it: timedatectl set-ntp true',
  ])
  const early = await sign({ nbf: seconds(clock.now() + aheadMs + hour) }, { at: clock.now() + aheadMs })
  const [status, detail] = await answer(early)
  assert.equal(status, 401)
  assert.match(detail ?? '', /^The token is valid from 2026-01-31T16:00:00Z on; it is 2026-01-31T15:00:00Z by the clock of the cloud\. /)

  // The other way round: what has expired by our clock has not by that of the cloud.
  aheadMs = -3 * hour
  assert.deepEqual(await answer(await sign({}, { at: clock.now() + aheadMs })), [200, undefined])
})

test('wrong tokens are limited by address, and the right one is answered whatever else comes from there', limit, async (t) => {
  const clock = createFakeClock()
  const limits = { failuresPerMinute: 60, failuresBurst: 3, clientAddressHeader: 'CF-Connecting-IP', trustedProxies: ['10.0.0.0/8'] }
  const { app } = await start(t, { clock, limits, identity: { tokensFile: await tokensFile(t) } })
  const peer = { address: '10.1.2.3', certificate: undefined }
  const from = (address: string, token: string) =>
    app.request(tern, { headers: { 'cf-connecting-ip': address, authorization: `Bearer ${token}` } }, { peer })
  for (let i = 0; i < 3; i++) assert.equal((await from('192.0.2.1', `guess-${i}`)).status, 401)
  const limited = await from('192.0.2.1', 'guess-4')
  assert.equal(limited.status, 429)
  assert.equal(limited.headers.get('retry-after'), '1')
  assert.equal((await from('192.0.2.1', 'right-token')).status, 200)
  assert.equal((await from('192.0.2.2', 'right-token')).status, 200)
  await clock.advance(1_000)
  assert.equal((await from('192.0.2.1', 'guess-5')).status, 401)
})

const hops = [
  { name: 'is the other end where no proxy is trusted', trusted: [], peer: '203.0.113.9', header: '192.0.2.1', is: '203.0.113.9' },
  {
    name: 'is the other end if that is no trusted proxy',
    trusted: ['10.0.0.0/8'],
    peer: '203.0.113.9',
    header: '192.0.2.1',
    is: '203.0.113.9',
  },
  { name: 'is what the trusted proxy says', trusted: ['10.0.0.0/8'], peer: '10.1.2.3', header: '192.0.2.1', is: '192.0.2.1' },
  {
    name: 'is the right-most address that is no trusted proxy',
    trusted: ['10.0.0.0/8', '198.51.100.0/24'],
    peer: '::ffff:10.1.2.3',
    header: '203.0.113.66, 192.0.2.1, 198.51.100.7',
    is: '192.0.2.1',
  },
  { name: 'is never text', trusted: ['10.0.0.0/8'], peer: '10.1.2.3', header: '192.0.2.1, <script>', is: '10.1.2.3' },
  { name: 'is the proxy if the header is missing', trusted: ['10.0.0.0/8'], peer: '10.1.2.3', header: undefined, is: '10.1.2.3' },
  { name: 'may be of IPv6, with a port', trusted: ['fd00::/8'], peer: 'fd00::1', header: '[2001:db8::1]:4711', is: '2001:db8::1' },
]
for (const { name, trusted, peer, header, is } of hops) {
  test(`the address of the client ${name}`, limit, async () => {
    const proxied = trusted.length > 0 && { clientAddressHeader: 'X-Forwarded-For', trustedProxies: trusted }
    const { app, records } = createTestApi({ limits: { ...proxied } })
    const headers = { ...(header !== undefined && { 'x-forwarded-for': header }) }
    await app.request('/v1/harbours/leith', { method: 'DELETE', headers }, { peer: { address: peer } })
    assert.equal(records[0]?.remote, is)
  })
}

test('without a trusted proxy the header of the client address is not accepted', limit, () => {
  const parsed = limitsConfig.safeParse({ clientAddressHeader: 'X-Forwarded-For' })
  assert.match(parsed.error?.issues[0]?.message ?? '', /^is required with clientAddressHeader/)
})

test('a client certificate is recognised by its name or its fingerprint, one of a strange authority is none', limit, async (t) => {
  const authority = await createAuthority()
  const stranger = await createAuthority('stranger')
  const [server, ferry, pilot, tug, fake] = await Promise.all([
    authority.server(),
    authority.client('ferry'),
    authority.client('pilot'),
    authority.client('tug'),
    stranger.client('ferry'),
  ])
  const files = await mountSecret(t, { 'tls.crt': server.cert, 'tls.key': server.key, 'ca.crt': authority.cert })
  const { X509Certificate } = await import('node:crypto')
  const certificates = [
    { name: 'ferry', commonName: 'ferry', scopes: ['region:read'] },
    { name: 'tug', commonName: 'tug', scopes: ['region:read'], projects: ['harbour'] },
    { name: 'pilot', fingerprint: new X509Certificate(pilot.cert).fingerprint256, scopes: ['region:read'] },
  ]
  const { app } = await start(t, { identity: { certificates, tokensFile: await tokensFile(t) } })
  const listener = createTlsServer(
    {
      host: '127.0.0.1',
      port: 0,
      tls: { certFile: files.file('tls.crt'), keyFile: files.file('tls.key'), clientCaFile: files.file('ca.crt') },
    },
    { answer: byFetch(app.fetch, createKeptLog().log), log: createKeptLog().log },
  )
  await listener.start(AbortSignal.timeout(10_000))
  t.after(() => listener.stop(0))
  const status = (pair: { cert: string; key: string } | undefined, headers = {}) =>
    new Promise<number | undefined>((resolve, reject) => {
      const options = { host: '127.0.0.1', port: listener.port(), path: tern, ca: authority.cert, agent: false as const, headers, ...pair }
      request(options, (response) => {
        response.resume()
        resolve(response.statusCode)
      })
        .on('error', reject)
        .end()
    })
  assert.equal(await status(ferry), 200)
  assert.equal(await status(pilot), 200)
  assert.equal(await status(tug), 403, 'it is bound to projects, and the route is about none')
  assert.equal(await status(fake), 401)
  assert.equal(await status(undefined), 401)
  assert.equal(await status(ferry, { authorization: 'Bearer wrong' }), 401)
  assert.equal(await status(undefined, { authorization: 'Bearer right-token' }), 200)
})

test('the keys in a file are read again when it changes', limit, async (t) => {
  const mounted = await mountSecret(t, { jwks: JSON.stringify(jwks) })
  const next = await generateKeyPair('ES256')
  const clock = createFakeClock()
  const { log, seen } = createKeptLog()
  const config = identityConfig.parse({ jwt: { issuer, audience, jwksFile: mounted.file('jwks') } })
  const authentication = createAuthentication(config, limitsConfig.parse({}), { clock: systemClock, log })
  await authentication.start(AbortSignal.timeout(10_000))
  t.after(() => authentication.stop(0))
  const { routes } = createHarbour()
  const app = createApi(limitsConfig.parse({}), {
    routes,
    authentication,
    audit: { record: () => {} },
    observe: () => {},
    version: '0',
    clock,
    log,
  })
  await mounted.replace({ jwks: JSON.stringify({ keys: [{ ...(await exportJWK(next.publicKey)), alg: 'ES256' }] }) })
  await seen('file read again')
  const token = await new SignJWT({ sub: 'ferry', scope: 'region:read' })
    .setProtectedHeader({ alg: 'ES256' })
    .setIssuer(issuer)
    .setAudience(audience)
    .setExpirationTime('5m')
    .sign(next.privateKey)
  assert.equal((await app.request(tern, { headers: { authorization: `Bearer ${token}` } })).status, 200)
  assert.equal((await app.request(tern, { headers: { authorization: `Bearer ${await sign({})}` } })).status, 401)
})

test('jose is not loaded by an agent without signed tokens', limit, async (t) => {
  const file = await tokensFile(t)
  const root = new URL('../../../../', import.meta.url)
  const script = `
    import { registerHooks } from 'node:module'
    registerHooks({ resolve(name, context, next) { if (name === 'jose') process.exit(9); return next(name, context) } })
    const { createAuthentication } = await import('${root}agent/api/identity/authentication.ts')
    const { identityConfig } = await import('${root}agent/api/identity/config.ts')
    const { limitsConfig } = await import('${root}agent/api/limits.ts')
    const { systemClock } = await import('${root}shared/clock.ts')
    const { createLog } = await import('${root}shared/log.ts')
    const tools = { clock: systemClock, log: createLog({ level: 'silent', name: 'x' }) }
    const part = createAuthentication(identityConfig.parse({ tokensFile: ${JSON.stringify(file)} }), limitsConfig.parse({}), tools)
    await part.start(AbortSignal.timeout(5000))
    await part.stop(0)`
  const path = `${file}.mts`
  await writeFile(path, script)
  const { spawn } = await import('node:child_process')
  const code = await new Promise((resolve) => spawn(process.execPath, [path], { stdio: 'inherit' }).on('exit', resolve))
  assert.equal(code, 0)
})
