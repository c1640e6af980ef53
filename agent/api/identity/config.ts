import * as z from 'zod'
import { fileToRead } from '../../../shared/fields.ts'
import { projectId } from '../../resources/identifiers.ts'
import type { Scope } from '../context.ts'
import { scopes } from '../resources.ts'

const scopeList = z.array(z.enum(scopes as [Scope, ...Scope[]])).nonempty()
const name = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._@:/-]{0,99}$/, 'must be 1 to 100 letters, digits and . _ @ : / -, beginning with a letter or digit')

const projectList = z
  .array(projectId)
  .nonempty()
  .max(1000)
  .describe(
    'The only projects that the caller sees and changes. It cannot change the region. Without this list: all projects, and the region.',
  )

/** A static token. Tokens with the same name are one identity, so a token can be replaced without a gap. */
const tokenEntry = z.strictObject({
  name: name.describe('The name of the caller, in audit records and operations.'),
  sha256: z
    .string()
    .regex(/^[0-9a-f]{64}$/, 'must be 64 lower-case hexadecimal digits: printf %s "$TOKEN" | sha256sum')
    .describe('SHA-256 of the token.'),
  scopes: scopeList,
  projects: projectList.optional(),
  expires: z.iso.datetime({ offset: true }).optional().describe('When it expires, such as 2027-01-31T00:00:00Z.'),
})

/** The content of a file of tokens. */
export const tokenList = z.array(tokenEntry).max(1000)

/** Signed tokens of an identity provider. */
const jwtConfig = z
  .strictObject({
    issuer: z.string().min(1).describe('The `iss` that every token must have; for Cloudflare Access https://TEAM.cloudflareaccess.com.'),
    audience: z
      .union([
        z
          .string()
          .min(1)
          .transform((one) => [one]),
        z.array(z.string().min(1)).nonempty(),
      ])
      .describe('The `aud` that every token must have; for Cloudflare Access the AUD tag of the application.'),
    jwksUrl: z
      .url({ protocol: /^https?$/ })
      .optional()
      .describe('Where the keys are; for Cloudflare Access <issuer>/cdn-cgi/access/certs.'),
    jwksFile: fileToRead().optional().describe('The keys in a file, for sites that cannot reach the provider.'),
    algorithms: z
      .array(z.enum(['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA']))
      .nonempty()
      .default(['RS256', 'ES256', 'EdDSA'])
      .describe('Accepted signature algorithms. Shared secrets are never accepted.'),
    header: z
      .string()
      .regex(/^[A-Za-z0-9-]+$/)
      .transform((given) => given.toLowerCase())
      .default('authorization')
      .describe('The header with the token: Authorization (as "Bearer …") or Cf-Access-Jwt-Assertion.'),
    nameClaims: z
      .array(z.string().min(1))
      .nonempty()
      .default(['common_name', 'email', 'sub'])
      .describe('The first of these claims that is not empty is the name. Cloudflare puts the name of a service token into common_name.'),
    scopesClaim: z
      .string()
      .min(1)
      .default('scope')
      .describe('The claim with the scopes: a list, or a text separated by spaces. Dots separate nested names.'),
    projectsClaim: z
      .string()
      .min(1)
      .optional()
      .describe(
        'The claim with the projects that the token is bound to: a list, or a text separated by spaces. `*` stands for all, and the ' +
          'region; a token without the claim sees no project. Without this setting, every token sees all.',
      ),
    grants: z
      .array(z.strictObject({ claim: z.string().min(1), value: z.string().min(1), scopes: scopeList }))
      .default([])
      .describe('Scopes for tokens in which a claim is this value or contains it: for providers without scopes.'),
  })
  .refine(({ jwksUrl, jwksFile }) => (jwksUrl === undefined) !== (jwksFile === undefined), 'needs either jwksUrl or jwksFile')

/** The identity of a client certificate. Every field that is given must match. */
const certificateEntry = z
  .strictObject({
    name,
    commonName: z.string().min(1).optional().describe('The CN of the subject.'),
    uri: z.string().min(1).optional().describe('A URI among the subject alternative names, such as spiffe://….'),
    fingerprint: z
      .string()
      .transform((text) => text.replaceAll(':', '').toLowerCase())
      .pipe(z.string().regex(/^[0-9a-f]{64}$/, 'must be a SHA-256 fingerprint, as openssl x509 -fingerprint -sha256 prints it'))
      .optional(),
    scopes: scopeList,
    projects: projectList.optional(),
  })
  .refine(
    ({ commonName, uri, fingerprint }) => commonName !== undefined || uri !== undefined || fingerprint !== undefined,
    'needs commonName, uri or fingerprint',
  )

/** The callers, and their credentials. */
export const identityConfig = z.strictObject({
  tokensFile: z
    .string()
    .min(1)
    .optional()
    .describe('Static tokens, as YAML or JSON: [{name, sha256, scopes, projects?, expires?}]. Read again when it changes.'),
  jwt: jwtConfig.optional(),
  certificates: z.array(certificateEntry).default([]).describe('Client certificates, signed by a CA of the API listener.'),
})

export type IdentityConfig = z.output<typeof identityConfig>
export type JwtConfig = z.output<typeof jwtConfig>
export type CertificateEntry = z.output<typeof certificateEntry>
