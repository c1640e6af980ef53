import { createHash, createHmac } from 'node:crypto'

/** What a claim shows of an installation token. */
export type TokenProof = { hash: string; mac: string }

/**
 * Proves that a region was given an installation token, to a cloud that keeps the SHA-256 of it. What is sent is good for this key at this cloud:
 * whoever reads it on the way, such as a proxy that opens TLS and what it logs, cannot claim with another key before the region does.
 *
 * @param sha256 of the token, in hexadecimal: the secret that both sides have
 * @param claim the origin of the cloud, and the thumbprint of the key that claims
 */
export function tokenProof(sha256: string, { cloud, thumbprint }: { cloud: string; thumbprint: string }): TokenProof {
  const secret = Buffer.from(sha256, 'hex')
  return {
    hash: createHash('sha256').update(secret).digest('hex'),
    mac: createHmac('sha256', secret).update(`skerry-claim\n${cloud}\n${thumbprint}`).digest('base64url'),
  }
}
