import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Problem } from '../../../shared/errors.ts'
import { createFakeClock } from '../../shared/fake-clock.ts'
import { createTestApi } from './harbour.ts'

const tern = '/v1/harbours/leith/boats/tern'
const jsonBody = (body: unknown, headers: Record<string, string> = {}) => ({
  method: 'PUT',
  headers: { 'content-type': 'application/json', ...headers },
  body: typeof body === 'string' ? body : JSON.stringify(body),
})

// biome-ignore lint/suspicious/noExplicitAny: a test looks into what it got
async function problemOf(response: Response): Promise<any> {
  assert.equal(response.headers.get('content-type'), 'application/problem+json')
  return response.json()
}

type Place = { path?: string; in?: string; name?: string }
/** The place of a fault in one text: a pointer, or `query:name`. */
const placeIn = (fault: Place) => fault.path ?? `${fault.in}:${fault.name}`

test('a request id that came with the request is echoed, any other is replaced', async () => {
  const { app } = createTestApi()
  const given = await app.request(tern, { headers: { 'x-request-id': 'cloud-17.a:b' } })
  assert.equal(given.headers.get('x-request-id'), 'cloud-17.a:b')
  for (const bad of ['a b', 'x'.repeat(129), '<script>']) {
    const replaced = await app.request(tern, { headers: { 'x-request-id': bad } })
    assert.match(replaced.headers.get('x-request-id') ?? '', /^[0-9a-f-]{36}$/)
  }
})

test('all that is wrong in path, query, headers and body is named at once, with what was probably meant', async () => {
  const { app, writes } = createTestApi()
  const response = await app.request(
    '/v1/harbours/LEITH/boats/tern?dryrun=true&dryRun=perhaps',
    jsonBody({ lenght: 9, length: 900, crew: [{ name: 'Ada', role: 'cook' }] }, { 'idempotency-key': 'has space' }),
  )
  const problem = await problemOf(response)
  assert.equal(response.status, 422)
  assert.deepEqual(
    problem.faults.map(placeIn).sort(),
    ['/crew/0/role', '/length', '/lenght', 'header:Idempotency-Key', 'path:harbour', 'query:dryRun', 'query:dryrun'].sort(),
  )
  const says = Object.fromEntries(problem.faults.map((fault: Place & { message: string }) => [placeIn(fault), fault.message]))
  assert.match(says['/lenght'], /did you mean "length"/)
  assert.match(says['query:dryrun'], /did you mean "dryRun"/)
  assert.equal(writes(), 0)
})

const refused = [
  {
    name: 'a body of another media type',
    request: jsonBody({}, { 'content-type': 'text/plain' }),
    status: 415,
    header: ['accept', 'application/json'],
  },
  { name: 'a body in another character set', request: jsonBody({}, { 'content-type': 'application/json; charset=utf-16' }), status: 415 },
  { name: 'a body that is compressed', request: jsonBody({}, { 'content-encoding': 'gzip' }), status: 415 },
  { name: 'a body that is too large', request: jsonBody(`"${'x'.repeat(1024 * 1024)}"`), status: 413 },
  { name: 'a body that is no JSON', request: jsonBody('{"length": }'), status: 400, detail: /line 1, column 12/ },
  { name: 'a body that is no UTF-8', request: { ...jsonBody({}), body: Buffer.from([0x22, 0xff, 0x22]) }, status: 400, detail: /UTF-8/ },
  { name: 'a missing body', request: { method: 'PUT' }, status: 422 },
  { name: 'a body with names of JavaScript', request: jsonBody('{"length":1,"__proto__":{"name":"x"}}'), status: 422 },
  {
    name: 'a patch of another media type',
    request: { ...jsonBody({}), method: 'PATCH' },
    status: 415,
    header: ['accept-patch', 'application/merge-patch+json'],
  },
  { name: 'a body where none is taken', request: { ...jsonBody({}), method: 'DELETE' }, path: '/v1/harbours/leith', status: 422 },
  { name: 'an address that is too long', request: {}, path: `${tern}?x=${'y'.repeat(9000)}`, status: 414 },
  { name: 'a query that is no UTF-8', request: {}, path: `${tern}?%ff=1`, status: 422 },
  { name: 'a query parameter given twice', request: {}, path: '/v1/harbours/leith/boats?limit=1&limit=2', status: 422 },
  { name: 'an unknown path', request: {}, path: '/v1/harbors', status: 404 },
  {
    name: 'a method that the path does not take',
    request: { method: 'POST' },
    status: 405,
    header: ['allow', 'GET, HEAD, PUT, PATCH, OPTIONS'],
  },
  { name: 'a missing thing', request: {}, path: '/v1/harbours/leith/boats/ark', status: 404 },
]
for (const { name, request, path = tern, status, header, detail } of refused) {
  test(`${name} is refused with ${status}`, async () => {
    const { app, writes } = createTestApi()
    const response = await app.request(path, request as RequestInit)
    const problem = await problemOf(response)
    assert.equal(response.status, status, JSON.stringify(problem))
    assert.equal(problem.status, status)
    assert.ok(problem.action)
    assert.equal(problem.instance, `/v1/requests/${response.headers.get('x-request-id')}`)
    if (header) assert.equal(response.headers.get(header[0] as string), header[1])
    if (detail) assert.match(problem.detail, detail)
    assert.equal(writes(), 0)
  })
}

test('a request without the scope of its route learns which one it is', async () => {
  const { app, writes } = createTestApi({ scopes: ['region:read'] })
  const response = await app.request(tern, jsonBody({ length: 9 }))
  const problem = await problemOf(response)
  assert.equal(response.status, 403)
  assert.match(problem.detail, /projects:write/)
  assert.match(response.headers.get('www-authenticate') ?? '', /insufficient_scope.*projects:write/)
  assert.equal(writes(), 0)
})

test('an error nobody designed tells the caller nothing, and the log everything', async () => {
  const { app, lines, observed } = createTestApi()
  const response = await app.request('/v1/harbours/leith', { method: 'DELETE' })
  const text = await response.text()
  assert.equal(response.status, 500)
  assert.doesNotMatch(text, /secret-of-the-house|TypeError|\.ts/)
  const [logged] = lines.filter(({ level }) => level === 'error')
  assert.match(JSON.stringify(logged), /secret-of-the-house/)
  assert.equal(logged?.requestId, response.headers.get('x-request-id'))
  assert.deepEqual(observed, [{ method: 'DELETE', route: '/v1/harbours/{harbour}', status: 500, problem: 'internal' }])
})

test('an identity that asks too often is told when to come back, and others are not', async () => {
  const clock = createFakeClock()
  let name = 'busy'
  const { app } = createTestApi({
    clock,
    limits: { requestsPerSecond: 1, burst: 3 },
    identity: () => ({ name, scopes: new Set(['region:read']) }),
  })
  const statuses = []
  for (let i = 0; i < 4; i++) statuses.push((await app.request(tern)).status)
  assert.deepEqual(statuses, [200, 200, 200, 429])
  const limited = await app.request(tern)
  assert.equal(limited.headers.get('retry-after'), '1')
  name = 'quiet'
  assert.equal((await app.request(tern)).status, 200)
  name = 'busy'
  await clock.advance(1000)
  assert.equal((await app.request(tern)).status, 200)
})

test('If-None-Match answers 304 for the version in hand, also when a proxy made the tag weak', async () => {
  const { app } = createTestApi()
  const first = await app.request(tern)
  const tag = first.headers.get('etag') as string
  for (const header of [tag, `W/${tag}`, `"other", ${tag}`, '*']) {
    const again = await app.request(tern, { headers: { 'if-none-match': header } })
    assert.equal(again.status, 304, header)
    assert.equal(await again.text(), '')
    assert.equal(again.headers.get('etag'), tag)
  }
  assert.equal((await app.request(tern, { headers: { 'if-none-match': '"other"' } })).status, 200)
})

const conditions = [
  { name: 'the present version', headers: { 'if-match': '"9-1"' }, status: 202 },
  { name: 'a version of which only the status moved on', headers: { 'if-match': '"9-0"' }, status: 202 },
  { name: 'another version', headers: { 'if-match': '"8-1"' }, status: 412 },
  { name: 'one of several', headers: { 'if-match': '"8-1", "9-7"' }, status: 202 },
  { name: 'a weak tag, which promises too little', headers: { 'if-match': 'W/"9-1"' }, status: 412 },
  { name: 'anything that exists', headers: { 'if-match': '*' }, status: 202 },
  { name: 'anything, where nothing exists', headers: { 'if-match': '*' }, boat: 'ark', status: 412 },
  { name: 'nothing, where nothing exists', headers: { 'if-none-match': '*' }, boat: 'ark', status: 202 },
  { name: 'nothing, where something exists', headers: { 'if-none-match': '*' }, status: 412 },
  { name: 'what is no tag', headers: { 'if-match': '9-1' }, status: 422 },
]
for (const { name, headers, boat = 'tern', status } of conditions) {
  test(`a write on condition of ${name} is answered ${status}`, async () => {
    const { app, writes } = createTestApi()
    const response = await app.request(`/v1/harbours/leith/boats/${boat}`, jsonBody({ length: 10 }, headers))
    assert.equal(response.status, status)
    assert.equal(writes(), status === 202 ? 1 : 0)
  })
}

test('Prefer: wait is read among other preferences, capped, and ignored when it cannot be read', async () => {
  const { app } = createTestApi()
  const cases = { 'wait=5': 5, 'respond-async, wait=7; foo': 7, 'wait=100000': 90, 'wait=soon': 0, 'nowait=5': 0, 'WAIT="3"': 3 }
  for (const [prefer, waited] of Object.entries(cases)) {
    const response = await app.request(tern, jsonBody({ length: 9 }, { prefer }))
    assert.equal(((await response.json()) as { waited: number }).waited, waited, prefer)
  }
})

test('the pages of a list together are the list, whatever comes and goes behind them', async () => {
  const { app, boats } = createTestApi()
  boats.clear()
  for (const id of ['auk', 'eider', 'gull', 'skua', 'tern']) boats.set(id, { length: 9, seen: 1 })
  const seen: string[] = []
  let path: string | undefined = '/v1/harbours/leith/boats?limit=2&kind=sail'
  while (path !== undefined) {
    const response: Response = await app.request(path)
    seen.push(...((await response.json()) as { items: { id: string }[] }).items.map(({ id }) => id))
    boats.delete('eider')
    path = /^<([^>]+)>; rel="next"$/.exec(response.headers.get('link') ?? '')?.[1]
    if (path) assert.match(path, /kind=sail/)
  }
  assert.deepEqual(seen, ['auk', 'eider', 'gull', 'skua', 'tern'])
})

test('limits and cursors that are none are refused', async () => {
  const { app } = createTestApi()
  const foreign = Buffer.from('["ships","tern"]').toString('base64url')
  for (const query of ['limit=0', 'limit=1001', 'limit=ten', 'limit=1e2', 'cursor=!', `cursor=${foreign}`, 'cursor=']) {
    const response = await app.request(`/v1/harbours/leith/boats?${query}`)
    assert.equal(response.status, 422, query)
    assert.match(placeIn((await problemOf(response)).faults[0]), /^query:(limit|cursor)$/)
  }
})

test('a body that may be missing may be missing, and is validated when it is there', async () => {
  const { app } = createTestApi()
  const path = '/v1/harbours/leith/actions/close'
  assert.deepEqual(await (await app.request(path, { method: 'POST' })).json(), { reason: 'none' })
  assert.equal((await app.request(path, { ...jsonBody({ reasons: 'ice' }), method: 'POST' })).status, 422)
})

test('a merge patch arrives with its nulls', async () => {
  const { app } = createTestApi()
  const response = await app.request(tern, {
    method: 'PATCH',
    headers: { 'content-type': 'application/merge-patch+json; charset=UTF-8' },
    body: '{"name":null,"length":11}',
  })
  assert.deepEqual(await response.json(), { name: null, length: 11 })
})

test('OPTIONS names the methods of a path, HEAD answers like GET without a body', async () => {
  const { app } = createTestApi()
  const options = await app.request(tern, { method: 'OPTIONS' })
  assert.equal(options.status, 204)
  assert.equal(options.headers.get('allow'), 'GET, HEAD, PUT, PATCH, OPTIONS')
  const head = await app.request(tern, { method: 'HEAD' })
  assert.equal(head.status, 200)
  assert.ok(head.headers.get('etag'))
  assert.equal(await head.text(), '')
})

test('what is changed and what is refused leaves a record without secrets, what is read does not', async () => {
  const { app, records } = createTestApi({ scopes: ['region:read', 'projects:write'] })
  await app.request(tern)
  await app.request(`${tern}?dryRun=true&password=hunter2`, jsonBody({ length: 9 }))
  await app.request(
    `${tern}?dryRun=true`,
    jsonBody({ length: 9, name: 'hunter2' }, { authorization: 'Bearer hunter2', 'x-request-id': 'r1' }),
  )
  await app.request('/v1/nowhere', { method: 'POST' })
  assert.deepEqual(
    records.map(({ identity, method, route, status, problem, operation }) => ({ identity, method, route, status, problem, operation })),
    [
      {
        identity: 'pilot',
        method: 'PUT',
        route: '/v1/harbours/{harbour}/boats/{boat}',
        status: 422,
        problem: 'invalid-fields',
        operation: undefined,
      },
      {
        identity: 'pilot',
        method: 'PUT',
        route: '/v1/harbours/{harbour}/boats/{boat}',
        status: 202,
        problem: undefined,
        operation: 'op-1',
      },
      { identity: undefined, method: 'POST', route: undefined, status: 404, problem: 'not-found', operation: undefined },
    ],
  )
  assert.deepEqual(records[1]?.target, { harbour: 'leith', boat: 'tern' })
  assert.equal(records[1]?.dryRun, true)
  assert.equal(records[1]?.requestId, 'r1')
  assert.doesNotMatch(JSON.stringify(records), /hunter2/)
})

test('who is refused is recorded even when only reading', async () => {
  const { app, records } = createTestApi({
    identity: () => {
      throw new Problem('unauthenticated', 'The token is not known here.')
    },
  })
  const response = await app.request(tern, { headers: { authorization: 'Bearer guess' } })
  assert.equal(response.status, 401)
  assert.equal(response.headers.get('www-authenticate'), 'Bearer realm="skerry", error="invalid_token"')
  assert.deepEqual(
    records.map(({ status, problem }) => ({ status, problem })),
    [{ status: 401, problem: 'unauthenticated' }],
  )
})
