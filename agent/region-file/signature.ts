import { createPrivateKey } from 'node:crypto'
import { jwsSigner, verifiedJws } from '../../shared/signing/jws.ts'
import { type PrivateKey, thumbprintOf } from '../../shared/signing/key.ts'
import type { RegionFile } from './schema.ts'

/** The `typ` in the header, so that no other document by the same key is taken for a region file (RFC 8725, section 3.11). */
const typ = 'skerry-region+jws'

/**
 * Who vouches for a region file. A digest vouches for nobody: it shows that the file is whole, and whoever changes the file changes it too. A
 * signature is by the key with this thumbprint (RFC 7638), which the cloud of the region shows as well: the file alone does not say whose it is.
 */
export type Origin = { by: 'key'; thumbprint: string } | { by: 'digest' }

/** The signature of a document by the key of its region: over the digest, which the file says too. */
export function signatureOf(digest: string, key: PrivateKey): NonNullable<RegionFile['signature']> {
  const { kty, crv, x } = key
  const sign = jwsSigner({ typ }, createPrivateKey({ key, format: 'jwk' }))
  return { jws: sign({ sha256: digest }), jwk: { kty, crv, x } }
}

/** The origin that a signature proves for this digest; undefined if it proves nothing. */
export function originOf(signature: RegionFile['signature'], digest: string): Origin | undefined {
  if (signature === undefined) return { by: 'digest' }
  const { jws, jwk } = signature
  const read = verified(jws, jwk)
  const signed = read?.typ === typ ? (read.payload as { sha256?: unknown } | null | undefined) : undefined
  return signed?.sha256 === digest ? { by: 'key', thumbprint: thumbprintOf(jwk) } : undefined
}

/** What an origin proves, for people. */
export function originSentence(origin: Origin): string {
  return origin.by === 'key'
    ? `Signed by the key with the thumbprint ${origin.thumbprint}. Compare it with the one that the cloud shows for the region.`
    : 'Not signed: the region had no key. The digest shows that the file is whole, not where it comes from.'
}

/** Not every 32 bytes are a point of the curve. */
function verified(jws: string, jwk: NonNullable<RegionFile['signature']>['jwk']): ReturnType<typeof verifiedJws> {
  try {
    return verifiedJws(jws, jwk)
  } catch {
    return undefined
  }
}
