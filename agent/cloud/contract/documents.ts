import * as z from 'zod'

/** A compact JWS (RFC 7515). */
export const jws = z
  .string()
  .max(64 * 1024)
  .regex(/^[\w-]+\.[\w-]+\.[\w-]+$/, 'must be a compact JWS')
  .meta({ example: 'eyJhbGciOiJFZERTQSJ9.eyJzZXF1ZW5jZSI6MX0.c2lnbmVkLWJ5LXRoZS1jbG91ZA' })

/**
 * Unix time in milliseconds, by the clock of the cloud: from 2020 until 2100. A cloud whose own clock is unset cannot be reckoned with, nor can
 * one with a time after which a credential would expire in a year that RFC 3339 cannot say.
 */
export const instant = z.int().min(1_577_836_800_000).max(4_102_444_800_000).meta({ example: 1_796_000_000_000 })

/** A public key with which the cloud signs (RFC 8037, section 2). */
const signingKey = z
  .object({
    kty: z.literal('OKP'),
    crv: z.literal('Ed25519'),
    x: z
      .string()
      .regex(/^[\w-]{43}$/)
      .meta({ example: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo' }),
    kid: z.string().min(1).max(100).optional(),
  })
  .meta({ id: 'SigningKey', description: 'An Ed25519 public key of the cloud.' })

/** A few keys: the present one, and the next one ahead of a change. */
export const signingKeys = z.array(signingKey).min(1).max(8)

/**
 * One certificate in PEM. TLS would trust every one in the text, and only the first one is looked at: a second one behind that which is pinned
 * would be anybody's.
 */
const anchor = z
  .string()
  .max(16 * 1024)
  .regex(/^-----BEGIN CERTIFICATE-----\s[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----\s*$/, 'must be one PEM certificate')

/**
 * What the cloud is trusted by from now on, signed with a key that the region trusts already. It comes ahead of a change in the answer to a
 * status, or is fetched from `/.well-known/skerry-trust.jws`, over a connection that nobody vouches for, once the certificate is not trusted.
 */
export const trustPayload = z
  .object({
    iss: z.string().max(300).describe('The origin of the cloud, such as https://cloud.example.org'),
    iat: z.int().describe('Seconds since 1970'),
    sequence: z.int().min(1).describe('Grows with each document; an older one is refused'),
    anchors: z.array(anchor).max(16).describe('CA certificates, PEM, one in each'),
    keys: signingKeys.describe('The keys with which the cloud signs'),
  })
  .meta({ id: 'TrustDocument' })
export type TrustPayload = z.infer<typeof trustPayload>

/** The `typ` in the header of each document, so that one is never taken for another (RFC 8725, section 3.11). */
export const documentTypes = { trust: 'skerry-trust+jws', joinState: 'skerry-join-state+jws' } as const

/**
 * The state of a registration, given out with each credential and presented for the next one. Who presents an older one than the last that was
 * used has a copy of the key, or was restored from a backup.
 */
export const joinStatePayload = z
  .object({
    iss: z.string().max(300),
    sub: z.string().max(100).describe('The registration'),
    jkt: z
      .string()
      .regex(/^[\w-]{43}$/)
      .describe('The thumbprint of the key (RFC 7638)'),
    sequence: z.int().min(1),
    iat: z.int(),
  })
  .meta({ id: 'JoinState' })
export type JoinStatePayload = z.infer<typeof joinStatePayload>
