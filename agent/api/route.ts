import * as z from 'zod'
import { FaultList, Problem, type ProblemType } from '../../shared/errors.ts'
import type { FileBody } from '../operations/actions/file-body.ts'
import type { ForeignBodies } from '../resources/foreign-bodies.ts'
import { hasBody, invalidFields, type MergePatch, mediaTypes, readBody, validateBody, validatePatch } from './body.ts'
import { validateConditions } from './conditions.ts'
import type { ApiContext, Scope } from './context.ts'
import { readFileBody } from './file-body.ts'
import type { LedgerAt } from './ledger-at.ts'
import { preferredWait, validateIdempotencyKey, validateLedgerAt, validateParams, validateQuery } from './parameters.ts'

/** One answer of a route, for the OpenAPI document. Problems are described once for all routes. */
export type ResponseDoc = {
  description: string
  schema?: z.ZodType
  /** `application/json` when left out. */
  contentType?: string
  /** By the name of the header. */
  headers?: Record<string, string>
  /** An example, or those members that differ from the examples of the schema. */
  example?: unknown
}

/** A route: requests are read by it, and the OpenAPI document is made from it. */
export type RouteDoc = {
  method: 'GET' | 'PUT' | 'POST' | 'PATCH' | 'DELETE'
  /** Below `/v1`, with parameters in braces: `/projects/{project}`. */
  path: string
  /** Unique: `putProject`. */
  operationId: string
  /** Its section in the document: `Projects`. */
  tag: string
  /** Its section in a sentence. One route of a section has it. */
  tagDescription?: string
  summary: string
  description?: string
  /** Checked before anything else of the request is read. */
  scope: Scope
  /**
   * For a route without `{project}` in its path: the handler leaves out what the identity must not see (`sees`). Without it, the route is
   * closed to identities that are bound to projects (reach.ts).
   */
  filtered?: boolean
  params?: z.ZodObject
  query?: z.ZodObject
  /** A JSON body. The schema of an optional body accepts undefined. */
  body?: z.ZodType
  /** The body is a file, which this reads; `body` is for the document alone. */
  file?: FileBody
  /** A merge patch. The schema is that of the result, and only for the document. */
  patch?: z.ZodType
  /** What to answer to a body that was written for another API; the usual answer is for any object of Kubernetes. */
  foreign?: ForeignBodies
  /** An example of the body. */
  example?: unknown
  /** The handler compares `If-Ledger-At` with the ledger (ledger-at.ts). Other writes refuse that header. */
  comparesLedger?: true
  /** Problems besides those that every route of its method has. */
  problems?: readonly ProblemType[]
  /** By status. A function: the schemas are needed only when somebody requests the document. */
  responses: () => Record<number, ResponseDoc>
}

/** A request that has been read and is valid. The last three are undefined for GET. */
export type Input<P = unknown, Q = unknown, B = unknown> = {
  params: P
  query: Q
  body: B
  idempotencyKey: string | undefined
  ledgerAt: LedgerAt | undefined
  waitSeconds: number | undefined
}

/** A route and its handler. */
export type Route = RouteDoc & { handle(c: ApiContext, input: Input): Response | Promise<Response> }

type Nothing = z.ZodObject<Record<never, never>, z.core.$strict>

/**
 * Types a route: `handle` gets the output of its schemas.
 *
 *     route({ method: 'PUT', path: '/projects/{project}', params, body: projectSpec, …, handle: async (c, { params, body }) => … })
 */
export function route<
  P extends z.ZodObject = Nothing,
  Q extends z.ZodObject = Nothing,
  B extends z.ZodType = z.ZodUndefined,
  M extends z.ZodType | undefined = undefined,
>(
  definition: Omit<RouteDoc, 'params' | 'query' | 'body' | 'patch'> & {
    params?: P
    query?: Q
    body?: B
    patch?: M
    handle(
      c: ApiContext,
      input: Input<z.output<P>, z.output<Q>, M extends z.ZodType ? MergePatch : z.output<B>>,
    ): Response | Promise<Response>
  },
): Route {
  return definition as unknown as Route
}

const noParameters = z.strictObject({})

/**
 * Reads everything that a route takes, and names all that is wrong in path, query, headers and body at once.
 * @throws Problem `invalid-fields` with all faults; for a body that cannot be read at all, as `readBody` does
 */
export async function readInput(c: ApiContext, doc: RouteDoc): Promise<Input> {
  const faults = new FaultList()
  const isWrite = doc.method !== 'GET'
  const input: Input = {
    params: doc.params && validateParams(c, doc.params, faults),
    query: doc.query === undefined && !c.req.url.includes('?') ? {} : validateQuery(c, doc.query ?? noParameters, faults),
    body: undefined,
    idempotencyKey: isWrite ? validateIdempotencyKey(c, faults) : undefined,
    ledgerAt: isWrite ? validateLedgerAt(c, doc.comparesLedger === true, faults) : undefined,
    waitSeconds: isWrite ? preferredWait(c) : undefined,
  }
  if (isWrite) validateConditions(c, faults)
  if (doc.file !== undefined) {
    input.body = await readFileBody(c, doc.file, faults).catch((error: unknown) => {
      throw withFaults(error, faults)
    })
  } else if (doc.body !== undefined || doc.patch !== undefined) {
    const mediaType = doc.patch === undefined ? mediaTypes.json : mediaTypes.patch
    const body = await readBody(c, mediaType).catch((error: unknown) => {
      throw withFaults(error, faults)
    })
    input.body = doc.body === undefined ? validatePatch(body, faults, doc.foreign) : validateBody(body, doc.body, faults, doc.foreign)
  } else if (hasBody(c)) faults.add(() => ({ path: '', message: 'must be empty: this route takes no body' }))
  if (faults.found.length > 0) throw invalidFields(faults)
  return input
}

/** Why the body cannot be read, with the faults found elsewhere. */
function withFaults(error: unknown, { found, more }: FaultList): unknown {
  if (!(error instanceof Problem) || found.length === 0) return error
  const { type, detail, cause, extensions } = error
  const count = found.length + more
  const whole = `${detail} And ${count === 1 ? 'one more fault, listed' : `${count} more faults, listed`} under "faults".`
  return new Problem(type, whole, { cause, extensions, faults: [...error.faults, ...found], moreFaults: more })
}
