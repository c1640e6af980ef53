import * as z from 'zod'
import { instant, jws, signingKeys } from './documents.ts'

/** The letters of Crockford's base 32: none that looks like another one, and no U. */
export const pairingLetters = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'

const pairingCode = z
  .string()
  .regex(/^[0-9A-HJKMNP-TV-Z]{8}$/)
  .describe('Eight letters of Crockford base 32')
  .meta({ example: '7Q2MX4KD' })
/**
 * A text that people see in terminals and logs: nothing in it moves the cursor, or turns the direction of what follows. Half a surrogate pair
 * would come back from the API server as another character, and look like a change for ever.
 */
const line = z
  .string()
  .max(200)
  .regex(/^[^\p{Cc}\p{Cs}\u2028-\u202e\u2066-\u2069]*$/u, 'must be one line of visible characters')
const tagName = z.string().regex(/^[A-Za-z0-9]([\w./-]{0,61}[A-Za-z0-9])?$/)
const tags = z.record(tagName, z.string().max(200)).describe('What the site says about the region')
const tagsOfCloud = z.record(tagName, line).refine((given) => Object.keys(given).length <= 64, 'must be at most 64')
export const registrationId = z
  .string()
  .regex(/^[A-Za-z0-9][\w-]{0,63}$/)
  .meta({ example: 'r-5f3c9a' })

/**
 * A claim: a key wants to become the key of a region. It proves that it was given a token, or shows a pairing code; with neither, the cloud must
 * have been told of the key before.
 */
export const claim = z
  .object({
    token: z
      .object({
        id: z
          .string()
          .regex(/^[\w-]{1,64}$/)
          .optional(),
        hash: z
          .string()
          .regex(/^[0-9a-f]{64}$/)
          .describe('SHA-256 of the 32 bytes of the SHA-256 of the token, in lower-case hexadecimal: what the cloud finds it by'),
        mac: z
          .string()
          .regex(/^[\w-]{43}$/)
          .describe(
            'HMAC-SHA256 in base64url: the key is the SHA-256 of the token (32 bytes), and the text is three lines without a last line feed: ' +
              '`skerry-claim`, the origin of the cloud, and the thumbprint of the key that claims',
          ),
      })
      .optional()
      .describe('The installation token. Neither it nor its SHA-256 is sent'),
    pairing: z.object({ code: pairingCode, expiresIn: z.int().min(1).max(3_600).describe('Seconds') }).optional(),
    region: z.object({
      id: z.string().max(63).describe('As the site has named it').meta({ example: 'harbour-1' }),
      name: z.string().max(200).optional(),
      cluster: z.string().max(100).describe('UID of the namespace kube-system: the cluster, whatever it is called'),
    }),
    agent: z.object({ version: z.string().max(100) }),
    tags: tags.optional(),
  })
  .meta({ id: 'Claim' })
export type Claim = z.infer<typeof claim>

/** A renewal, of a credential that is about to expire or has expired long ago. */
export const renewal = z.object({ joinState: jws.describe('The last one that the cloud gave out to this key') }).meta({ id: 'Renewal' })

/** A credential: a token of the type DPoP (RFC 9449). Its life is told in seconds, since the clock of the region may be wrong. */
const credential = z.object({
  token: z
    .string()
    .regex(/^[A-Za-z0-9._~+/-]{16,4096}=*$/)
    .meta({ example: 'Q2hhcnQtb2YtdGhlLWhhcmJvdXI' }),
  expiresIn: z
    .int()
    .min(60)
    .max(31 * 86_400)
    .describe('Seconds')
    .meta({ example: 3_600 }),
})

/** What the cloud lets a region know whenever it answers. */
export const heard = {
  now: instant.describe("The cloud's clock, in milliseconds since 1970"),
  heartbeat: z.int().min(15).max(3_600).optional().describe('Seconds between two heartbeats'),
  name: line.optional().describe('What people call the region, unless the site says it'),
  tags: tagsOfCloud.optional().describe('Those of the cloud, at most 64; of two with one name, the one of the site counts'),
}

/** The answer as long as somebody has to approve the region. */
export const awaitingAnswer = z
  .object({
    state: z.literal('awaiting-approval'),
    id: registrationId,
    retryAfter: z.int().min(1).max(3_600).optional().describe('Seconds').meta({ example: 10 }),
    ...heard,
  })
  .meta({ id: 'AwaitingApproval' })

/** The answer once the region has joined. */
export const readyAnswer = z
  .object({ state: z.literal('ready'), id: registrationId, credential, joinState: jws, keys: signingKeys, ...heard })
  .meta({ id: 'Registration' })

/** The answer to a claim and to a renewal. */
export const registrationAnswer = z.discriminatedUnion('state', [awaitingAnswer, readyAnswer])
export type RegistrationAnswer = z.infer<typeof registrationAnswer>
