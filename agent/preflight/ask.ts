import { type IncomingMessage, type OutgoingHttpHeaders, request } from 'node:http'
import { connectOutside, type ReachOptions } from './reach.ts'

/**
 * Gets a page by HTTPS and follows redirects. The caller must read or destroy the body.
 * @throws Unreached, Unclear, or what broke the connection
 */
export type Ask = (url: URL, headers?: OutgoingHttpHeaders) => Promise<IncomingMessage>

/** There was an answer, but it is inconclusive. */
export class Unclear extends Error {}

const mostRedirects = 5

/** @param signal aborts all requests, bodies included */
export function createAsk(options: ReachOptions, signal: AbortSignal): Ask {
  async function get(url: URL, headers: OutgoingHttpHeaders, redirects: number): Promise<IncomingMessage> {
    if (url.protocol !== 'https:') throw new Unclear(`it leads to ${url.protocol}//${url.host}, which is not HTTPS`)
    const host = url.hostname.replace(/^\[|\]$/g, '')
    const socket = await connectOutside({ host, port: Number(url.port || 443), tls: true }, options, signal)
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const path = `${url.pathname}${url.search}`
      const all = { host: url.host, 'user-agent': 'skerry-agent', connection: 'close', ...headers }
      request({ createConnection: () => socket, path, headers: all, signal }, resolve)
        .on('error', reject)
        .end()
    })
    const { location } = response.headers
    if (![301, 302, 303, 307, 308].includes(response.statusCode ?? 0) || location === undefined) return response
    response.destroy()
    if (redirects === mostRedirects) throw new Unclear(`it leads on more than ${mostRedirects} times`)
    if (!URL.canParse(location, url.href)) throw new Unclear('it leads to no address')
    const next = new URL(location, url)
    // The token is for one host only.
    const { authorization: _, ...others } = headers
    return get(next, next.host === url.host ? headers : others, redirects + 1)
  }
  return (url, headers = {}) => get(url, headers, 0)
}

/** @throws Unclear when the body is too long for an answer to a program */
export async function textOf(response: IncomingMessage): Promise<string> {
  let text = ''
  for await (const chunk of response.setEncoding('utf8')) {
    text += chunk
    if (text.length > 65_536) throw new Unclear('it answers something else')
  }
  return text
}
