import assert from 'node:assert/strict'
import { Ajv2020 } from 'ajv/dist/2020.js'
import formats from 'ajv-formats'
import { type ApiDocument, createApiDocument } from '../../../agent/api/openapi/document.ts'
import type { RouteDoc } from '../../../agent/api/route.ts'
import { assertRefusal } from './refusals.ts'

/** Says whether a response is one that the OpenAPI document promises. */
export type Conformance = {
  /** @throws AssertionError that names what the document does not know: the status, the media type, a header, or a field */
  check(method: string, path: string, response: Response, text: string): void
  document: ApiDocument
}

type Answer = { headers?: Record<string, unknown>; content?: Record<string, unknown> }
type Operation = { responses: Record<string, Answer> }

// Every answer may bear these (RFC 9110), so that no route names them.
const usualHeaders = ['content-type', 'cache-control', 'x-request-id', 'x-content-type-options', 'etag']

/** Validators by the text of their document: to compile their schemas anew for each region of a process takes seconds. */
const validators = new Map<string, Ajv2020>()

/** A validator that knows the document as `openapi`. */
export function validatorOf(document: ApiDocument): Ajv2020 {
  const text = JSON.stringify(document)
  const known = validators.get(text)
  if (known) return known
  // Each schema checks a few answers, so that its code is not worth optimizing.
  const ajv = new Ajv2020({ strict: false, allErrors: true, code: { optimize: false } })
  // The package is CommonJS, whose default export comes wrapped.
  ;(formats as unknown as { default: (ajv: Ajv2020) => void }).default(ajv)
  ajv.addSchema(document, 'openapi')
  validators.set(text, ajv)
  return ajv
}

/** All examples in a document, each with the pointer of its schema: the schema itself, or the one beside it in a body or parameter. */
export function* examplesIn(node: unknown, pointer = ''): Generator<{ schema: string; example: unknown }> {
  if (typeof node !== 'object' || node === null) return
  if ('example' in node) yield { schema: 'schema' in node ? `${pointer}/schema` : pointer, example: node.example }
  for (const [key, value] of Object.entries(node))
    if (key !== 'example') yield* examplesIn(value, `${pointer}/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`)
}

export function createConformance(routes: readonly RouteDoc[]): Conformance {
  const document = createApiDocument(routes, '0.0.0')
  const ajv = validatorOf(document)
  const paths = Object.entries((document.paths ?? {}) as Record<string, Record<string, Operation>>)

  function check(method: string, path: string, response: Response, text: string): void {
    const what = `${method} ${path}: ${response.status}`
    const [template, verbs] = paths.find(([template]) => patternOf(template).test(path.split('?')[0] ?? '')) ?? []
    if (template === undefined) {
      assert.equal(response.status, 404, `${what} for a path that the document does not know`)
      return
    }
    const verb = verbs?.[method.toLowerCase()]
    if (verb === undefined) {
      assert.equal(response.status, 405, `${what} for a method that the document does not know`)
      return
    }
    const answer = verb.responses[response.status]
    assert.ok(answer, `${what} is not in the document: ${text.slice(0, 500)}`)
    const known = Object.keys(answer.headers ?? {}).map((name) => name.toLowerCase())
    const others = [...response.headers.keys()].filter((name) => !usualHeaders.includes(name) && !known.includes(name))
    const owed = response.status >= 400 ? ['link', 'retry-after', 'www-authenticate', 'allow', 'accept', 'accept-patch'] : []
    assert.deepEqual(
      others.filter((name) => !owed.includes(name)),
      [],
      `${what} has headers that the document does not name`,
    )
    if (response.status === 304 || text === '') return
    if (response.status >= 400) assertRefusal(text, what)
    const mediaType = response.headers.get('content-type')?.split(';')[0] ?? ''
    const content = answer.content?.[mediaType]
    assert.ok(content, `${what} with ${mediaType}, which the document does not promise`)
    const pointer = ['paths', template, method.toLowerCase(), 'responses', String(response.status), 'content', mediaType, 'schema']
    const schema = `openapi#/${pointer.map((piece) => encodeURIComponent(piece.replaceAll('~', '~0').replaceAll('/', '~1'))).join('/')}`
    const isValid = ajv.validate(schema, JSON.parse(text))
    const faults = (ajv.errors ?? []).map(({ instancePath, message, params }) => `${instancePath} ${message} ${JSON.stringify(params)}`)
    assert.ok(isValid, `${what} is not as the document says:\n${faults.join('\n')}\n${text.slice(0, 2000)}`)
  }

  return { check, document }
}

function patternOf(template: string): RegExp {
  return new RegExp(`^${template.replaceAll(/\{\w+\}/g, '[^/]+')}$`)
}
