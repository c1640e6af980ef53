import { generateKeyPairSync } from 'node:crypto'

/** The key pair with which an API server signs ServiceAccount tokens, as PEM. */
export function createSigningKey(): { publicKey: string; privateKey: string } {
  return generateKeyPairSync('ec', {
    namedCurve: 'P-256',
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  })
}
