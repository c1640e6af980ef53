import * as z from 'zod'
import { type Answer, exchange, hostOf } from '../../wire/http-exchange.ts'
import { CheckFailure } from '../../wire/reasons.ts'
import { openSocket } from '../../wire/socket.ts'
import { secure, tlsOf } from '../../wire/tls.ts'
import type { IpPreference } from '../modules/fields.ts'
import type { Oauth2Settings } from '../modules/oauth2.ts'
import { ProbeRefusal } from '../refusal.ts'
import { close } from '../series.ts'
import { portOf } from './http-route.ts'
import type { ProbeRun } from './prober.ts'
import { trustOf } from './tls.ts'

/** The most bytes of a token server's answer. */
const maxAnswerBytes = 64 * 1024
/** A token is asked for again this long before it expires, as by Go's client (golang.org/x/oauth2). */
const marginMs = 10_000
/** The longest time that a token is kept. */
const longestMs = 3_600_000

/** The answer of a token server (RFC 6749, section 5.1). Some write the number as a text. */
const tokenAnswer = z.object({
  access_token: z.string().regex(/^[\x21-\x7e]{1,12288}$/),
  token_type: z
    .string()
    .regex(/^[A-Za-z0-9_.-]{0,100}$/)
    .optional(),
  expires_in: z.coerce.number().optional().catch(undefined),
})

/** One token for each section, which is dropped with its module. `until` is by the clock of `performance.now()`. */
const tokens = new WeakMap<Oauth2Settings, { token: string; authorization: string; until: number }>()

/**
 * The header field with a token for a module. A token is kept until it expires, if its server says when.
 * @throws ProbeRefusal `probe-not-allowed` if no rule allows the token server; CheckFailure, the connection's error, the signal's reason
 */
export async function tokenFor(
  settings: Oauth2Settings,
  preference: IpPreference,
  run: Pick<ProbeRun, 'resolver' | 'dialogue' | 'signal'>,
): Promise<{ authorization: string }> {
  const { dialogue } = run
  const known = tokens.get(settings)
  if (known !== undefined && performance.now() < known.until) {
    dialogue.conceal(known.token)
    return { authorization: known.authorization }
  }
  dialogue.say('Requesting a token', { url: settings.token_url })
  const { access_token: token, token_type: type = '', expires_in: seconds = 0 } = await requestToken(settings, preference, run)
  dialogue.conceal(token)
  const authorization = `${type === '' || type.toLowerCase() === 'bearer' ? 'Bearer' : type} ${token}`
  tokens.set(settings, { token, authorization, until: performance.now() + Math.min(seconds * 1000 - marginMs, longestMs) })
  return { authorization }
}

/** Forgets a token that the target does not accept: it may have been revoked. */
export function forgetToken(settings: Oauth2Settings): void {
  tokens.delete(settings)
}

async function requestToken(settings: Oauth2Settings, preference: IpPreference, run: Pick<ProbeRun, 'resolver' | 'signal'>) {
  const { client_id: id, scopes, endpoint_params: params } = settings
  const secret = settings.client_secret?.reveal() ?? settings.client_secret_file?.reveal().trim() ?? ''
  const asked = { grant_type: 'client_credentials', ...(scopes.length > 0 && { scope: scopes.join(' ') }), ...params }
  const credentials = Buffer.from(`${formEncoded(id)}:${formEncoded(secret)}`).toString('base64')
  let answer = await post(settings, { fields: asked, headers: { authorization: `Basic ${credentials}` } }, preference, run)
  // As in Go's client: a server that does not take the credentials in the header field gets them in the body.
  if (!isGood(answer)) {
    const fields = { ...asked, client_id: id, ...(secret !== '' && { client_secret: secret }) }
    answer = await post(settings, { fields, headers: {} }, preference, run)
  }
  if (!isGood(answer))
    throw new CheckFailure('unauthorized', `The token server answers with status ${answer.status}. Correct oauth2 of the module.`)
  const found = tokenAnswer.safeParse(jsonOf(answer.body))
  if (!found.success) throw new CheckFailure('unexpected_answer', 'The token server answers without a token. Is token_url right?')
  return found.data
}

function isGood({ status }: Answer): boolean {
  return status >= 200 && status <= 299
}

function jsonOf(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString())
  } catch {
    return undefined
  }
}

function formEncoded(text: string): string {
  return new URLSearchParams({ '': text }).toString().slice(1)
}

async function post(
  settings: Oauth2Settings,
  { fields, headers }: { fields: Record<string, string>; headers: Record<string, string> },
  preference: IpPreference,
  { resolver, signal }: Pick<ProbeRun, 'resolver' | 'signal'>,
): Promise<Answer> {
  const url = new URL(settings.token_url)
  const host = hostOf(url)
  const { address, port } = await resolver.resolve(host, portOf(url), preference, signal).catch((error: unknown) => {
    if (!(error instanceof ProbeRefusal)) throw error
    throw new ProbeRefusal(error.type, `The token_url of the module is not allowed. ${error.message}`)
  })
  const tcp = await openSocket({ host: address, port }, signal)
  try {
    const tls = () => secure(tcp, { ...tlsOf(trustOf(settings.tls_config), host), ALPNProtocols: ['http/1.1'] }, host)
    const socket = url.protocol === 'https:' ? await tls() : tcp
    return await exchange({
      url,
      method: 'POST',
      headers: { ...headers, 'content-type': 'application/x-www-form-urlencoded' },
      body: new URLSearchParams(fields).toString(),
      socket,
      maxBytes: maxAnswerBytes,
      signal,
    })
  } finally {
    close(tcp)
  }
}
