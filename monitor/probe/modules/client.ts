import * as z from 'zod'
import { discreet } from '../../../shared/discretion.ts'
import { secretFile, secretText } from '../../../shared/fields.ts'
import { text } from './fields.ts'
import { oauth2 } from './oauth2.ts'

// The part of Prometheus' HTTPClientConfig (prometheus/common, config/http_config.go) that is about credentials and header fields.

const basicAuth = z.strictObject({
  username: text(256).optional().describe('User name'),
  username_file: secretFile().optional().describe('File with the user name'),
  password: secretText({ max: 4096 }).optional().describe('Password'),
  password_file: secretFile().optional().describe('File with the password'),
})

const authorization = z.strictObject({
  type: text(100)
    .prefault('Bearer')
    .refine((type) => /^[!#$%&'*+.^_`|~\w-]+$/.test(type.trim()), 'must be a scheme of authorization')
    .refine((type) => type.trim().toLowerCase() !== 'basic', 'must not be basic: use basic_auth')
    .describe('Scheme of the header field Authorization'),
  credentials: secretText().optional().describe('What follows the scheme'),
  credentials_file: secretFile().optional().describe('File with what follows the scheme'),
})

/** Fields that have a field of their own, or belong to the connection (prometheus/common, config/headers.go). */
const reserved = new Set(
  (
    'authorization host content-encoding content-length content-type user-agent connection keep-alive proxy-authenticate ' +
    'proxy-authorization www-authenticate accept-encoding x-prometheus-scrape-timeout-seconds'
  ).split(' '),
)

const headerValues = z.strictObject({
  values: z.array(text(8192)).max(20).default([]).describe('Values'),
  secrets: z
    .array(secretText({ max: 8192 }))
    .max(20)
    .default([])
    .describe('Values that are not shown'),
  files: z.array(secretFile()).max(20).default([]).describe('Files with values'),
})

/** Credentials and header fields of a request. Spread into the settings of a prober. */
export const clientFields = {
  basic_auth: basicAuth.optional().describe('Credentials for the target; they are not sent to another origin after a redirect'),
  authorization: authorization.optional().describe('The header field Authorization; it is not sent to another origin'),
  bearer_token: secretText().optional().describe('A bearer token, as in authorization.credentials'),
  bearer_token_file: secretFile().optional().describe('File with a bearer token'),
  oauth2: oauth2.optional().describe('A token of an OAuth 2 server as credentials; it is not sent to another origin'),
  headers: discreet(z.record(z.string(), text(8192)), 'headers')
    .default({})
    .describe(
      'Additional header fields; authorization, cookie, proxy-authorization and host are not sent to another origin after a redirect',
    ),
  http_headers: discreet(
    z.record(
      z.string().refine((name) => !reserved.has(name.toLowerCase()), 'is set by another field'),
      headerValues,
    ),
    'whole',
  )
    .default({})
    .describe('Additional header fields with several values, secrets or files; they are not sent to another origin after a redirect'),
}

const schema = z.strictObject(clientFields)
type Client = z.output<typeof schema>

/** Refuses credentials that exclude each other, as Prometheus does. */
export function judgeClient(given: Client, context: z.core.$RefinementCtx): void {
  const { basic_auth, authorization, bearer_token, bearer_token_file, oauth2 } = given
  const fault = (path: string[], message: string) => context.addIssue({ code: 'custom', path, message, input: undefined })
  const ways = Object.entries({ basic_auth, authorization, bearer_token, bearer_token_file, oauth2 }).filter(
    ([, each]) => each !== undefined,
  )
  const [[first = ''] = [], [second] = []] = ways
  if (second !== undefined) fault([second], `cannot stand beside ${first}`)
  if (basic_auth?.username !== undefined && basic_auth.username_file !== undefined)
    fault(['basic_auth', 'username'], 'cannot stand beside username_file')
  if (basic_auth?.password !== undefined && basic_auth.password_file !== undefined)
    fault(['basic_auth', 'password'], 'cannot stand beside password_file')
  if (authorization?.credentials !== undefined && authorization.credentials_file !== undefined)
    fault(['authorization', 'credentials'], 'cannot stand beside credentials_file')
}

/** The header field Authorization that the settings give; none without credentials. */
export function authorizationFor({ basic_auth: basic, authorization, bearer_token, bearer_token_file }: Client): Record<string, string> {
  if (basic !== undefined) {
    const user = basic.username ?? basic.username_file?.reveal().trim() ?? ''
    const password = basic.password?.reveal() ?? basic.password_file?.reveal().trim() ?? ''
    return { authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}` }
  }
  const token = bearer_token?.reveal() ?? bearer_token_file?.reveal().trim()
  if (token !== undefined) return { authorization: `Bearer ${token}` }
  if (authorization === undefined) return {}
  const credentials = authorization.credentials?.reveal() ?? authorization.credentials_file?.reveal().trim() ?? ''
  return { authorization: `${authorization.type.trim()} ${credentials}` }
}

/** The header fields of `http_headers`. */
export function httpHeadersOf({ http_headers }: Client): Record<string, string> {
  return Object.fromEntries(
    Object.entries(http_headers).map(([name, { values, secrets, files }]) => {
      const all = [...values, ...secrets.map((each) => each.reveal()), ...files.map((each) => each.reveal().trim())]
      return [name, all.join(', ')]
    }),
  )
}
