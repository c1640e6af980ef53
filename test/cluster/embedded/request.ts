import type { IncomingMessage } from 'node:http'
import { decodeProtobuf, protobufType } from './protobuf.ts'
import type { Attributes } from './rbac.ts'
import { ApiError, badRequest, cause, invalid, unsupportedMediaType } from './status.ts'

/** A request, parsed from its path and method alone. */
export type ApiRequest = {
  method: string
  path: string
  query: URLSearchParams
  /** Undefined if the path is not a resource, such as `/version`. */
  resource: { group: string; version: string; namespace: string | undefined; plural: string; name: string; subresource: string } | undefined
  verb: string
}

const verbs: Record<string, string> = { POST: 'create', PUT: 'update', PATCH: 'patch' }

export function parseRequest({ method = 'GET', url = '/' }: IncomingMessage): ApiRequest {
  const mark = url.indexOf('?')
  const path = mark < 0 ? url : url.slice(0, mark)
  const query = new URLSearchParams(mark < 0 ? '' : url.slice(mark + 1))
  const resource = resourceAt(path)
  const watching = ['true', '1'].includes(query.get('watch') ?? '')
  const verb = !resource
    ? method.toLowerCase()
    : method === 'GET'
      ? watching
        ? 'watch'
        : resource.name
          ? 'get'
          : 'list'
      : method === 'DELETE'
        ? resource.name
          ? 'delete'
          : 'deletecollection'
        : (verbs[method] ?? method.toLowerCase())
  return { method, path, query, resource, verb }
}

function resourceAt(path: string): ApiRequest['resource'] {
  const parts = path.split('/').filter(Boolean).map(decode)
  const [root, first = '', second = ''] = parts
  const core = root === 'api'
  if (!core && root !== 'apis') return undefined
  const [group, version] = core ? ['', first] : [first, second]
  let rest = parts.slice(core ? 2 : 3)
  if (rest.length === 0) return undefined
  let namespace: string | undefined
  if (rest[0] === 'namespaces' && rest.length > 2 && !(core && (rest[2] === 'status' || rest[2] === 'finalize'))) {
    namespace = rest[1]
    rest = rest.slice(2)
  }
  const [plural = '', name = '', subresource = ''] = rest
  return rest.length > 3 ? undefined : { group, version, namespace, plural, name, subresource }
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    throw badRequest(`invalid URL escape in ${JSON.stringify(part)}`)
  }
}

/** The action of a request, for access control. */
export function attributesOf({ verb, path, resource, query }: ApiRequest): Attributes {
  if (!resource) return { verb, group: '', resource: '', subresource: '', name: '', namespace: '', path }
  const { group, plural, subresource, name, namespace = '' } = resource
  const named = name || (/^metadata\.name=([^,]+)$/.exec(query.get('fieldSelector') ?? '')?.[1] ?? '')
  const own = plural === 'namespaces' && group === '' ? name : namespace
  return { verb, group, resource: plural, subresource, name: named, namespace: own }
}

/** Whether a request is a dry run. Throws 422 for any value except `All`. */
export function isDryRun(query: URLSearchParams, kind: string): boolean {
  const values = query.getAll('dryRun').filter(Boolean)
  const wrong = values.find((value) => value !== 'All')
  if (wrong !== undefined) {
    throw invalid({ group: 'meta.k8s.io', kind }, '', [cause.notSupported('dryRun', wrong, ['All'])])
  }
  return values.length > 0
}

const bodyLimit = 3 * 1024 * 1024

/** The body of a request. Throws 413 beyond 3 MiB, as the real server does. */
export async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request) {
    size += chunk.length
    if (size > bodyLimit) throw new ApiError(413, 'RequestEntityTooLarge', `Request entity too large: limit is ${bodyLimit}`)
    chunks.push(chunk)
  }
  return chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks)
}

export const mediaTypeOf = (request: IncomingMessage): string => (request.headers['content-type'] ?? '').split(';')[0]?.trim() ?? ''

const documentTypes = ['application/json', 'application/yaml']

/** The document in a body: JSON, YAML, or protobuf of the kinds that kubectl sends that way. Throws 400 if it does not parse, 415 for other types. */
export async function parseDocument(body: Buffer, mediaType: string, accepted = documentTypes): Promise<unknown> {
  if (mediaType === protobufType && accepted === documentTypes) {
    const document = decodeProtobuf(body)
    if (document !== undefined) return document
  }
  if (mediaType && !accepted.includes(mediaType)) throw unsupportedMediaType(accepted)
  if (body.length === 0) return undefined
  const text = body.toString('utf8')
  try {
    return JSON.parse(text)
  } catch (error) {
    if (!mediaType.endsWith('yaml')) throw badRequest(`couldn't get version/kind; json parse error: ${(error as Error).message}`)
  }
  const { parse } = await import('yaml')
  try {
    return parse(text)
  } catch (error) {
    throw badRequest(`error decoding YAML: ${(error as Error).message}`)
  }
}
