import * as z from 'zod'
import { duration, secretFile } from '../../../shared/fields.ts'

/** The section `tls_config`. */
export const tlsConfig = z
  .strictObject({
    insecure_skip_verify: z.boolean().default(false).describe('Accept any certificate'),
    server_name: z
      .string()
      .min(1)
      .max(253)
      .optional()
      .describe("Server name to send (SNI) and to verify in the certificate; by default the target's"),
    ca_file: secretFile()
      .optional()
      .describe('PEM file of the CA certificates to trust, instead of those of the system and those built in'),
    cert_file: secretFile().optional().describe('PEM file of a client certificate'),
    key_file: secretFile().optional().describe("PEM file of the client certificate's private key"),
  })
  .prefault({})
  .describe('How TLS servers are trusted')

/** The parsed section `tls_config`. */
export type ProbeTls = z.output<typeof tlsConfig>

/** Which addresses of a name to use. Spread into the settings of a prober. */
export const ipProtocol = {
  preferred_ip_protocol: z.enum(['ip4', 'ip6']).default('ip6').describe('Which addresses of a name to try first'),
  ip_protocol_fallback: z.boolean().default(true).describe('Whether to use the other addresses if a name has none of these'),
}

/** Which addresses of a name to use. */
export type IpPreference = { preferred_ip_protocol: 'ip4' | 'ip6'; ip_protocol_fallback: boolean }

/** The field `timeout` of every module, in milliseconds. */
export const timeout = duration({ min: '10ms', max: '2m' })
  .optional()
  .describe('Longest duration of a probe; it is shorter if the scrape timeout that Prometheus sends is shorter')
