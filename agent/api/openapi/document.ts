import * as z from 'zod'
import { createDocument, type ZodOpenApiOperationObject, type ZodOpenApiPathsObject } from 'zod-openapi'
import { type ProblemType, problemMediaType, problems, problemTypeBase } from '../../../shared/errors.ts'
import { mediaTypes } from '../body.ts'
import type { Scope } from '../http.ts'
import { ledgerAtSyntax } from '../parameters.ts'
import type { ResponseDoc, RouteDoc } from '../route.ts'
import { withoutBounds } from './bounds.ts'
import { addExamples } from './examples.ts'

/** An OpenAPI 3.1 document, as zod-openapi makes it. */
export type ApiDocument = ReturnType<typeof createDocument>

/** The OpenAPI document. Everything in it comes from the routes and the table of problems. */
export function createApiDocument(routes: readonly RouteDoc[], version: string): ApiDocument {
  const paths: Record<string, Record<string, ZodOpenApiOperationObject>> = {}
  for (const doc of routes) {
    const path = `/v1${doc.path}`
    paths[path] ??= {}
    paths[path][doc.method.toLowerCase()] = operationOf(doc)
  }
  const document = createDocument(
    {
      openapi: '3.1.0',
      info: {
        title: 'Skerry agent',
        version,
        description: introduction(routes),
        contact: { name: 'Skerry' },
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      },
      servers: [{ url: '/' }],
      security: [{ token: [] }, { accessAssertion: [] }, { clientCertificate: [] }],
      tags: tagsOf(routes),
      paths: paths as ZodOpenApiPathsObject,
      components: {
        securitySchemes: {
          token: {
            type: 'http',
            scheme: 'bearer',
            description: 'A static token of the agent, or a signed token (JWT) of its identity provider.',
          },
          accessAssertion: {
            type: 'apiKey',
            in: 'header',
            name: 'Cf-Access-Jwt-Assertion',
            description: 'A signed token that Cloudflare Access adds.',
          },
          clientCertificate: { type: 'mutualTLS' as 'http', description: 'A client certificate that the agent knows.' },
        },
      },
    },
    // JSON Schema cannot express a refinement or a transform; the description does.
    { allowEmptySchema: { custom: true, transform: true, pipe: true } },
  )
  const { schemas = {} } = document.components ?? {}
  // Everything that kubectl can write is among the databases of the API.
  if (schemas.Database) schemas.Database = withoutBounds(schemas.Database as Record<string, never>)
  return addExamples(document)
}

/** The sections, in the order of their routes. */
function tagsOf(routes: readonly RouteDoc[]) {
  return [...Map.groupBy(routes, ({ tag }) => tag)].map(([name, own]) => {
    const description = own.find(({ tagDescription }) => tagDescription !== undefined)?.tagDescription
    return { name, ...(description !== undefined && { description }) }
  })
}

const introduction = (routes: readonly RouteDoc[]) => `Manages the projects and databases of one region in its Kubernetes cluster.

A request that changes something is answered \`202\` once it is durable, with an operation that shows the progress; \`200\` if there is
nothing to do. \`Prefer: wait=N\` waits up to N seconds for the end. With an \`Idempotency-Key\`, the same request can be sent again
and is carried out once. \`?dryRun=true\` answers with the plan and changes nothing.

A refusal is a problem document (RFC 9457) that says what to do; \`faults\` lists all invalid fields at once, up to 100.

Each route names the scope that it needs: ${[...new Set(routes.map(({ scope }) => `\`${scope}\``))].join(', ')}.`

const problemSchema = z
  .looseObject({
    type: z
      .enum(Object.keys(problems).map((type) => problemTypeBase + type) as [string, ...string[]])
      .describe('Match on its last part. The agent has a page at its path, which says what to do: `/problems/…`.'),
    title: z.string(),
    status: z.int().min(400).max(599),
    detail: z.string(),
    instance: z.string().optional().describe('This occurrence; its id is in the log of the agent.'),
    action: z.string().describe('What to do.'),
    retry: z
      .enum(['never', 'backoff', 'later'])
      .describe('Whether the same request may succeed: never, after a growing pause, or after a change elsewhere.'),
    faults: z
      .array(
        z.object({
          path: z
            .string()
            .optional()
            .describe('A JSON pointer (RFC 6901) into the body; empty for the whole of it. Missing for a parameter.'),
          in: z.enum(['path', 'query', 'header']).optional().describe('Where the parameter is. Missing for a place in the body.'),
          name: z.string().optional().describe('Name of the parameter. Missing for a place in the body.'),
          message: z.string(),
        }),
      )
      .optional(),
    moreFaults: z.int().optional().describe('How many faults there are besides those listed; missing if all are listed.'),
  })
  .meta({ id: 'Problem', description: 'A problem document (RFC 9457).' })

/** The problems of every route. */
const everywhere: ProblemType[] = [
  'unauthenticated',
  'forbidden',
  'invalid-fields',
  'rate-limited',
  'uri-too-long',
  'internal',
  'not-ready',
]
const withBody: ProblemType[] = ['invalid-request', 'body-too-large', 'unsupported-media-type']
const onWrite: ProblemType[] = [
  'invalid-request',
  'conflict',
  'precondition-failed',
  'idempotency-key-reused',
  'rejected-by-cluster',
  'quota-exceeded',
  'unsupported-edit',
  'protected',
  'wrong-state',
  'cluster-error',
  'cluster-unreachable',
  'cluster-forbidden',
  'rights-pending',
  'not-served',
  'deadline-exceeded',
]

function operationOf(doc: RouteDoc): ZodOpenApiOperationObject {
  const isWrite = doc.method !== 'GET'
  const body = doc.body ?? doc.patch
  const mediaType = doc.patch === undefined ? mediaTypes.json : mediaTypes.patch
  return {
    operationId: doc.operationId,
    tags: [doc.tag],
    summary: doc.summary,
    description: [doc.description, `Needs the scope \`${doc.scope}\`.`].filter(Boolean).join('\n\n'),
    'x-skerry-scope': doc.scope satisfies Scope,
    requestParams: {
      ...(doc.params && { path: doc.params }),
      ...(doc.query && { query: doc.query }),
      ...(isWrite && { header: doc.comparesLedger ? recordedHeaders : writeHeaders }),
    },
    ...(body && {
      requestBody: {
        required: !body.safeParse(undefined).success,
        content: {
          [mediaType]: { schema: doc.patch === undefined ? body : patchSchema, ...(doc.example !== undefined && { example: doc.example }) },
        },
        ...(doc.patch !== undefined && { description: 'Only the fields to change; null removes a field (RFC 7386).' }),
      },
    }),
    responses: {
      ...Object.fromEntries(Object.entries(doc.responses()).map(([status, response]) => [status, responseOf(response)])),
      ...problemResponses(doc),
    },
  } as ZodOpenApiOperationObject
}

const patchSchema = z
  .record(z.string(), z.unknown())
  .meta({ id: 'MergePatch', description: 'A JSON merge patch (RFC 7386) of the resource.' })

const writeHeaders = z.object({
  Prefer: z.string().optional().describe('`wait=N`: wait up to N seconds for the end of the operation.').meta({ example: 'wait=30' }),
  'Idempotency-Key': z
    .string()
    .regex(/^[\x21-\x7e]{1,255}$/)
    .optional()
    .describe('Chosen by the caller, a new one for each new request. The same key and request return the same operation.'),
  'If-Match': z.string().optional().describe('Only if the resource still has this ETag. Changes of status do not count.'),
  'If-None-Match': z.string().optional().describe('`*`: only if the resource does not exist.'),
})

const recordedHeaders = writeHeaders.extend({
  'If-Ledger-At': z
    .string()
    .regex(ledgerAtSyntax)
    .optional()
    .describe(
      'The last entry of the ledger that the caller knows, and its hash if it has that (`41 sha256:…`): only if the resource and its project have not changed since. So a cloud that was restored from a backup undoes nothing.',
    )
    .meta({ example: '41' }),
})

function responseOf({ description, schema, contentType = mediaTypes.json, headers, example }: ResponseDoc) {
  return {
    description,
    headers: {
      'X-Request-Id': { description: 'The id of the request, also in the log of the agent.', schema: { type: 'string' } },
      ...Object.fromEntries(Object.entries(headers ?? {}).map(([name, says]) => [name, { description: says, schema: { type: 'string' } }])),
    },
    ...(schema && { content: { [contentType]: { schema, ...(example !== undefined && { example }) } } }),
  }
}

/** One response for each status, with all its problems. */
function problemResponses(doc: RouteDoc): Record<string, unknown> {
  const types = [
    ...everywhere,
    ...(doc.body || doc.patch ? withBody : []),
    ...(doc.method === 'GET' ? [] : onWrite),
    ...(doc.comparesLedger ? (['ledger-behind', 'ledger-ahead'] as const) : []),
    ...(doc.params ? (['not-found'] as const) : []),
    ...(doc.problems ?? []),
  ]
  const described: Record<string, unknown> = {}
  for (const status of new Set(types.map((type) => problems[type].status)).values()) {
    const ofStatus = [...new Set(types)].filter((type) => problems[type].status === status)
    described[status] = {
      description: ofStatus.map((type) => `\`${type}\`: ${problems[type].title}.`).join(' '),
      content: { [problemMediaType]: { schema: problemSchema } },
    }
  }
  return described
}
