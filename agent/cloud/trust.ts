import { createHash, createPublicKey, X509Certificate } from 'node:crypto'
import { compactVerify, importJWK, type JWK } from 'jose'
import type * as z from 'zod'
import {
  documentTypes,
  type JoinStatePayload,
  joinStatePayload,
  type signingKeys,
  type TrustPayload,
  trustPayload,
} from './contract/documents.ts'
import { CloudFault } from './fault.ts'
import type { KnownTrust } from './registration/state.ts'

type Keys = z.infer<typeof signingKeys>

/** A cloud key in PEM as a JWK. @throws Error if it is no Ed25519 public key */
export function cloudKeyOf(pem: string): Keys[number] {
  const { kty, crv, x } = createPublicKey(pem).export({ format: 'jwk' })
  if (kty !== 'OKP' || crv !== 'Ed25519' || x === undefined) throw new Error('it is not an Ed25519 public key')
  return { kty, crv, x }
}

/** The content of a document, if one of the keys signed it. @throws CloudFault `garbled` */
async function verified<T>(what: string, document: string, type: string, keys: Keys, schema: z.ZodType<T>): Promise<T> {
  for (const key of keys) {
    const found = await compactVerify(document, await importJWK(key as JWK, 'EdDSA'), { algorithms: ['EdDSA', 'Ed25519'] }).catch(
      () => undefined,
    )
    if (found === undefined) continue
    if (found.protectedHeader.typ !== type) throw new CloudFault('garbled', `The cloud's ${what} is of another type.`)
    const parsed = schema.safeParse(parseJson(Buffer.from(found.payload).toString('utf8')))
    if (parsed.success) return parsed.data
    throw new CloudFault('garbled', `The cloud's ${what} is signed, but invalid: ${parsed.error.issues[0]?.message.slice(0, 200)}.`)
  }
  throw new CloudFault('garbled', `The cloud's ${what} is not signed with a key of the cloud that the region knows.`)
}

/** The content of a join state. @throws CloudFault `garbled` if it is not signed, of another region or key, or not newer */
export async function readJoinState(
  document: string,
  { keys, cloud, id, thumbprint, after }: { keys: Keys; cloud: string; id: string; thumbprint: string; after: number },
): Promise<JoinStatePayload> {
  const payload = await verified('join state', document, documentTypes.joinState, keys, joinStatePayload)
  if (payload.iss !== cloud || payload.sub !== id || payload.jkt !== thumbprint) {
    throw new CloudFault('garbled', 'The join state of the cloud is about another region.')
  }
  if (payload.sequence <= after) {
    throw new CloudFault('garbled', `The join state of the cloud is old: its number is ${payload.sequence}, the region has ${after}.`)
  }
  return payload
}

/** The number in a join state that was verified when it came. */
export function sequenceOf(joinState: string | undefined): number {
  if (joinState === undefined) return 0
  const [, payload = ''] = joinState.split('.')
  const parsed = joinStatePayload.safeParse(parseJson(Buffer.from(payload, 'base64url').toString('utf8')))
  return parsed.success ? parsed.data.sequence : 0
}

/**
 * The trust after a document. @throws CloudFault `garbled` if no known key signed it, or it is older than what is known
 */
export async function readTrust(document: string, { cloud, known }: { cloud: string; known: KnownTrust }): Promise<KnownTrust> {
  const { iss, sequence, anchors, keys } = await verified('trust document', document, documentTypes.trust, known.keys ?? [], trustPayload)
  if (iss !== cloud) throw new CloudFault('garbled', 'The trust document is that of another cloud.')
  if (sequence <= known.sequence)
    throw new CloudFault('garbled', `The trust document is old: its number is ${sequence}, known is ${known.sequence}.`)
  for (const anchor of anchors) checkAnchor(anchor)
  return { cloud, sequence, anchors, keys }
}

/** The CA certificate in a trust document that nobody vouches for, if its key is the pinned one: the first contact with a cloud that has its own CA. */
export function pinnedAnchor(document: string, pin: string): string | undefined {
  const [, payload = ''] = document.split('.')
  const parsed = trustPayload.pick({ anchors: true }).safeParse(parseJson(Buffer.from(payload, 'base64url').toString('utf8')))
  const anchors: TrustPayload['anchors'] = parsed.success ? parsed.data.anchors : []
  return anchors.find((anchor) => pinOf(anchor) === pin)
}

/** SHA-256 of the public key of a certificate (SubjectPublicKeyInfo), base64url; undefined if it is none. */
export function pinOf(pem: string): string | undefined {
  try {
    const key = new X509Certificate(pem).publicKey.export({ type: 'spki', format: 'der' })
    return createHash('sha256').update(key).digest('base64url')
  } catch {
    return undefined
  }
}

function checkAnchor(pem: string): void {
  if (pinOf(pem) === undefined) throw new CloudFault('garbled', 'A certificate in the trust document cannot be read.')
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
