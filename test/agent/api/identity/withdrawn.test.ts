import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { Agent, request } from 'node:https'
import { type TestContext, test } from 'node:test'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import * as z from 'zod'
import { whenEnded } from '../../../../agent/api/accepting.ts'
import { createApi } from '../../../../agent/api/app.ts'
import { createEvents, usualEvents } from '../../../../agent/api/events/index.ts'
import { json, route } from '../../../../agent/api/http.ts'
import { createAuthentication } from '../../../../agent/api/identity/authentication.ts'
import { identityConfig } from '../../../../agent/api/identity/config.ts'
import { limitsConfig } from '../../../../agent/api/limits.ts'
import { agentConfig } from '../../../../agent/config.ts'
import type { Journal } from '../../../../agent/operations/journal.ts'
import type { Operation } from '../../../../agent/resources/operation.ts'
import { systemClock } from '../../../../shared/clock.ts'
import { byFetch } from '../../../../shared/fetch.ts'
import { createTlsServer } from '../../../../shared/server.ts'
import { createAuthority, mountSecret } from '../../../shared/certificates.ts'
import { type OpenStream, openStream } from '../event-stream.ts'
import { createKeptLog } from '../harbour.ts'

const limit = { timeout: 60_000 }
const authority = await createAuthority()
const pair = await authority.server()
const sha256 = (token: string) => createHash('sha256').update(token).digest('hex')
const entry = (token: string, more = {}) => ({ name: token, sha256: sha256(token), scopes: ['region:read'], ...more })
const issuer = 'https://team.example'
const keys = await generateKeyPair('ES256')
const operation = { metadata: { name: 'op-0000000001' }, spec: {} } as Operation

/** The API with events, and with a route that waits for an operation that never ends: each slice of the wait ends at once. */
async function start(t: TestContext, tokens: object[]) {
  const files = { 'tls.crt': pair.cert, 'tls.key': pair.key, jwks: JSON.stringify({ keys: [await exportJWK(keys.publicKey)] }) }
  const mounted = await mountSecret(t, { ...files, tokens: JSON.stringify(tokens) })
  const { log, seen } = createKeptLog()
  const tools = { clock: systemClock, log }
  const limits = limitsConfig.parse({})
  const jwt = { issuer, audience: 'skerry', jwksFile: mounted.file('jwks') }
  const identity = identityConfig.parse({ tokensFile: mounted.file('tokens'), jwt })
  const authentication = createAuthentication(identity, limits, tools)
  const events = createEvents({ ...usualEvents, heartbeatMs: 50 }, { sources: [], observe: () => {}, ...tools })
  const slices: number[] = []
  const replace = async (next: object[]) => {
    await mounted.replace({ ...files, tokens: JSON.stringify(next) })
    await seen('file read again')
  }
  const journal = {
    whenEnded: async (_name: string, ms: number) => {
      slices.push(ms)
      if (slices.length === 2) await replace([])
      return operation
    },
  } as unknown as Journal
  const wait = route({
    method: 'GET',
    path: '/wait',
    operationId: 'wait',
    tag: 'Test',
    summary: 'Waits',
    scope: 'region:read',
    query: z.strictObject({ seconds: z.string().transform(Number) }),
    responses: () => ({}),
    handle: async (c, { query }) => json(c, 200, await whenEnded(c, journal, operation, query.seconds)),
  })
  const observers = { audit: { record: () => {} }, observe: () => {}, version: '0' }
  const app = createApi(limits, { routes: [wait, events.route], authentication, ...observers, ...tools })
  const tls = { certFile: mounted.file('tls.crt'), keyFile: mounted.file('tls.key') }
  const server = createTlsServer({ host: '127.0.0.1', port: 0, tls }, { answer: byFetch(app.fetch, log), log })
  for (const part of [authentication, events, server]) {
    await part.start(AbortSignal.timeout(10_000))
    t.after(() => part.stop(0))
  }
  const base = { host: '127.0.0.1', port: server.port(), ca: authority.cert }
  const as = (token: string) => ({ headers: { authorization: `Bearer ${token}` } })
  const get = async (token: string, path: string, agent: Agent | false = false) => {
    const asked = request({ ...base, ...as(token), path, agent }).end()
    const [response] = (await once(asked, 'response')) as [IncomingMessage]
    await response.toArray()
    return { status: response.statusCode, reused: asked.reusedSocket }
  }
  return { get, replace, slices, stream: (token: string) => openStream(t, { ...base, ...as(token), path: '/v1/events' }) }
}

const losses = [
  { name: 'is removed', next: [] },
  { name: 'is given other projects', next: [entry('one', { projects: ['dock'] })] },
  { name: 'loses a scope', next: [entry('one', { scopes: ['projects:write'] })] },
  { name: 'expires', next: [entry('one', { expires: '2026-01-31T00:00:00Z' })] },
]
for (const { name, next } of losses) {
  test(`an event stream ends when its token ${name}, and no other stream does`, limit, async (t) => {
    const { stream, replace } = await start(t, [entry('one'), entry('two')])
    const [one, two] = [await stream('one'), await stream('two')]
    await replace([...next, entry('two')])
    await one.ended
    const { length } = two.comments
    while (two.comments.length < length + 2) await two.commented()
    assert.equal(two.status, 200)
  })
}

test('an event stream ends when its signed token expires, and no other stream does', limit, async (t) => {
  const { stream } = await start(t, [entry('two')])
  const two = await stream('two')
  const tokenUntil = (seconds: number) =>
    new SignJWT({ sub: 'one', scope: 'region:read' })
      .setProtectedHeader({ alg: 'ES256' })
      .setIssuer(issuer)
      .setAudience('skerry')
      .setExpirationTime(seconds)
      .sign(keys.privateKey)
  // Clocks may differ by half a minute: it is good for two or three seconds. A busy machine may need longer to open the stream.
  let expires = 0
  let one: OpenStream
  do {
    expires = Math.floor(Date.now() / 1000) - 27
    one = await stream(await tokenUntil(expires))
  } while (one.status !== 200 && Date.now() > (expires + 29) * 1000)
  assert.equal(one.status, 200)
  await one.ended
  assert.ok(Date.now() >= (expires + 29) * 1000)
  const { length } = two.comments
  while (two.comments.length < length + 2) await two.commented()
})

test('a request that waits is answered within half a minute after its token is removed', limit, async (t) => {
  const { get, slices } = await start(t, [entry('one')])
  assert.equal((await get('one', '/v1/wait?seconds=90')).status, 200)
  assert.deepEqual(slices, [30_000, 30_000])
})

test('a wait is no longer than was asked for', limit, async (t) => {
  const { get, slices } = await start(t, [entry('one')])
  assert.equal((await get('one', '/v1/wait?seconds=20')).status, 200)
  assert.deepEqual(slices, [20_000])
})

test('an open connection does not keep the right of a token that is removed', limit, async (t) => {
  const { get, replace } = await start(t, [entry('one')])
  const agent = new Agent({ keepAlive: true })
  t.after(() => agent.destroy())
  assert.deepEqual(await get('one', '/v1/wait?seconds=1', agent), { status: 200, reused: false })
  await replace([])
  assert.deepEqual(await get('one', '/v1/wait?seconds=1', agent), { status: 401, reused: true })
})

test('revocation lists without CAs are a fault of the configuration', () => {
  const tls = { certFile: 'tls.crt', keyFile: 'tls.key', clientCrlFile: 'ca.crl' }
  const { error } = agentConfig.safeParse({ region: { id: 'harbour-1' }, api: { tls } })
  assert.deepEqual(
    error?.issues.map(({ path, message }) => [path.join('.'), message]),
    [['api.tls.clientCrlFile', 'needs clientCaFile']],
  )
})
