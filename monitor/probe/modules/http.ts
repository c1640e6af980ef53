import * as z from 'zod'
import { discreet } from '../../../shared/discretion.ts'
import { byteSize, secretFile } from '../../../shared/fields.ts'
import { pattern } from '../../wire/patterns.ts'
import { flag, ipProtocol, text, tlsConfig } from './fields.ts'

const headerRule = z.strictObject({
  header: z.string().min(1).max(200).describe('Name of a header field'),
  regexp: pattern.describe('Regular expression for its value'),
  allow_missing: flag.prefault(false).describe('Whether an answer without this field passes'),
})

/** The section `http` of a module. */
export const httpSettings = z.strictObject({
  valid_status_codes: z.array(z.int().min(100).max(599)).default([]).describe('Statuses that count as success; 200 to 299 by default'),
  valid_http_versions: z
    .array(z.enum(['HTTP/1.0', 'HTTP/1.1']))
    .default([])
    .describe('Versions that count as success; all by default'),
  method: z.enum(['GET', 'HEAD', 'POST', 'PUT', 'OPTIONS']).default('GET').describe('Method of the request'),
  headers: discreet(z.record(z.string(), text(8192)), 'headers')
    .default({})
    .describe(
      'Additional header fields; authorization, cookie, proxy-authorization and host are not sent to another origin after a redirect',
    ),
  body: discreet(text(65_536), 'text').optional().describe('Body of the request'),
  body_size_limit: byteSize({ max: '16MiB' }).prefault('1MiB').describe('The most bytes of the body to read; the rest is ignored'),
  follow_redirects: flag.prefault(true).describe('Follow up to ten redirects; each must be an allowed target'),
  fail_if_ssl: flag.prefault(false).describe('Fail if the last answer came over TLS'),
  fail_if_not_ssl: flag.prefault(false).describe('Fail if the last answer did not come over TLS'),
  fail_if_body_matches_regexp: z.array(pattern).default([]).describe('Fail if the body matches any of these'),
  fail_if_body_not_matches_regexp: z.array(pattern).default([]).describe('Fail if the body does not match all of these'),
  fail_if_header_matches: z.array(headerRule).default([]).describe('Fail if a header field matches its expression'),
  fail_if_header_not_matches: z.array(headerRule).default([]).describe('Fail if a header field does not match its expression'),
  basic_auth: z
    .strictObject({ username: z.string().max(256).describe('User name'), password_file: secretFile().describe('File with the password') })
    .optional()
    .describe('Credentials for the target; they are not sent to another origin after a redirect'),
  tls_config: tlsConfig,
  ...ipProtocol,
})

/** The settings of an HTTP probe. */
export type HttpSettings = z.output<typeof httpSettings>
