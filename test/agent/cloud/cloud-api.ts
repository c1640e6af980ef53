import { readFile } from 'node:fs/promises'
import { stringify } from 'yaml'
import * as z from 'zod'
import { createDocument, type ZodOpenApiOperationObject, type ZodOpenApiPathsObject } from 'zod-openapi'
import { addExamples } from '../../../agent/api/openapi/examples.ts'
import { regionSchema } from '../../../agent/api/representations/region-schema.ts'
import { joinStatePayload, trustPayload } from '../../../agent/cloud/contract/documents.ts'
import { type Endpoint, endpoints } from '../../../agent/cloud/contract/endpoints.ts'
import { type FailureClass, type FailureName, failures, typeOfFailure } from '../../../agent/cloud/contract/failures.ts'
import { wholeStatus } from '../../../agent/cloud/contract/status.ts'

const problem = z
  .object({
    type: z.string().meta({ example: typeOfFailure('unknown-region') }),
    title: z.string().meta({ example: failures['unknown-region'].message }),
    status: z.int().meta({ example: failures['unknown-region'].status }),
    detail: z.string().optional().describe('Shown to the people on site where the class is not known, in one line'),
    now: z.int().describe("The cloud's clock, in milliseconds since 1970: with `clock-skew`, the region takes it for its next proof"),
  })
  .meta({ id: 'Problem', description: 'A refusal (RFC 9457). Its type says the class, whatever the status.' })

/** A status whose region is the whole document of the region: what the link takes for granted is only a part of that. */
const status = wholeStatus.extend({ region: regionSchema }).meta({ id: 'Status', description: 'The whole status of a region.' })

/** The contract as an OpenAPI 3.1 document, for the developers of clouds. */
export function cloudApi(): ReturnType<typeof createDocument> {
  const paths: Record<string, Record<string, ZodOpenApiOperationObject>> = {}
  for (const endpoint of Object.values<Endpoint>(endpoints)) {
    paths[endpoint.path] = { ...paths[endpoint.path], [endpoint.method.toLowerCase()]: operationOf(endpoint) }
  }
  const document = createDocument({
    openapi: '3.1.0',
    info: {
      title: 'What a region of Skerry asks of its cloud',
      version: '1',
      description: 'The other side of the link: a cloud that answers this can have regions. docs/your-cloud.md says the rest.',
      contact: { name: 'Skerry' },
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: 'https://cloud.example.org' }],
    paths: paths as ZodOpenApiPathsObject,
    components: {
      schemas: { TrustDocument: trustPayload, JoinState: joinStatePayload },
      securitySchemes: {
        proof: {
          type: 'apiKey',
          in: 'header',
          name: 'DPoP',
          description:
            'A proof of possession of the key of the region (RFC 9449): `htm`, `htu`, `iat`, `jti`, and `ath` over the credential where there is one.',
        },
        credential: {
          type: 'apiKey',
          in: 'header',
          name: 'Authorization',
          description: '`DPoP`, a blank, and the credential that the cloud gave out last.',
        },
      },
    },
  })
  return addExamples(document)
}

/** The document, as its file has it. */
export const cloudApiFile = {
  path: 'docs/cloud-api.yaml',
  text: () => `# npm run render: agent/cloud/contract\n${stringify(cloudApi(), { lineWidth: 120, aliasDuplicateObjects: false })}`,
}

function operationOf({ operationId, summary, description, by, request, answers, failures: names, path }: Endpoint) {
  const region = z.string().describe('The registration, as the cloud has called it').meta({ example: 'r-5f3c9a' })
  const requestParams = {
    ...(path.includes('{region}') && { path: z.object({ region }) }),
    ...(operationId === endpoints.change.operationId && { header: z.object({ 'If-Match': ifMatch }) }),
  }
  return {
    operationId,
    summary,
    description,
    ...(Object.keys(requestParams).length > 0 && { requestParams }),
    security: by === 'nothing' ? [] : by === 'key' ? [{ proof: [] }] : [{ proof: [], credential: [] }],
    ...(request && { requestBody: { required: true, content: { [request.mediaType]: { schema: schemaOf(request.schema) } } } }),
    responses: { ...Object.fromEntries(Object.entries(answers).map(answerOf)), ...refusalsOf(names), ...laterOf(by) },
  } as ZodOpenApiOperationObject
}

const ifMatch = z.string().describe('The sequence of the status that the patch is for, in quotes').meta({ example: '"1796000000"' })

function schemaOf(schema: z.ZodType): z.ZodType {
  return schema === wholeStatus ? status : schema
}

function answerOf([code, { description, schema, mediaType = 'application/json' }]: [string, Endpoint['answers'][number]]) {
  if (schema === undefined) return [code, { description }] as const
  const content = {
    schema: mediaType === 'application/json' ? schema : z.string(),
    ...(mediaType !== 'application/json' && { example: 'eyJ0…' }),
  }
  return [code, { description, content: { [mediaType]: content } }] as const
}

/** The refusals by status; several classes may have one. */
function refusalsOf(names: readonly FailureName[]) {
  const byStatus = Map.groupBy(names, (name) => failures[name].status)
  return Object.fromEntries(
    [...byStatus].map(([code, ofStatus]) => [
      code,
      {
        description: ofStatus.map((name) => `\`${name}\`: ${failures[name].message}`).join('\n\n'),
        content: { 'application/problem+json': { schema: problem } },
      },
    ]),
  )
}

/** A cloud may ask for patience anywhere. */
function laterOf(by: Endpoint['by']) {
  const retryAfter = {
    'Retry-After': { description: 'Seconds, at most 59 minutes', schema: { type: 'integer', minimum: 0, maximum: 3_540 } },
  }
  const later = { description: 'Later: the region asks again, not before that time.', headers: retryAfter }
  return by === 'nothing' ? {} : { 429: later, 503: later }
}

const page = 'docs/your-cloud.md'
const [begin, end] = ['<!-- npm run render: agent/cloud/contract/failures.ts -->', '<!-- end -->']

/** The page for the developers of clouds, with the current table of refusals. @throws Error when the page has no place for it */
export async function yourCloudPage(): Promise<{ path: string; text: string }> {
  const text = await readFile(page, 'utf8')
  const [from, to] = [text.indexOf(begin), text.indexOf(end)]
  if (from === -1 || to < from) throw new Error(`${page} has no ${begin} … ${end}`)
  return { path: page, text: `${text.slice(0, from)}${begin}\n\n${failuresTable()}\n${text.slice(to)}` }
}

function failuresTable(): string {
  const head = ['class', 'usual status', 'what people on site read', 'what they are told to do', 'the region asks again']
  const rows = Object.entries<FailureClass>(failures).map(([name, { status: code, message, action, retry }]) => [
    `\`${name}\``,
    `${code}`,
    message,
    action,
    retry === 'wait' ? 'by itself' : 'when they tell it to',
  ])
  return [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |\n`).join('')
}
