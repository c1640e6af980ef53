import * as z from 'zod'
import { secretFile, secretText } from '../../../shared/fields.ts'

// The fields take what blackbox_exporter takes. It decodes YAML into Go's types (gopkg.in/yaml.v3): a boolean may be yes or off, a text
// may be a number or a boolean without quotes, and a duration is Go's.

/** A boolean. Go's decoder also takes the words of YAML 1.1. */
export const flag = z
  .union([z.boolean(), z.enum(['y', 'Y', 'yes', 'on', 'n', 'N', 'no', 'off'])], { error: () => 'must be true or false' })
  .transform((given) => (typeof given === 'boolean' ? given : /^[yY]|^on$/.test(given)))

/** A text of at most this length. A number or a boolean without quotes is a text, too. */
export function text(max: number) {
  return z
    .union([z.string().max(max, `must have at most ${max} characters`), z.number(), z.boolean()], {
      error: (issue) =>
        issue.code === 'invalid_union' && issue.input !== undefined ? `must be a text of at most ${max} characters` : undefined,
    })
    .transform(String)
}

const tlsVersion = z.enum(['TLS10', 'TLS11', 'TLS12', 'TLS13'])

/** The section `tls_config`. */
export const tlsConfig = z
  .strictObject({
    insecure_skip_verify: flag.prefault(false).describe('Accept any certificate'),
    server_name: text(253).optional().describe("Server name to send (SNI) and to verify in the certificate; by default the target's"),
    ca: secretText().optional().describe('CA certificates to trust, as PEM'),
    ca_file: secretFile()
      .optional()
      .describe('PEM file of the CA certificates to trust, instead of those of the system and those built in'),
    cert: secretText().optional().describe('Client certificate, as PEM'),
    cert_file: secretFile().optional().describe('PEM file of a client certificate'),
    key: secretText().optional().describe("The client certificate's private key, as PEM"),
    key_file: secretFile().optional().describe("PEM file of the client certificate's private key"),
    min_version: tlsVersion.optional().describe('Oldest TLS version; TLS12 by default'),
    max_version: tlsVersion.optional().describe('Newest TLS version'),
  })
  .superRefine((given, context) => {
    for (const name of ['ca', 'cert', 'key'] as const)
      if (given[name] !== undefined && given[`${name}_file`] !== undefined)
        context.addIssue({ code: 'custom', path: [name], message: `cannot stand beside ${name}_file` })
    const hasKey = given.key !== undefined || given.key_file !== undefined
    const hasCertificate = given.cert !== undefined || given.cert_file !== undefined
    if (hasKey !== hasCertificate)
      context.addIssue({
        code: 'custom',
        path: [hasKey ? 'cert_file' : 'key_file'],
        message: 'is missing: a certificate and its key go together',
      })
    if (given.min_version !== undefined && given.max_version !== undefined && given.max_version < given.min_version)
      context.addIssue({ code: 'custom', path: ['max_version'], message: 'must not be older than min_version' })
  })
  .prefault({})
  .describe('How TLS servers are trusted')

/** The parsed section `tls_config`. */
export type ProbeTls = z.output<typeof tlsConfig>

/** Which addresses of a name to use. Spread into the settings of a prober. */
export const ipProtocol = {
  preferred_ip_protocol: z
    .string()
    .max(20)
    .default('ip6')
    // As in blackbox_exporter: everything but ip6 means ip4.
    .transform((given) => (given === '' || given === 'ip6' ? ('ip6' as const) : ('ip4' as const)))
    .describe('Which addresses of a name to try first: ip6 or ip4'),
  ip_protocol_fallback: flag.prefault(true).describe('Whether to use the other addresses if a name has none of these'),
}

/** Which addresses of a name to use. */
export type IpPreference = { preferred_ip_protocol: 'ip4' | 'ip6'; ip_protocol_fallback: boolean }

const units: Record<string, number> = { h: 3_600_000, m: 60_000, s: 1_000, ms: 1, us: 1e-3, µs: 1e-3, μs: 1e-3, ns: 1e-6 }

/** Milliseconds of a duration of Go, such as `1h30m` or `1.5s` (time.ParseDuration); undefined if it is none. */
function goDuration(given: string): number | undefined {
  const [, sign, pieces = ''] = /^([+-]?)((?:(?:\d+\.?\d*|\.\d+)(?:h|ms|us|µs|μs|ns|m|s))+|0)$/.exec(given) ?? []
  if (sign === undefined) return undefined
  let sum = 0
  for (const [, number, unit = ''] of pieces.matchAll(/(\d+\.?\d*|\.\d+)(h|ms|us|µs|μs|ns|m|s)/g))
    sum += Number(number) * (units[unit] ?? 0)
  return sign === '-' ? -sum : sum
}

/** The field `timeout` of every module, in milliseconds; undefined for one that is not positive, which means none. */
export const timeout = z
  .string({ error: (issue) => (issue.input === undefined ? undefined : 'must be a duration with its unit, such as 5s or 1m30s') })
  .max(40)
  .refine((given) => goDuration(given) !== undefined, 'must be a duration with its unit, such as 5s or 1m30s')
  .transform((given) => {
    const ms = goDuration(given) ?? 0
    return ms > 0 ? ms : undefined
  })
  .optional()
  .describe('Longest duration of a probe; it is shorter if the scrape timeout that Prometheus sends is shorter')
