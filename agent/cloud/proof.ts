import { createHash, randomBytes } from 'node:crypto'
import { calculateJwkThumbprint, exportJWK, generateKeyPair, importJWK, type JWK, SignJWT } from 'jose'
import * as z from 'zod'

/** The algorithm of the region's key: Ed25519 (RFC 8037). */
const alg = 'EdDSA'

/** The key of the region as its Secret keeps it. It is made here, never leaves the site and never expires. */
export const privateKey = z.object({
  kty: z.literal('OKP'),
  crv: z.literal('Ed25519'),
  x: z.string().regex(/^[\w-]{43}$/),
  d: z.string().regex(/^[\w-]{43}$/),
})
export type PrivateKey = z.infer<typeof privateKey>

/** A new key. */
export async function makeKey(): Promise<PrivateKey> {
  const { privateKey: made } = await generateKeyPair(alg, { extractable: true })
  return privateKey.parse(await exportJWK(made))
}

/** The thumbprint of a key (RFC 7638), by which the cloud knows the region: 43 characters. */
export function thumbprintOf({ kty, crv, x }: PrivateKey): Promise<string> {
  return calculateJwkThumbprint({ kty, crv, x })
}

/** What one proof is about. */
export type Proven = {
  method: string
  /** Absolute, without query. */
  url: string
  /** Unix milliseconds by the clock of the cloud. */
  now: number
  /** The credential that is sent with it, or the SHA-256 in hexadecimal of the token that a claim is about. */
  over?: { credential: string } | { sha256: string } | undefined
}

/** Signs the proofs of one key. */
export type Prover = { thumbprint: string; prove(proven: Proven): Promise<string> }

/** Reads the key once. Each proof shows that the caller has the key (RFC 9449): it is good for one request. */
export async function createProver(key: PrivateKey): Promise<Prover> {
  const signer = await importJWK(key as JWK, alg)
  const { kty, crv, x } = key
  const header = { typ: 'dpop+jwt', alg, jwk: { kty, crv, x } }
  return {
    thumbprint: await thumbprintOf(key),
    prove({ method, url, now, over }) {
      const ath = over && ('sha256' in over ? Buffer.from(over.sha256, 'hex') : createHash('sha256').update(over.credential).digest())
      const claims = { jti: randomBytes(6).toString('base64url'), htm: method, htu: url, iat: Math.floor(now / 1000) }
      return new SignJWT({ ...claims, ...(ath && { ath: ath.toString('base64url') }) }).setProtectedHeader(header).sign(signer)
    },
  }
}
