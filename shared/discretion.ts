import * as z from 'zod'
import { layers, type Schema } from './schema.ts'

/**
 * How a field is shown that may hold a secret although its value stands in the file itself:
 * - `whole`: never.
 * - `headers`: header fields; only the values of well-known harmless ones are shown.
 * - `text`: text for a server, which is hidden once it speaks of a password or the like.
 * - `arguments`: a program with its arguments; of these only the names of options and numbers are shown.
 * - `url`: a URL, of which the credentials and the values of the query are hidden.
 * - `steps`: steps of a dialogue with `expect` and `send`; the texts to send are hidden from the first step that authenticates.
 */
type Discretion = 'whole' | 'headers' | 'text' | 'arguments' | 'url' | 'steps'

const registry = z.registry<{ how: Discretion }>()

/** What stands in place of a secret, as blackbox_exporter writes it. */
export const hidden = '<secret>'

/** Marks a field of a schema, so that whoever shows a configuration hides what may be secret in it. */
export function discreet<S extends z.ZodType>(schema: S, how: Discretion): S {
  registry.add(schema, { how })
  return schema
}

/** How a field is shown; undefined for one that holds no secret. */
export function discretionOf(schema: Schema): Discretion | undefined {
  for (const layer of layers(schema)) {
    const found = registry.get(layer)
    if (found !== undefined) return found.how
  }
  return undefined
}

/** A value as it may be shown. */
export function shownBy(how: Discretion, value: unknown): unknown {
  switch (how) {
    case 'whole':
      return hidden
    case 'headers':
      return isRecord(value) ? Object.fromEntries(Object.entries(value).map(([name, text]) => [name, headerShown(name, text)])) : hidden
    case 'text':
      return textShown(String(value))
    case 'arguments':
      return Array.isArray(value) ? value.map((each, index) => argumentShown(String(each), index)) : hidden
    case 'url':
      return urlShown(String(value))
    case 'steps':
      return Array.isArray(value) ? stepsShown(value) : hidden
  }
}

/** Header fields whose values hold no secret. Any other may be a key: `X-Api-Key`, `PRIVATE-TOKEN`, `X-Vault-Token`. */
const harmless = new Set(
  (
    'accept accept-charset accept-encoding accept-language accept-ranges age allow alt-svc cache-control connection content-encoding ' +
    'content-language content-length content-range content-security-policy content-type date etag expires host if-modified-since ' +
    'if-none-match keep-alive last-modified origin pragma range retry-after server strict-transport-security te trailer ' +
    'transfer-encoding upgrade user-agent vary via x-content-type-options x-forwarded-host x-forwarded-port x-forwarded-proto ' +
    'x-frame-options'
  ).split(' '),
)

/** The value of a header field as it may be shown. */
export function headerShown(name: string, value: unknown): string {
  return harmless.has(name.toLowerCase()) ? urlShown([value].flat().join(', ')) : hidden
}

/** Words of texts that authenticate: `PASS x`, `AUTH PLAIN x`, `a1 LOGIN u p`, `{"apiKey":"x"}`; and 334, by which SMTP asks for them. */
const authenticates = /pass|auth|login|token|secret|key|cred|cookie|bearer|session|sasl|identify|\b334\b/i

/** A text for a server as it may be shown: of one that authenticates at most its first word, which is its command. */
export function textShown(text: string): string {
  if (!authenticates.test(text)) return text
  const [, command] = /^([A-Za-z]{1,12})\s/.exec(text) ?? []
  return command === undefined ? hidden : `${command} ${hidden}`
}

function argumentShown(argument: string, index: number): string {
  if (index === 0 || /^[\d.,:%-]*$/.test(argument)) return argument
  // A value may be glued to a short option: `-ptide`.
  const [, option] = /^(--[A-Za-z][\w-]*=?|-[A-Za-z])/.exec(argument) ?? []
  return option === argument ? argument : `${option ?? ''}${hidden}`
}

type Step = { expect?: unknown; send?: string | undefined }

function stepsShown(steps: readonly Step[]): Step[] {
  let isSecret = false
  return steps.map((step) => {
    const { expect, send } = step
    // The reply to "Password:" looks like any other text, and so do the lines after AUTH LOGIN.
    if (authenticates.test(String(expect ?? ''))) isSecret = true
    if (send === undefined) return step
    if (!isSecret && !authenticates.test(send)) return step
    const shown = isSecret ? hidden : textShown(send)
    isSecret = true
    return { ...step, send: shown }
  })
}

/** A text without the credentials of URLs in it, and without the values of their queries, which may be keys. */
export function urlShown(text: string): string {
  if (!text.includes('://')) return text
  return text.replace(/\b([a-z][a-z0-9+.-]*:\/\/)([^\s/@?#]*@)?([^\s?#"']*)(\?[^\s#"']*)?/gi, (_, scheme, user, rest, query) => {
    return `${scheme}${user === undefined ? '' : `${hidden}@`}${rest}${query === undefined ? '' : queryShown(query)}`
  })
}

/** The query of a URL without its values. @param query with its question mark */
export function queryShown(query: string): string {
  return query.replace(/(?<=[?&])([^=&]*)(=?)[^&]*/g, (_, name, equals) => (equals === '' ? name && hidden : `${name}=${hidden}`))
}

/** The texts that a discreet field hides, so that they can be hidden wherever they appear again, such as in the answer of a server. */
export function secretsIn(how: Discretion, value: unknown): string[] {
  switch (how) {
    case 'whole':
      return []
    case 'headers':
      return isRecord(value)
        ? Object.entries(value).flatMap(([name, text]) => (headerShown(name, text) === hidden ? wordsOf(String(text)) : []))
        : []
    case 'text':
      return textShown(String(value)) === value ? [] : hiddenWordsOf(String(value))
    case 'arguments':
      return Array.isArray(value)
        ? value.flatMap((each, index) => (argumentShown(String(each), index) === each ? [] : wordsOf(String(each))))
        : []
    case 'url':
      return credentialsIn(String(value))
    case 'steps': {
      if (!Array.isArray(value)) return []
      const shown = stepsShown(value)
      return (value as Step[]).flatMap(({ send }, index) => (send === undefined || shown[index]?.send === send ? [] : hiddenWordsOf(send)))
    }
  }
}

/** The password of a URL, also as it is sent. */
function credentialsIn(text: string): string[] {
  const { username = '', password = '' } = URL.parse(text) ?? {}
  if (username === '' && password === '') return []
  const [user, plain] = [username, password].map(percentDecoded)
  return [password, plain ?? '', Buffer.from(`${user}:${plain}`).toString('base64')].filter((each) => each !== '')
}

/** A part of a URL without percent-encoding; as it is if that is broken. */
export function percentDecoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

function hiddenWordsOf(text: string): string[] {
  return wordsOf(text.replace(/^[A-Za-z]{1,12}\s+/, ''))
}

/** A text, and its longer words: a server may repeat only one of them. */
function wordsOf(text: string): string[] {
  return [text, ...text.split(/[\s"',;:=]+/).filter((word) => word.length >= 6)]
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
