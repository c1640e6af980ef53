import { createHash, generateKeyPairSync } from 'node:crypto'
import * as z from 'zod'

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

/** The thumbprint of a key (RFC 7638), by which others know it: 43 characters. */
export function thumbprintOf({ kty, crv, x }: Omit<PrivateKey, 'd'>): string {
  // The required members in the order of their names, without spaces (RFC 7638, section 3; RFC 8037, section 2).
  return createHash('sha256').update(JSON.stringify({ crv, kty, x })).digest('base64url')
}
