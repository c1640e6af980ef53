import { createPublicKey, type KeyObject, sign, verify } from 'node:crypto'
import * as z from 'zod'

/*
 * Compact JWS (RFC 7515) with Ed25519 (RFC 8037), and nothing else of JOSE: one algorithm, which the key decides and no header can change
 * (RFC 8725, section 3.1). It is signed and verified in the same turn of the event loop, without WebCrypto's way through the thread pool: a
 * third of the processor time, a proof that is no older than its request, and no library that a region would load for it.
 */

/** RFC 9864 calls it Ed25519; EdDSA is the name that every verifier knows. */
const alg = 'EdDSA'

/** A header that asks for an extension must be refused (RFC 7515, section 4.1.11). */
const headerOfOthers = z.object({ alg: z.enum([alg, 'Ed25519']), typ: z.string().max(100), crit: z.undefined().optional() })

/** Signs payloads under one header, which is encoded once. */
export function jwsSigner(header: { typ: string; jwk?: object }, key: KeyObject): (payload: object) => string {
  const head = encoded({ ...header, alg })
  return (payload) => {
    const signed = `${head}.${encoded(payload)}`
    return `${signed}.${sign(null, Buffer.from(signed), key).toString('base64url')}`
  }
}

/** The type and the payload of a document that somebody else wrote; undefined if this key (a JWK) did not sign it. */
export function verifiedJws(
  document: string,
  { kty, crv, x }: { kty: 'OKP'; crv: 'Ed25519'; x: string },
): { typ: string; payload: unknown } | undefined {
  const [head = '', payload = '', signature = '', ...more] = document.split('.')
  const header = headerOfOthers.safeParse(parseBase64url(head)).data
  if (header === undefined || more.length > 0) return undefined
  const key = createPublicKey({ key: { kty, crv, x }, format: 'jwk' })
  const isSigned = verify(null, Buffer.from(`${head}.${payload}`), key, Buffer.from(signature, 'base64url'))
  return isSigned ? { typ: header.typ, payload: parseBase64url(payload) } : undefined
}

function encoded(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}

function parseBase64url(text: string): unknown {
  try {
    return JSON.parse(Buffer.from(text, 'base64url').toString('utf8'))
  } catch {
    return undefined
  }
}
