import assert from 'node:assert/strict'
import { test } from 'node:test'
import { gzipSync } from 'node:zlib'
import * as z from 'zod'
import { createApi } from '../../../agent/api/app.ts'
import type { Scope } from '../../../agent/api/context.ts'
import { limitsConfig } from '../../../agent/api/limits.ts'
import type { Route } from '../../../agent/api/route.ts'
import { fileBody } from '../../../agent/operations/actions/file-body.ts'
import { systemClock } from '../../../shared/clock.ts'
import { createLog } from '../../../shared/log.ts'

const maxBytes = 1024
let go = Promise.resolve()

const file = fileBody<string>({
  maxBytes,
  async read(bytes) {
    await go
    const value = Buffer.from(bytes).toString()
    return value === 'bad' ? { ok: false, faults: [{ path: '/at', message: 'is bad' }], more: 0 } : { ok: true, value }
  },
  digestOf: (value) => value,
})

const upload: Route = {
  ...{ method: 'POST', path: '/region/import', operationId: 'upload', tag: 'Region', summary: 'Takes a file', scope: 'region:write' },
  ...{ body: z.looseObject({}), file, responses: () => ({}) },
  handle: (c, { body }) => c.text(`read ${body}`),
}

const app = createApi(limitsConfig.parse({ requestsPerSecond: 1e6, burst: 1e6 }), {
  routes: [upload],
  authentication: { identify: async () => ({ name: 'cloud', scopes: new Set<Scope>(['region:write']) }) },
  audit: { record: () => {} },
  observe: () => {},
  version: '0.0.0',
  clock: systemClock,
  log: createLog({ level: 'silent', name: 'test' }),
})

async function send(
  body: NonNullable<RequestInit['body']>,
  headers: Record<string, string> = {},
): Promise<{ status: number; text: string }> {
  const request = { method: 'POST', body, headers: { 'content-type': 'application/json', ...headers }, duplex: 'half' } as RequestInit
  const response = await app.request('/v1/region/import', request)
  return { status: response.status, text: await response.text() }
}

const packed = { 'content-encoding': 'gzip' }
const stream = (text: string) => new Blob([text]).stream()

const cases: {
  name: string
  body: () => NonNullable<RequestInit['body']>
  headers?: Record<string, string>
  status: number
  says: RegExp
}[] = [
  { name: 'as it is', body: () => 'plain', status: 200, says: /^read plain$/ },
  { name: 'packed', body: () => gzipSync('packed'), headers: packed, status: 200, says: /^read packed$/ },
  { name: 'that is packed only by its header', body: () => 'plain', headers: packed, status: 400, says: /is not gzip/ },
  { name: 'that is packed and cut', body: () => gzipSync('cut').subarray(0, 12), headers: packed, status: 400, says: /ends early/ },
  { name: 'that is packed, and does not say so', body: () => gzipSync('packed'), status: 400, says: /Content-Encoding: gzip/ },
  { name: 'that is packed otherwise', body: () => 'plain', headers: { 'content-encoding': 'br' }, status: 415, says: /takes gzip/ },
  { name: 'of another type', body: () => 'plain', headers: { 'content-type': 'text/plain' }, status: 415, says: /takes application\/json/ },
  { name: 'with a fault', body: () => 'bad', status: 422, says: /\/at.*is bad/ },
  { name: 'that is too large', body: () => 'x'.repeat(maxBytes + 1), status: 413, says: /larger than/ },
  { name: 'that is too large and comes in pieces', body: () => stream('x'.repeat(maxBytes + 1)), status: 413, says: /larger than/ },
  { name: 'that becomes too large', body: () => gzipSync('x'.repeat(maxBytes + 1)), headers: packed, status: 413, says: /larger than/ },
]
for (const { name, body, headers, status, says } of cases)
  test(`a file ${name} is answered with ${status}`, async () => {
    const answer = await send(body(), headers)
    assert.equal(answer.status, status, answer.text)
    assert.match(answer.text, says)
  })

test('files are read one after the other, and not without end', async () => {
  const { promise, resolve } = Promise.withResolvers<void>()
  go = promise
  const answers = Array.from({ length: 7 }, (_, index) => send(`file ${index}`))
  const refused: Awaited<ReturnType<typeof send>>[] = []
  await new Promise<void>((bothAre) => {
    for (const answer of answers) void answer.then((answered) => refused.push(answered) === 2 && bothAre())
  })
  for (const { status, text } of refused) assert.deepEqual([status, /busy/.test(text)], [503, true])
  resolve()
  const statuses = (await Promise.all(answers)).map(({ status }) => status)
  assert.deepEqual(statuses.toSorted(), [200, 200, 200, 200, 200, 503, 503])
})
