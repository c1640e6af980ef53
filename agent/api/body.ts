import type * as z from 'zod'
import { type BodyFault, type FaultList, Problem, summaryOf } from '../../shared/errors.ts'
import { asFault, parseWith } from '../../shared/faults.ts'
import { type ForeignBodies, foreignObjects } from '../resources/foreign-bodies.ts'
import type { ApiContext } from './context.ts'
import { JsonLimitError, JsonSyntaxError, parseJson } from './json-text.ts'

/** The largest body that is read, in bytes. A keystore has up to 512 KiB as base64, everything else about 30 KiB. */
const maxBodyBytes = 1024 * 1024

export const mediaTypes = { json: 'application/json', patch: 'application/merge-patch+json' } as const

/** A JSON merge patch (RFC 7386) of an object: null removes a member, objects are merged, other values replace. */
export type MergePatch = { [name: string]: unknown }

/** A body, parsed but not yet validated, with the faults found while parsing, and how many there are besides. */
export type ReadBody = { given: unknown; faults: BodyFault[]; more: number }

/** Validates the body: returns its value, and adds every fault to `faults`. A body of another API is one fault. */
export function validateBody(body: ReadBody, schema: z.ZodType, faults: FaultList, foreign: ForeignBodies = foreignObjects): unknown {
  const parsed = parseWith(schema, body.given, { explain: foreign.field })
  if (!parsed.ok && isForeign(body, faults, foreign)) return undefined
  faults.addAll(body.faults, body.more)
  if (parsed.ok) return parsed.value
  // A value that the parser removed must not be reported as missing as well.
  const known = new Set(body.faults.map(({ path }) => path))
  const found = parsed.faults.map((each) => asFault(each)).filter(({ path }) => !known.has(path))
  faults.addAll(found, parsed.more)
  return undefined
}

/** Whether the body as a whole was written for another API, which is then its only fault. */
function isForeign({ given }: ReadBody, faults: FaultList, { whole }: ForeignBodies): boolean {
  const message = whole(given)
  if (message !== undefined) faults.add(() => ({ path: '', message }))
  return message !== undefined
}

/** Validates the body as a merge patch: returns it, and adds every fault to `faults`. */
export function validatePatch(body: ReadBody, faults: FaultList, foreign: ForeignBodies = foreignObjects): MergePatch {
  if (isForeign(body, faults, foreign)) return {}
  faults.addAll(body.faults, body.more)
  if (typeof body.given === 'object' && body.given !== null && !Array.isArray(body.given)) return body.given as MergePatch
  faults.add(() => ({ path: '', message: body.given === undefined ? 'is required' : 'must be an object' }))
  return {}
}

/** One problem for all faults of a request. */
export function invalidFields({ found, more }: FaultList): Problem {
  return new Problem('invalid-fields', summaryOf(found, more), { faults: found, moreFaults: more })
}

/**
 * Reads and parses the body; `given` is undefined when there is none.
 * @throws Problem `unsupported-media-type`, `body-too-large`, or `invalid-request` when it is not JSON
 */
export async function readBody(c: ApiContext, mediaType: string): Promise<ReadBody> {
  if (!hasBody(c)) return noBody
  const encoding = c.req.header('content-encoding')
  if (encoding !== undefined && encoding.toLowerCase() !== 'identity')
    throw new Problem('unsupported-media-type', 'The body has a Content-Encoding. Send it uncompressed.')
  checkMediaType(c.req.header('content-type'), mediaType)
  const bytes = await readBytes(c, maxBodyBytes)
  if (bytes.byteLength === 0) return noBody
  return parse(bytes)
}

const noBody: ReadBody = { given: undefined, faults: [], more: 0 }

/** Whether the request has a body. Length 0 means that it has none. */
export function hasBody(c: ApiContext): boolean {
  if (c.env?.incoming === undefined) return c.req.raw.body !== null
  const length = c.req.header('content-length')
  return length === undefined ? c.req.header('transfer-encoding') !== undefined : length !== '0'
}

/** @throws Problem `unsupported-media-type` */
export function checkMediaType(given: string | undefined, wanted: string): void {
  const [type = '', ...parameters] = (given ?? '').split(';').map((piece) => piece.trim().toLowerCase())
  const isUtf8 = parameters.every((parameter) => !parameter.startsWith('charset=') || /^charset="?utf-?8"?$/.test(parameter))
  if (type === wanted && isUtf8) return
  const said = given === undefined ? 'The body has no Content-Type' : `The body has the Content-Type ${JSON.stringify(given.slice(0, 100))}`
  throw new Problem('unsupported-media-type', `${said}; this route takes ${wanted} in UTF-8.`, { extensions: { accepted: [wanted] } })
}

/**
 * The bytes of the body.
 * @throws Problem `body-too-large`, or `invalid-request` when it ends early
 */
export async function readBytes(c: ApiContext, maxBytes: number): Promise<Uint8Array> {
  const length = c.req.header('content-length')
  if (length !== undefined) {
    // Node reads no more than Content-Length says, so arrayBuffer() is bounded.
    if (Number(length) > maxBytes) throw tooLarge(maxBytes)
    const bytes = new Uint8Array(await broken(c.req.raw.arrayBuffer()))
    if (bytes.byteLength > maxBytes) throw tooLarge(maxBytes)
    return bytes
  }
  const reader = c.req.raw.body?.getReader()
  if (reader === undefined) return new Uint8Array()
  const chunks: Uint8Array[] = []
  let size = 0
  for (;;) {
    const { done, value } = await broken(reader.read() as Promise<{ done: boolean; value?: Uint8Array }>)
    if (done || value === undefined) return Buffer.concat(chunks)
    size += value.byteLength
    if (size > maxBytes) {
      // Not awaited: an endless body would never end.
      reader.cancel().catch(() => {})
      throw tooLarge(maxBytes)
    }
    chunks.push(value)
  }
}

/** The body has more bytes than that. */
export function tooLarge(maxBytes: number): Problem {
  return new Problem('body-too-large', `The body is larger than ${maxBytes / 1024 / 1024} MiB.`, { extensions: { maxBytes } })
}

/** A body that ends early is the caller's fault. */
function broken<T>(read: Promise<T>): Promise<T> {
  return read.catch((cause) => {
    throw new Problem('invalid-request', 'The body ended early.', { cause })
  })
}

function parse(bytes: Uint8Array): ReadBody {
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch (cause) {
    throw unreadable('The body is not JSON', 'it is not UTF-8', cause)
  }
  try {
    const { value, ...faults } = parseJson(text)
    return { given: value, ...faults }
  } catch (cause) {
    if (cause instanceof JsonSyntaxError) throw unreadable('The body is not JSON', cause.message, cause)
    if (cause instanceof JsonLimitError) throw unreadable('The body has too much in it', cause.message, cause)
    throw cause
  }
}

function unreadable(said: string, what: string, cause: unknown): Problem {
  return new Problem('invalid-request', `${said}: ${what}.`, { cause, faults: [{ path: '', message: what }] })
}
