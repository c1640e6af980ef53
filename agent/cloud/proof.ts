import { createHash, createPrivateKey, randomBytes } from 'node:crypto'
import { jwsSigner } from '../../shared/signing/jws.ts'
import type { PrivateKey } from '../../shared/signing/key.ts'

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
