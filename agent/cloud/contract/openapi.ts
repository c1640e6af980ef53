import * as z from 'zod'
import { createDocument, type ZodOpenApiOperationObject, type ZodOpenApiPathsObject } from 'zod-openapi'
import { type Endpoint, endpoints } from './endpoints.ts'
import { type FailureName, failures, typeOfFailure } from './failures.ts'

const problem = z
  .object({
    type: z.string().meta({ example: typeOfFailure('unknown-region') }),
    title: z.string(),
    status: z.int(),
    detail: z.string().optional().describe('Shown to the people on site, in one line'),
    now: z.int().describe("The cloud's clock, in milliseconds since 1970: with `clock-skew`, the region takes it for its next proof"),
  })
  .meta({ id: 'Problem', description: 'A refusal (RFC 9457). Its type says the class, whatever the status.' })

/** The contract as an OpenAPI 3.1 document, for the developers of clouds. */
export function contractDocument(version: string): ReturnType<typeof createDocument> {
  const paths: Record<string, Record<string, ZodOpenApiOperationObject>> = {}
  for (const endpoint of Object.values<Endpoint>(endpoints)) {
    paths[endpoint.path] = { ...paths[endpoint.path], [endpoint.method.toLowerCase()]: operationOf(endpoint) }
  }
  return createDocument({
    openapi: '3.1.0',
    info: {
      title: 'What a region of Skerry asks of its cloud',
      version,
      description: 'The other side of the link: a cloud that answers this can have regions. See docs/your-cloud.md.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: 'https://cloud.example.org' }],
    paths: paths as ZodOpenApiPathsObject,
    components: {
      securitySchemes: {
        proof: {
          type: 'apiKey',
          in: 'header',
          name: 'DPoP',
          description:
            'A proof of possession of the key of the region (RFC 9449): `htm`, `htu`, `iat`, `jti`, and `ath` over the credential.',
        },
        credential: {
          type: 'apiKey',
          in: 'header',
          name: 'Authorization',
          description: '`DPoP` and the credential that the cloud gave out.',
        },
      },
    },
  })
}

function operationOf({
  operationId,
  summary,
  description,
  by,
  request,
  answers,
  failures: classes,
  path,
}: Endpoint): ZodOpenApiOperationObject {
  const parameters = path.includes('{region}')
    ? { requestParams: { path: z.object({ region: z.string().describe('The registration, as the cloud called it') }) } }
    : {}
  return {
    operationId,
    summary,
    description,
    ...parameters,
    security: by === 'nothing' ? [] : by === 'key' ? [{ proof: [] }] : [{ proof: [], credential: [] }],
    ...(request && { requestBody: { required: true, content: { [request.mediaType]: { schema: request.schema } } } }),
    responses: { ...Object.fromEntries(Object.entries(answers).map(answerOf)), ...refusalsOf(classes) },
  } as ZodOpenApiOperationObject
}

function answerOf([status, { description, schema, mediaType = 'application/json' }]: [string, Endpoint['answers'][number]]) {
  return [status, { description, ...(schema && { content: { [mediaType]: { schema } } }) }] as const
}

/** The refusals by status; several classes may have one. */
function refusalsOf(classes: readonly FailureName[]) {
  const byStatus = Map.groupBy(classes, (name) => failures[name].status)
  return Object.fromEntries(
    [...byStatus].map(([status, names]) => [
      status,
      {
        description: names.map((name) => `\`${name}\`: ${failures[name].message}`).join('\n\n'),
        content: { 'application/problem+json': { schema: problem } },
      },
    ]),
  )
}
