import { createHash, createPublicKey, X509Certificate } from 'node:crypto'
import type * as z from 'zod'
import { verifiedJws } from '../../shared/signing/jws.ts'
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

/** The content of a document, if one of the keys signed it. @throws CloudFault `key-changed` if none did; `garbled` */
async function verified<T>(what: string, document: string, type: string, keys: Keys, schema: z.ZodType<T>): Promise<T> {
  for (const key of keys) {
    const found = verifiedJws(document, key)
    if (found === undefined) continue
    if (found.typ !== type) throw new CloudFault('garbled', `The cloud's ${what} is of another type.`)
    const parsed = schema.safeParse(found.payload)
    if (parsed.success) return parsed.data
    throw new CloudFault('garbled', `The cloud's ${what} is signed, but invalid: ${parsed.error.issues[0]?.message.slice(0, 200)}.`)
  }
  throw new CloudFault('key-changed', `The cloud's ${what} is not signed with a key of the cloud that the region knows.`)
}

/** The content of a join state. @throws CloudFault `key-changed`; `garbled` if it is of another region or key, or not newer */
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

/** The trust after a document. @throws CloudFault `key-changed` if no known key signed it; `garbled` if it is older than what is known */
export async function readTrust(document: string, { cloud, known }: { cloud: string; known: KnownTrust }): Promise<KnownTrust> {
  const { iss, sequence, anchors, keys } = await verified('trust document', document, documentTypes.trust, known.keys ?? [], trustPayload)
  if (iss !== cloud) throw new CloudFault('garbled', 'The trust document is that of another cloud.')
  if (sequence <= known.sequence)
    throw new CloudFault('garbled', `The trust document is old: its number is ${sequence}, known is ${known.sequence}.`)
  for (const anchor of anchors) checkAnchor(anchor)
  return { cloud, sequence, anchors, keys }
}

/** The most documents that lead from one trust to another. */
const mostSteps = 32

/**
 * The trust after everything that the cloud has published: one document a line, oldest first, each signed with a key that the one before
 * names. So a region that was away while the key changed twice finds its way.
 * @returns undefined if nothing in it is newer than what is known
 * @throws CloudFault as `readTrust`, if there are newer documents, and none of them holds
 */
export async function followTrust(
  published: string,
  { cloud, known }: { cloud: string; known: KnownTrust },
): Promise<KnownTrust | undefined> {
  const documents = documentsOf(published)
  let present = known
  let wrong: unknown
  for (const document of documents) {
    if (numberOf(document) <= present.sequence) continue
    try {
      present = await readTrust(document, { cloud, known: present })
    } catch (error) {
      // One from before the region joined is signed with a key that it has never known: what it knows may lead on from a later one.
      wrong ??= error
    }
  }
  if (present === known && wrong !== undefined) throw wrong
  return present === known ? undefined : present
}

/** @throws CloudFault `garbled` */
function documentsOf(published: string): string[] {
  const documents = published.trim().split(/\s+/)
  if (documents.length > mostSteps) throw new CloudFault('garbled', `The cloud has published more than ${mostSteps} trust documents.`)
  return documents
}

/** The number in a trust document that nobody has verified; 0 if it cannot be read. */
export function numberOf(document: string): number {
  const [, payload = ''] = document.split('.')
  const parsed = trustPayload.pick({ sequence: true }).safeParse(parseJson(Buffer.from(payload, 'base64url').toString('utf8')))
  return parsed.success ? parsed.data.sequence : 0
}

/** The CA certificate in a trust document that nobody vouches for, if its key is the pinned one: the first contact with a cloud that has its own CA. */
export function pinnedAnchor(published: string, pin: string): string | undefined {
  const anchors = documentsOf(published).flatMap((document): TrustPayload['anchors'] => {
    const [, payload = ''] = document.split('.')
    const parsed = trustPayload.pick({ anchors: true }).safeParse(parseJson(Buffer.from(payload, 'base64url').toString('utf8')))
    return parsed.success ? parsed.data.anchors : []
  })
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
