import type { IncomingMessage } from 'node:http'

/**
 * Why a request is not in normal form; undefined if it is. Proxies and rules in front of a server go by the path and the headers as they were
 * sent, and a server that normalizes them would answer what a rule forbids. So what has two readings is refused, not interpreted.
 *
 * - RFC 9112, section 3.2: the target is a path, or `http://HOST/path` with the same host as the header `Host`.
 * - RFC 3986, section 6.2.2: no `.` or `..` segment, nothing percent-encoded that need not be; and no empty segment, `%2F`, `%5C` or control
 *   character, which programs read in different ways.
 * - RFC 9110, section 5.3: `singular` headers, in lower case, occur at most once.
 */
export function formFault(
  { url = '', headers, rawHeaders }: Pick<IncomingMessage, 'url' | 'headers' | 'rawHeaders'>,
  singular: ReadonlySet<string>,
): string | undefined {
  const seen = new Set<string>()
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = (rawHeaders[index] as string).toLowerCase()
    if (!singular.has(name)) continue
    if (seen.has(name)) return `The header ${rawHeaders[index]} is given more than once.`
    seen.add(name)
  }
  const target = originForm(url, headers.host)
  if (target === undefined) return 'The request target must be a path that begins with "/", at the host that the header Host names.'
  if (!/^[\x21-\x22\x24-\x7e]*$/.test(target)) return 'The request target has a character that must be percent-encoded.'
  const end = target.indexOf('?')
  return pathFault(end < 0 ? target : target.slice(0, end))
}

/** Path and query; undefined for any other target. */
function originForm(url: string, host: string | undefined): string | undefined {
  if (url.startsWith('/')) return url
  const [, authority, rest = ''] = /^https?:\/\/([^/?#]*)(.*)$/i.exec(url) ?? []
  if (authority === undefined || authority.toLowerCase() !== host?.toLowerCase()) return undefined
  return rest.startsWith('/') ? rest : `/${rest}`
}

function pathFault(path: string): string | undefined {
  if (path.includes('//')) return 'The path has an empty segment ("//").'
  if (/\/\.{1,2}(\/|$)/.test(path)) return 'The path has a "." or ".." segment.'
  for (const [encoding] of path.matchAll(/%.{0,2}/g)) {
    if (!/^%[0-9A-Fa-f]{2}$/.test(encoding)) return `The path has a "%" that begins no percent-encoding: ${JSON.stringify(encoding)}.`
    const code = Number.parseInt(encoding.slice(1), 16)
    const character = String.fromCharCode(code)
    if (/[A-Za-z0-9\-._~]/.test(character)) return `The path has ${encoding}, which must be written as "${character}".`
    if (code < 0x20 || code === 0x7f || character === '/' || character === '\\')
      return `The path has ${encoding}, which is not allowed in a path.`
  }
  // RFC 3986, section 3.3: pchar, and "/".
  if (!/^[A-Za-z0-9\-._~!$&'()*+,;=:@%/]*$/.test(path)) return 'The path has a character that must be percent-encoded.'
  return undefined
}
