import { METHODS } from 'node:http'
import * as z from 'zod'
import { discreet } from '../../../shared/discretion.ts'
import { condition } from '../../wire/conditions.ts'
import { pattern } from '../../wire/patterns.ts'
import { clientFields, judgeClient } from './client.ts'
import { flag, ipProtocol, text, tlsConfig } from './fields.ts'
import { judgeProxy, proxyFields } from './proxy.ts'

const headerRule = z.strictObject({
  header: z.string().min(1).max(200).describe('Name of a header field'),
  regexp: pattern.describe('Regular expression for its value'),
  allow_missing: flag.prefault(false).describe('Whether an answer without this field passes'),
})

/** The most bytes of a body that are searched or decoded. */
export const largestBody = 16 * 1024 * 1024

const sizeUnits: Record<string, number> = { '': 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30, T: 2 ** 40 }

/** Bytes of a size such as `10MB` or `1.5MiB`, both in powers of two (units.Base2Bytes of alecthomas/units); undefined if it is none. */
function base2Bytes(given: string): number | undefined {
  const [, number, unit = ''] = /^(\d{1,12}(?:\.\d{1,6})?)([KMGT]?)i?B$/.exec(given) ?? []
  return number === undefined ? undefined : Math.round(Number(number) * (sizeUnits[unit] as number))
}

const sizeLimit = z
  .string({ error: (issue) => (issue.input === undefined ? undefined : 'must be a size with its unit, such as 512KB or 10MB') })
  .refine((given) => given === '0' || base2Bytes(given) !== undefined, 'must be a size with its unit, such as 512KB or 10MB')
  .transform((given) => base2Bytes(given) || undefined)

const method = text(20)
  .prefault('GET')
  .transform((given) => given.toUpperCase() || 'GET')
  .refine((given) => METHODS.includes(given) && given !== 'CONNECT', 'must be a method of HTTP')

const compression = text(20)
  .transform((given) => given.toLowerCase())
  .refine((given) => ['', 'identity', 'gzip', 'deflate', 'br'].includes(given), 'must be one of br, deflate, gzip, identity')

/** The section `http` of a module. */
export const httpSettings = z
  .strictObject({
    valid_status_codes: z.array(z.int()).default([]).describe('Statuses that count as success; 200 to 299 by default'),
    valid_http_versions: z
      .array(text(20))
      .default([])
      .describe('Versions that count as success, such as HTTP/1.1 and HTTP/2.0; all by default'),
    method: method.describe('Method of the request'),
    body: discreet(text(65_536), 'text').optional().describe('Body of the request'),
    body_file: text(4096).optional().describe('File with the body of the request; it is read for each probe'),
    compression: compression
      .optional()
      .describe('Compression of the body: br, deflate, gzip or identity. A body without it fails the probe'),
    body_size_limit: sizeLimit.optional().describe('The most bytes of the body, without its compression. A longer one fails the probe'),
    follow_redirects: flag.prefault(true).describe('Follow up to ten redirects; each must be an allowed target'),
    no_follow_redirects: flag.optional().describe('The opposite of follow_redirects, over which it takes precedence'),
    enable_http3: flag.optional().describe('HTTP/3, which there is not: it must be off'),
    enable_http2: flag.prefault(true).describe('Whether to use HTTP/2 with a server that offers it over TLS'),
    fail_if_ssl: flag.prefault(false).describe('Fail if the last answer came over TLS'),
    fail_if_not_ssl: flag.prefault(false).describe('Fail if the last answer did not come over TLS'),
    fail_if_body_matches_regexp: z.array(pattern).default([]).describe('Fail if the body matches any of these'),
    fail_if_body_not_matches_regexp: z.array(pattern).default([]).describe('Fail if the body does not match all of these'),
    fail_if_body_json_matches_cel: condition(['body']).optional().describe('Fail if this expression of CEL is true of the JSON `body`'),
    fail_if_body_json_not_matches_cel: condition(['body'])
      .optional()
      .describe('Fail if this expression of CEL is not true of the JSON `body`'),
    fail_if_header_matches: z.array(headerRule).default([]).describe('Fail if a header field matches its expression'),
    fail_if_header_not_matches: z.array(headerRule).default([]).describe('Fail if a header field does not match its expression'),
    ...clientFields,
    ...proxyFields,
    tls_config: tlsConfig,
    ...ipProtocol,
  })
  .superRefine((given, context) => {
    judgeClient(given, context)
    judgeProxy(given, context)
    if (given.body !== undefined && given.body_file !== undefined)
      context.addIssue({ code: 'custom', path: ['body'], message: 'cannot stand beside body_file' })
  })

/** The settings of an HTTP probe. */
export type HttpSettings = z.output<typeof httpSettings>
