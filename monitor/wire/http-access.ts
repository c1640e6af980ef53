import { createSecureContext, type SecureContext } from 'node:tls'
import * as z from 'zod'
import { type Secret, secretFile } from '../../shared/fields.ts'
import { type Answer, type Exchange, exchange, type TlsSettings } from './http-exchange.ts'
import { CheckFailure } from './reasons.ts'
import { shorten } from './wording.ts'

/** How a TLS server is trusted, and who the client is. Spread into the options of a kind. */
export const tlsFields = {
  caFile: secretFile().optional().describe('PEM file of the authorities to trust, instead of those that Node brings.'),
  certificateFile: secretFile().optional().describe("PEM file of the client's certificate, if it needs one."),
  keyFile: secretFile().optional().describe("PEM file of the client certificate's key."),
  serverName: z.string().min(1).max(253).optional().describe("Name to ask for and to find in the server's certificate, if not the host's."),
  verify: z.boolean().default(true).describe("Whether the server's certificate must be trusted. false connects to anyone."),
}

/** Who asks, by HTTP: a user with a password, or a bearer token. Spread into the options of a kind. */
export const credentialFields = {
  username: z.string().min(1).max(256).optional().describe('User for basic authentication.'),
  passwordFile: secretFile().optional().describe("File that holds the user's password."),
  tokenFile: secretFile().optional().describe('File that holds a bearer token.'),
}

/** All of it, for a kind that speaks HTTP. */
export const httpFields = { ...credentialFields, ...tlsFields }

/** The URL of an HTTP server; user and password do not belong into it. */
export const httpUrl = z.url({ protocol: /^https?$/ }).refine((url) => !/^https?:\/\/[^/?#]*@/.test(url), {
  error: 'must not hold a user or a password: use username and passwordFile, so that it is not shown',
})

/** What `tlsFields` gives. */
export type TlsOptions = {
  caFile?: Secret | undefined
  certificateFile?: Secret | undefined
  keyFile?: Secret | undefined
  serverName?: string | undefined
  verify: boolean
}

/** What `credentialFields` gives. */
export type CredentialOptions = { username?: string | undefined; passwordFile?: Secret | undefined; tokenFile?: Secret | undefined }

const contexts = new WeakMap<object, SecureContext>()

/** The settings for a TLS connection. The secure context is made once for each options object, and goes with it. */
export function tlsOf(options: TlsOptions): TlsSettings {
  let secureContext = contexts.get(options)
  if (secureContext === undefined) {
    const { caFile, certificateFile, keyFile } = options
    try {
      secureContext = createSecureContext({
        ...(caFile && { ca: caFile.reveal() }),
        ...(certificateFile && { cert: certificateFile.reveal() }),
        ...(keyFile && { key: keyFile.reveal() }),
      })
    } catch (error) {
      const files = [caFile, certificateFile, keyFile].flatMap((secret) => secret?.file ?? []).join(', ')
      throw new CheckFailure(
        'misconfigured',
        `The certificates or the key cannot be used; see that each is PEM and that they belong together: ${files}`,
        { cause: error },
      )
    }
    contexts.set(options, secureContext)
  }
  return { secureContext, servername: options.serverName, verify: options.verify }
}

/** The header that proves who asks, if anything does. */
export function authorizationOf({ username, passwordFile, tokenFile }: CredentialOptions): Record<string, string> {
  if (tokenFile) return { authorization: `Bearer ${tokenFile.reveal()}` }
  if (username === undefined) return {}
  return { authorization: `Basic ${Buffer.from(`${username}:${passwordFile?.reveal() ?? ''}`).toString('base64')}` }
}

const boundHeaders = new Set(['authorization', 'cookie', 'proxy-authorization', 'host'])

/** Of header fields those that may go to another origin, after a redirect: without the ones that speak of the first or are a secret of it. */
export function headersElsewhere(headers: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !boundHeaders.has(name.toLowerCase())))
}

/** Host and port of a URL and its path if it has one: the label `target`. The query stays out, it may hold a key. */
export function targetOfUrl(url: string): string {
  const { protocol, host, pathname } = new URL(url)
  return `${protocol}//${host}${pathname === '/' ? '' : pathname}`
}

/** The URL of a path below a base, whose own path is kept. */
export function below(base: string, path: string): URL {
  return new URL(base.replace(/\/+$/, '') + path)
}

/** One request with a kind's HTTP options. A 401 or 403 is a failure that says so, unless `refused` asks for it back. */
export async function ask(
  options: TlsOptions & CredentialOptions,
  request: Omit<Exchange, 'tls'>,
  { refused = 'thrown' }: { refused?: 'thrown' | 'returned' } = {},
): Promise<Answer> {
  const answer = await exchange({
    ...request,
    headers: { ...authorizationOf(options), ...request.headers },
    ...(request.url.protocol === 'https:' && { tls: tlsOf(options) }),
  })
  if (refused === 'returned' || (answer.status !== 401 && answer.status !== 403)) return answer
  const { tokenFile, username } = options
  const who = tokenFile ? 'the token of tokenFile' : username === undefined ? 'a client without credentials' : `user ${username}`
  const hint =
    tokenFile || username !== undefined
      ? 'See whether the credentials are current, and what they are allowed.'
      : 'Give the check username and passwordFile, or tokenFile.'
  throw new CheckFailure('unauthorized', `It answered ${answer.status} to ${who} at ${request.url.pathname}. ${hint}`)
}

/**
 * The JSON of an answer with one of these states, in the shape that the schema says.
 * @throws CheckFailure `unexpected_answer` or `protocol`
 */
export function jsonOf<S extends z.ZodType>(
  answer: Answer,
  schema: S,
  { statuses = [200], what }: { statuses?: number[]; what: string },
): z.output<S> {
  if (!statuses.includes(answer.status)) throw unexpected(answer, what)
  let value: unknown
  try {
    value = JSON.parse(answer.body.toString('utf8'))
  } catch (error) {
    throw new CheckFailure(
      'protocol',
      `The answer to ${what} is not JSON. Is this the right address? It begins: ${shorten(excerpt(answer.body), 80)}`,
      { cause: error },
    )
  }
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  throw new CheckFailure(
    'protocol',
    `The answer to ${what} has another shape than documented (${issue?.path.join('.')}: ${issue?.message}). Is this the right address?`,
  )
}

/** A failure for a status that was not expected, with the beginning of what came with it. */
export function unexpected(answer: Answer, what: string): CheckFailure {
  const said = shorten(excerpt(answer.body), 120)
  return new CheckFailure(
    'unexpected_answer',
    `It answered status ${answer.status} to ${what}${said === '' ? '' : `: ${said}`}. See its log.`,
  )
}

function excerpt(body: Buffer): string {
  return body.subarray(0, 500).toString('utf8')
}
