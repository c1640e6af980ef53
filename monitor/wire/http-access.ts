import * as z from 'zod'
import { type Secret, secretFile } from '../../shared/fields.ts'
import { decoded } from './content-coding.ts'
import { type Answer, type Exchange, exchange, hostOf } from './http-exchange.ts'
import { parseJson } from './json.ts'
import { CheckFailure } from './reasons.ts'
import { type TlsOptions, tlsFields, tlsOf } from './tls.ts'
import { shorten } from './wording.ts'

/** HTTP credentials: a user with a password, or a bearer token. Spread into the options of a kind. */
export const credentialFields = {
  username: z.string().min(1).max(256).optional().describe('User name for basic authentication.'),
  passwordFile: secretFile().optional().describe("File that holds the user's password."),
  tokenFile: secretFile().optional().describe('File that holds a bearer token.'),
}

/** Credentials and TLS, for a kind that speaks HTTP. */
export const httpFields = { ...credentialFields, ...tlsFields }

/** The URL of an HTTP server, without a user or a password. */
export const httpUrl = z.url({ protocol: /^https?$/ }).refine((url) => !/^https?:\/\/[^/?#]*@/.test(url), {
  error: 'must not contain a user or a password, because URLs are shown: use username and passwordFile',
})

/** The output of `credentialFields`. */
export type CredentialOptions = { username?: string | undefined; passwordFile?: Secret | undefined; tokenFile?: Secret | undefined }

/** The Authorization header for these credentials; none without credentials. */
export function authorizationOf({ username, passwordFile, tokenFile }: CredentialOptions): Record<string, string> {
  if (tokenFile) return { authorization: `Bearer ${tokenFile.reveal()}` }
  if (username === undefined) return {}
  return { authorization: `Basic ${Buffer.from(`${username}:${passwordFile?.reveal() ?? ''}`).toString('base64')}` }
}

const boundHeaders = new Set(['authorization', 'cookie', 'proxy-authorization', 'host'])

/** The header fields that may follow a redirect to another origin: all but those that are secret or name the first origin. */
export function headersElsewhere(headers: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !boundHeaders.has(name.toLowerCase())))
}

/** Scheme, host, port and path of a URL, for the label `target`. The query may hold a key and is left out. */
export function targetOfUrl(url: string): string {
  const { protocol, host, pathname } = new URL(url)
  return `${protocol}//${host}${pathname === '/' ? '' : pathname}`
}

/** The URL of a path below a base URL. The base keeps its own path. */
export function below(base: string, path: string): URL {
  return new URL(base.replace(/\/+$/, '') + path)
}

/**
 * Sends one request with a kind's HTTP options. The body of the answer is without its compression, which some proxies apply unasked. Status
 * 401 or 403 is thrown as `unauthorized`, unless `refused` is `returned`.
 */
export async function ask(
  options: TlsOptions & CredentialOptions,
  request: Omit<Exchange, 'tls'>,
  { refused = 'thrown' }: { refused?: 'thrown' | 'returned' } = {},
): Promise<Answer> {
  const raw = await exchange({
    ...request,
    headers: { ...authorizationOf(options), ...request.headers },
    ...(request.url.protocol === 'https:' && { tls: tlsOf(options, hostOf(request.url)) }),
  })
  const answer = { ...raw, body: await decoded(raw.body, raw.headers['content-encoding'], request) }
  if (refused === 'returned' || (answer.status !== 401 && answer.status !== 403)) return answer
  const { tokenFile, username } = options
  const who = tokenFile ? 'the token of tokenFile' : username === undefined ? 'a request without credentials' : `user ${username}`
  const hint =
    tokenFile || username !== undefined
      ? 'Check that the credentials are current, and what they permit.'
      : 'Give the check username and passwordFile, or tokenFile.'
  throw new CheckFailure('unauthorized', `The server answered ${answer.status} to ${who} at ${request.url.pathname}. ${hint}`)
}

/**
 * The JSON of an answer, in the shape of the schema. The answer must have one of the given statuses. A long one is parsed in turns.
 * @throws CheckFailure `unexpected_answer` or `protocol`
 */
export async function jsonOf<S extends z.ZodType>(
  answer: Answer,
  schema: S,
  { statuses = [200], what }: { statuses?: number[]; what: string },
): Promise<z.output<S>> {
  if (!statuses.includes(answer.status)) throw unexpected(answer, what)
  let value: unknown
  try {
    value = await parseJson(answer.body)
  } catch (error) {
    throw new CheckFailure(
      'protocol',
      `The answer for ${what} is not JSON. Is this the right address? The answer begins: ${shorten(excerpt(answer.body), 80)}`,
      { cause: error },
    )
  }
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  throw new CheckFailure(
    'protocol',
    `The answer for ${what} does not have the documented shape (${issue?.path.join('.')}: ${issue?.message}). Is this the right address?`,
  )
}

/** A failure for an unexpected status, with the beginning of the body. */
export function unexpected(answer: Answer, what: string): CheckFailure {
  const said = shorten(excerpt(answer.body), 120)
  return new CheckFailure(
    'unexpected_answer',
    `The server answered status ${answer.status} for ${what}${said === '' ? '' : `: ${said}`}. See its log.`,
  )
}

function excerpt(body: Buffer): string {
  return body.subarray(0, 500).toString('utf8')
}
