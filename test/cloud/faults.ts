import { generateKeyPairSync, randomBytes } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { buffer } from 'node:stream/consumers'
import { CompactSign, decodeJwt } from 'jose'
import { documentTypes } from '../../agent/cloud/contract/documents.ts'
import type { HonestCloud } from './honest-cloud.ts'

/** A request that a cloud answers with a fault. */
export type Exchange = { request: IncomingMessage; response: ServerResponse; cloud: HonestCloud }

/** What a cloud, or somebody on the way to it, does in place of the honest answer. */
export type Fault = (exchange: Exchange) => void | Promise<void>

const json = { 'content-type': 'application/json' }
const mebibyte = Buffer.alloc(2 ** 20, 'a')
const floodMebibytes = 100

/** Sends 100 MiB, as fast as they are read. */
function flood(to: NodeJS.WritableStream): void {
  let left = floodMebibytes
  const more = () => {
    while (left-- > 0) if (!to.write(mebibyte)) return void to.once('drain', more)
    to.end()
  }
  more()
}

/** The answer of the honest cloud, which has taken the request. */
async function honestAnswer({ request, cloud }: Exchange): Promise<{ status: number; body: Record<string, unknown> }> {
  const { method = 'GET', url = '/', headers } = request
  const body = await buffer(request)
  const given = Object.entries(headers).flatMap(([name, value]) => (typeof value === 'string' ? [[name, value] as [string, string]] : []))
  const sent = { method, headers: given, ...(body.length > 0 && { body: new Uint8Array(body) }) }
  const answer = await cloud.app.fetch(new Request(`${cloud.origin}${url}`, sent))
  const isJson = /\bjson\b/.test(answer.headers.get('content-type') ?? '')
  return { status: answer.status, body: isJson ? ((await answer.json()) as Record<string, unknown>) : {} }
}

/** The honest answer with something else in it. */
function changed(edit: (body: Record<string, unknown>, cloud: HonestCloud) => object | Promise<object>): Fault {
  return async (exchange) => {
    const { status, body } = await honestAnswer(exchange)
    exchange.response.writeHead(status, json).end(JSON.stringify({ ...body, ...(await edit(body, exchange.cloud)) }))
  }
}

/** The same answer to everything, whatever was asked. */
function always(status: number, headers: Record<string, string>, body = ''): Fault {
  return ({ request, response }) => {
    request.resume()
    response.writeHead(status, headers).end(body)
  }
}

/** Bytes instead of an answer in HTTP. */
function raw(write: (socket: NodeJS.WritableStream) => void): Fault {
  return ({ response }) => write(response.socket as NodeJS.WritableStream)
}

function drip(write: () => void, { response }: Exchange): void {
  const timer = setInterval(write, 20)
  response.once('close', () => clearInterval(timer))
}

/** A join state of another number, if the answer has one. */
async function resigned(
  { joinState }: Record<string, unknown>,
  edit: (payload: { sequence: number }) => object,
  sign: (payload: object) => Promise<string>,
) {
  return typeof joinState === 'string' ? { joinState: await sign(edit(decodeJwt<{ sequence: number }>(joinState))) } : {}
}

const signedBy = (cloud: HonestCloud) => (payload: object) => cloud.signatures.sign(documentTypes.joinState, payload)

const another = generateKeyPairSync('ed25519')
const signedByAnother = (payload: object) =>
  new CompactSign(Buffer.from(JSON.stringify(payload)))
    .setProtectedHeader({ alg: 'EdDSA', typ: documentTypes.joinState })
    .sign(another.privateKey)

/** Faults of the connection, and of what comes over it. */
export const faultsOfTheLine = {
  'says nothing': () => {},
  'hangs up at once': ({ response }) => void response.socket?.destroy(),
  'loses its answer': async (exchange) => {
    await honestAnswer(exchange)
    exchange.response.socket?.destroy()
  },
  'cuts its answer': async (exchange) => {
    const { status, body } = await honestAnswer(exchange)
    const text = JSON.stringify(body)
    exchange.response.writeHead(status, { ...json, 'content-length': `${text.length}` })
    exchange.response.write(text.slice(0, text.length / 2), () => exchange.response.socket?.destroy())
  },
  'ends its answer in the middle': async (exchange) => {
    const { status, body } = await honestAnswer(exchange)
    const text = JSON.stringify(body)
    exchange.response.writeHead(status, json).end(text.slice(0, text.length / 2))
  },
  'drips its answer': (exchange) => {
    exchange.response.writeHead(200, { ...json, 'content-length': '1000000' })
    drip(() => exchange.response.write('{'), exchange)
  },
  'drips interim answers': (exchange) => drip(() => exchange.response.writeProcessing(), exchange),
  'sends 100 MiB of JSON': ({ response }) => flood(response.writeHead(200, json)),
  'sends a head without an end': raw((socket) => {
    socket.write('HTTP/1.1 200 OK\r\nX: ')
    flood(socket)
  }),
  'sends garbage': raw((socket) => socket.end(randomBytes(4_096))),
} satisfies Record<string, Fault>

/** Answers that are none. */
export const faultsOfTheAnswer = {
  'answers in HTML': always(200, { 'content-type': 'text/html' }, '<h1>Welcome to the hotel</h1>'),
  'answers without a content type': always(200, {}, '{}'),
  'answers with nothing': always(204, {}),
  'answers JSON of another shape': always(200, json, '{"rows":[[null]],"data":7,"parts":{}}'),
  'answers 500 KiB of arrays in each other': always(200, json, `${'['.repeat(250_000)}${']'.repeat(250_000)}`),
  'answers with a prototype': always(200, json, '{"__proto__":{"state":"ready","acknowledged":1},"constructor":{"prototype":{}}}'),
  'answers compressed': always(200, { ...json, 'content-encoding': 'gzip' }, 'H4sIAAAAAAAA'),
  'answers with thousands of tags': changed(() => ({
    tags: Object.fromEntries(Array.from({ length: 20_000 }, (_, index) => [`t${index}`, 'x'])),
  })),
  'answers with a name that moves the cursor': changed(() => ({ name: '\u001b[2J\nall is well' })),
  'refuses for no reason': always(418, { 'content-type': 'application/problem+json' }, '{"type":"https://skerry.dev/cloud/problems/tea"}'),
} satisfies Record<string, Fault>

/** Answers of a cloud that lies. */
export const lies = {
  'answers for another region': changed((body) => ({
    ...(body.id !== undefined && { id: 'r-another' }),
    ...(body.acknowledged !== undefined && { acknowledged: 2 ** 52 }),
    ...(body.stored !== undefined && { stored: '0'.repeat(64) }),
  })),
  'answers for another key': changed(async (body, cloud) => ({
    ...(body.acknowledged !== undefined && { acknowledged: 0 }),
    ...(body.stored !== undefined && { stored: 'f'.repeat(64) }),
    ...(await resigned(body, (payload) => ({ ...payload, jkt: 'A'.repeat(43) }), signedBy(cloud))),
  })),
  'answers with an older number': changed(async (body, cloud) => ({
    ...(typeof body.acknowledged === 'number' && { acknowledged: body.acknowledged - 1 }),
    ...(typeof body.stored === 'string' && { stored: body.stored.replace(/^./, (first) => (first === '0' ? '1' : '0')) }),
    ...(await resigned(body, (payload) => ({ ...payload, sequence: payload.sequence - 1 }), signedBy(cloud))),
  })),
  'signs with another key': changed(async (body) => ({
    ...(typeof body.acknowledged === 'number' && { acknowledged: `${body.acknowledged}` }),
    ...(typeof body.stored === 'string' && { stored: body.stored.toUpperCase().replace(/\d/g, 'A') }),
    ...(await resigned(body, (payload) => payload, signedByAnother)),
  })),
  'has a clock of 1970': changed(() => ({ now: 86_400_000 })),
  'has a clock of no year': changed(() => ({ now: Number.MAX_SAFE_INTEGER })),
} satisfies Record<string, Fault>

/** Clouds that want to be left alone. The value: seconds that the region waits at least. */
export const askingForPatience = {
  'answers 429 with Retry-After': { fault: always(429, { 'retry-after': '90' }), seconds: 90 },
  'answers 503 with Retry-After': { fault: always(503, { 'retry-after': '600' }), seconds: 600 },
  'asks for a pause of years': { fault: always(503, { 'retry-after': '999999999' }), seconds: 3_540 },
  'asks for a pause that is none': { fault: always(503, { 'retry-after': '-5' }), seconds: 0 },
  'answers 502 in HTML': { fault: always(502, { 'content-type': 'text/html' }, '<h1>Bad Gateway</h1>'), seconds: 0 },
} satisfies Record<string, { fault: Fault; seconds: number }>

/** Sends everybody elsewhere. @param target an origin */
export function redirectTo(target: string, status: 301 | 302 | 303 | 307 | 308): Fault {
  return (exchange) => always(status, { location: `${target}${exchange.request.url ?? '/'}` })(exchange)
}
