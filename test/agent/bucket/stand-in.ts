import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import type { AddressInfo, LookupFunction } from 'node:net'
import { buffer } from 'node:stream/consumers'
import type { TestContext } from 'node:test'
import type { BucketPlace, BucketTools } from '../../../agent/bucket/index.ts'
import { systemClock } from '../../../shared/clock.ts'
import type { Signed } from '../../peers/certificates.ts'

/** A request, as a store sees it. */
export type Seen = { method: string; host: string; path: string; query: URLSearchParams; authorization: string; body: Buffer }

/** What the store does instead of answering: ends the connection, never answers, says what is no HTTP, ends within the answer, or stops in it. */
type Misdeed = 'close' | 'hang' | 'garbage' | 'cut' | 'stall'

/** An answer of the stand-in. */
export type Reply = { status: number; headers?: Record<string, string>; body?: string | Buffer } | Misdeed

/** An S3 store on loopback with one bucket, that says what a test lets it say. It verifies no signatures: the peer of test/peers/s3.ts does. */
export type Store = {
  port: number
  place: BucketPlace
  seen: Seen[]
  objects: Map<string, Buffer>
}

/** A place of the test's own network is allowed; nothing else inside the cluster is. */
export const tools: BucketTools = {
  rules: { allowed: ['127.0.0.1/32'], clusterNetworks: () => ['10.244.0.0/16'], namespaces: [] },
  clock: systemClock,
  proxies: {},
  timeoutMs: 20_000,
}

/**
 * @param answer what it says to a request; undefined: what S3 would
 * @param certificate with it, the store has TLS
 */
export async function startStore(
  t: TestContext,
  { answer = () => undefined, certificate }: { answer?: (seen: Seen) => Reply | undefined; certificate?: Signed } = {},
): Promise<Store> {
  const seen: Seen[] = []
  const objects = new Map<string, Buffer>()
  const handle = async (request: IncomingMessage, response: ServerResponse) => {
    const url = new URL(`http://store${request.url}`)
    const { method = '', headers } = request
    const asked = {
      method,
      host: headers.host ?? '',
      path: decodeURIComponent(url.pathname),
      query: url.searchParams,
      authorization: headers.authorization ?? '',
      body: await buffer(request),
    }
    seen.push(asked)
    say(answer(asked) ?? usual(asked, objects), response)
  }
  const listener = (request: IncomingMessage, response: ServerResponse) => void handle(request, response).catch(() => response.destroy())
  const server = certificate ? createSecureServer({ cert: certificate.cert, key: certificate.key }, listener) : createServer(listener)
  server.on('tlsClientError', () => {})
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  const endpointUrl = `${certificate ? 'https' : 'http'}://127.0.0.1:${port}`
  const place = {
    bucket: 'harbour-snapshots',
    endpointUrl,
    basePath: 'tidal-gauge',
    accessKeyId: 'AKIAEXAMPLE',
    secretAccessKey: 'example',
  }
  return { port, place, seen, objects }
}

function say(reply: Reply, response: ServerResponse): void {
  if (reply === 'hang') return
  if (reply === 'close') return void response.destroy()
  if (reply === 'garbage') return void response.socket?.end('SSH-2.0-OpenSSH_9.2p1\r\n')
  if (reply === 'cut' || reply === 'stall') {
    response.writeHead(200, { 'content-type': 'application/xml', 'content-length': '1000' })
    response.write('<?xml version="1.0"?><ListBucketResult>', () => reply === 'cut' && response.destroy())
    return
  }
  const { status, headers = {}, body = '' } = reply
  response.writeHead(status, { 'content-length': String(Buffer.byteLength(body)), ...headers }).end(body)
}

/** What S3 says: https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_Simple_Storage_Service.html */
function usual({ method, path, query, body }: Seen, objects: Map<string, Buffer>): Reply {
  const [, , ...rest] = path.split('/')
  const key = rest.join('/')
  if (key === '') return method === 'HEAD' ? { status: 200 } : listOf(objects, query)
  if (method === 'PUT') {
    objects.set(key, body)
    return { status: 200 }
  }
  if (method === 'DELETE') {
    objects.delete(key)
    return { status: 204 }
  }
  const found = objects.get(key)
  return found === undefined ? refusal(404, 'NoSuchKey', 'The specified key does not exist.') : { status: 200, body: found }
}

function listOf(objects: Map<string, Buffer>, query: URLSearchParams): Reply {
  const max = Number(query.get('max-keys'))
  const keys = [...objects.keys()].filter((key) => key.startsWith(query.get('prefix') ?? '')).sort()
  const contents = keys.slice(0, max).map((key) => {
    return `<Contents><Key>${encodeURIComponent(key)}</Key><Size>${objects.get(key)?.length}</Size></Contents>`
  })
  const head = `<EncodingType>url</EncodingType><IsTruncated>${keys.length > max}</IsTruncated>`
  return xml(200, `<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${head}${contents.join('')}</ListBucketResult>`)
}

/** A resolver that gives these addresses, one list for each question; the last list stays. */
export function resolving(...answers: string[][]): LookupFunction {
  let asked = 0
  return (_name, _options, callback) => {
    const addresses = answers[Math.min(asked++, answers.length - 1)] ?? []
    callback(
      null,
      addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
    )
  }
}

/** A resolver that fails. */
export const failing =
  (code: string): LookupFunction =>
  (_name, _options, callback) =>
    callback(Object.assign(new Error(`getaddrinfo ${code}`), { code }), [])

/** An answer in XML. */
export function xml(status: number, document: string, headers: Record<string, string> = {}): Reply {
  return { status, headers: { 'content-type': 'application/xml', ...headers }, body: `<?xml version="1.0" encoding="UTF-8"?>\n${document}` }
}

/** A refusal of S3. */
export function refusal(status: number, code: string, message: string, more = ''): Reply {
  return xml(status, `<Error><Code>${code}</Code><Message>${message}</Message>${more}<RequestId>4442587FB7D0A2F9</RequestId></Error>`)
}
