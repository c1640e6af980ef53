import { createHash } from 'node:crypto'
import { calculateJwkThumbprint, decodeJwt, decodeProtectedHeader, EmbeddedJWK, type JWK, type JWTPayload, jwtVerify } from 'jose'
import type { FailureName } from '../../agent/cloud/contract/failures.ts'
import type { Point } from './points.ts'

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

/** What a proof has to be about. `over`: the hash of the credential, if there is one. */
type Request = { method: string; path: string; now: number; over?: string | undefined }

/** Verifies proofs of possession (RFC 9449, section 4.3), each of which is good for one request. */
export class Proofs {
  readonly #seen = new Map<string, number>()
  readonly #origin: string
  readonly #without: Point | undefined

  /** @param without what it does not verify */
  constructor(origin: string, without?: Point) {
    this.#origin = origin
    this.#without = without
  }

  /** @returns the thumbprint of the key. @throws Refusal */
  async verify(proof: string, { method, path, now, over }: Request): Promise<string> {
    const { payload, jwk } = await this.#signed(proof)
    const { htm, htu, iat, jti, ath } = payload
    const isFor = htm === method && htu === `${this.#origin}${path}`
    if (!isFor && this.#without !== 'Method and URL') throw new Refusal('invalid-signature', 'the proof is for another request')
    if (over !== undefined && ath !== over && this.#without !== 'What the proof is over') {
      throw new Refusal('invalid-signature', 'the proof is over something else')
    }
    const isOfNow = Math.abs((iat ?? 0) * 1000 - now) <= leewayMs
    if (!isOfNow && this.#without !== 'The time') throw new Refusal('clock-skew')
    if (typeof jti !== 'string') throw new Refusal('invalid-signature', 'the proof has no jti')
    const thumbprint = await calculateJwkThumbprint(jwk)
    const once = `${thumbprint} ${jti}`
    if (this.#seen.has(once) && this.#without !== 'Once') throw new Refusal('invalid-signature', 'the proof was used before')
    this.#forget(now)
    this.#seen.set(once, now)
    return thumbprint
  }

  async #signed(proof: string): Promise<{ payload: JWTPayload; jwk: JWK }> {
    try {
      if (this.#without === 'The signature') return { payload: decodeJwt(proof), jwk: decodeProtectedHeader(proof).jwk as JWK }
      const { payload, protectedHeader } = await jwtVerify(proof, EmbeddedJWK, {
        typ: 'dpop+jwt',
        algorithms: ['EdDSA', 'Ed25519'],
        currentDate: new Date(0), // the time is judged later, to tell it from a wrong signature
      })
      return { payload, jwk: protectedHeader.jwk as JWK }
    } catch {
      throw new Refusal('invalid-signature')
    }
  }

  #forget(now: number): void {
    for (const [once, at] of this.#seen) {
      if (at > now - 2 * leewayMs) return
      this.#seen.delete(once)
    }
  }
}

/** What `ath` says about a credential. */
export function hashOf(credential: string): string {
  return createHash('sha256').update(credential).digest('base64url')
}
