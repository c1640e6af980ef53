import { createHash, createPrivateKey, generateKeyPairSync, randomBytes } from 'node:crypto'
import * as z from 'zod'
import { jwsSigner } from './jws.ts'

/** The Ed25519 key (RFC 8037) of the region as its Secret keeps it. It is made here, never leaves the site and never expires. */
export const privateKey = z.object({
  kty: z.literal('OKP'),
  crv: z.literal('Ed25519'),
  x: z.string().regex(/^[\w-]{43}$/),
  d: z.string().regex(/^[\w-]{43}$/),
})
export type PrivateKey = z.infer<typeof privateKey>

/** A new key. */
export function makeKey(): PrivateKey {
  return privateKey.parse(generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' }))
}

/** The thumbprint of a key (RFC 7638), by which the cloud knows the region: 43 characters. */
export function thumbprintOf({ kty, crv, x }: Omit<PrivateKey, 'd'>): string {
  // The required members in the order of their names, without spaces (RFC 7638, section 3; RFC 8037, section 2).
  return createHash('sha256').update(JSON.stringify({ crv, kty, x })).digest('base64url')
}

/** What one proof is about. */
type Proven = {
  method: string
  /** Absolute, without query. */
  url: string
  /** Unix milliseconds by the clock of the cloud. */
  now: number
  /** That is sent with it, if there is one. */
  credential?: string | undefined
}

/** Signs the proofs of one key. */
export type Prover = { prove(proven: Proven): string }

/** Reads the key once. Each proof shows that the caller has the key (RFC 9449): it is good for one request. */
export function createProver(key: PrivateKey): Prover {
  const { kty, crv, x } = key
  const signed = jwsSigner({ typ: 'dpop+jwt', jwk: { kty, crv, x } }, createPrivateKey({ key, format: 'jwk' }))
  return {
    prove({ method, url, now, credential }) {
      const claims = { jti: randomBytes(6).toString('base64url'), htm: method, htu: url, iat: Math.floor(now / 1000) }
      return signed({ ...claims, ...(credential !== undefined && { ath: createHash('sha256').update(credential).digest('base64url') }) })
    },
  }
}
