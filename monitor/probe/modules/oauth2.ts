import * as z from 'zod'
import { discreet } from '../../../shared/discretion.ts'
import { secretFile, secretText } from '../../../shared/fields.ts'
import { text, tlsConfig } from './fields.ts'

/** The section `oauth2` (prometheus/common, config/http_config.go, OAuth2): the grant client_credentials of RFC 6749, section 4.4. */
export const oauth2 = z
  .strictObject({
    client_id: text(1024).describe('Client id'),
    client_secret: secretText({ max: 4096 }).optional().describe('Client secret'),
    client_secret_file: secretFile().optional().describe('File with the client secret'),
    grant_type: z.enum(['', 'client_credentials']).optional().describe('How a token is asked for'),
    token_url: text(2048)
      .refine((given) => isTokenUrl(URL.parse(given)), 'must be an address with http:// or https://, without credentials')
      .describe('Where a token is asked for; a rule must allow it'),
    scopes: z.array(text(1024)).max(100).default([]).describe('Scopes to ask for'),
    endpoint_params: discreet(z.record(z.string(), text(4096)), 'whole')
      .default({})
      .describe('Further parameters to ask with'),
    tls_config: tlsConfig,
  })
  .superRefine(({ client_id: id, client_secret: secret, client_secret_file: file }, context) => {
    const fault = (name: string, message: string) => context.addIssue({ code: 'custom', path: [name], message, input: undefined })
    if (id === '') fault('client_id', 'must not be empty')
    if (secret !== undefined && file !== undefined) fault('client_secret', 'cannot stand beside client_secret_file')
  })

/** The parsed section `oauth2`. */
export type Oauth2Settings = z.output<typeof oauth2>

function isTokenUrl(url: URL | null): boolean {
  return url !== null && /^https?:$/.test(url.protocol) && url.username === '' && url.password === ''
}
