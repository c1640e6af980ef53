import { createHash } from 'node:crypto'
import { calculateJwkThumbprint, EmbeddedJWK, type JWK, jwtVerify } from 'jose'
import type { FailureName } from '../../agent/cloud/contract/failures.ts'

/** A refusal, as the cloud answers it. */
export class Refusal extends Error {
  readonly failure: FailureName

  constructor(failure: FailureName, detail = failure as string) {
    super(detail)
    this.failure = failure
  }
}

/** How far the clock of a region may be off, in milliseconds. */
const leewayMs = 60_000

/** Verifies proofs of possession (RFC 9449, section 4.3), each of which is good for one request. */
export class Proofs {
  readonly #seen = new Map<string, number>()
  readonly #origin: string

  constructor(origin: string) {
    this.#origin = origin
  }

  /** @returns the thumbprint of the key. @throws Refusal */
  async verify(
    proof: string,
    { method, path, now, over }: { method: string; path: string; now: number; over?: string | undefined },
  ): Promise<string> {
    const { payload, protectedHeader } = await jwtVerify(proof, EmbeddedJWK, {
      typ: 'dpop+jwt',
      algorithms: ['EdDSA', 'Ed25519'],
      currentDate: new Date(0), // the time is judged below, to tell it from a wrong signature
    }).catch(() => {
      throw new Refusal('invalid-signature')
    })
    const { htm, htu, iat, jti, ath } = payload
    if (htm !== method || htu !== `${this.#origin}${path}` || typeof jti !== 'string') throw new Refusal('invalid-signature')
    if (over !== undefined && ath !== over) throw new Refusal('invalid-signature')
    if (Math.abs((iat ?? 0) * 1000 - now) > leewayMs) throw new Refusal('clock-skew')
    if (this.#seen.has(jti)) throw new Refusal('invalid-signature', 'a proof was sent twice')
    this.#forget(now)
    this.#seen.set(jti, now)
    return calculateJwkThumbprint(protectedHeader.jwk as JWK)
  }

  #forget(now: number): void {
    for (const [jti, at] of this.#seen) {
      if (at > now - 2 * leewayMs) return
      this.#seen.delete(jti)
    }
  }
}

/** What `ath` says about a credential. */
export function hashOf(credential: string): string {
  return createHash('sha256').update(credential).digest('base64url')
}
