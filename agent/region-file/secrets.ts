import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto'
import * as z from 'zod'
import type { Cluster } from '../../shared/kubernetes/connection.ts'
import { unlessGone } from '../../shared/kubernetes/failures.ts'
import { type KubernetesObject, kinds, pathOf } from '../../shared/kubernetes/objects.ts'
import { listObjects } from '../../shared/kubernetes/read.ts'
import type { StoredDatabaseSpec } from '../resources/database.ts'
import { readSecrets } from '../resources/database-secrets.ts'
import { namespaceOf } from '../resources/kind.ts'
import { label, managedBy } from '../resources/labels.ts'
import type { RetainedDatabase } from '../resources/retained-database.ts'
import { readRetainedSecret } from '../resources/retained-record.ts'
import type { RegionSecrets } from './schema.ts'

const texts = z.record(z.string(), z.string())

/** What the encrypted part of a region file says, once it is open. */
export const openedSecrets = z.object({
  kind: z.literal('SkerryRegionSecrets'),
  version: z.literal(1),
  databases: z
    .record(z.string(), texts)
    .describe('By `PROJECT/ID`: the secrets of a request that makes the database, by their places such as `users.0.password`'),
  retained: z
    .record(z.string(), texts)
    .describe('By the id of the deleted database: what its Secret has, by the name of the former Secret'),
})
export type OpenedSecrets = z.output<typeof openedSecrets>

/** Secrets that were collected. `versions` names those that they come from: it changes when one of them does, and says nothing of what is in them. */
export type CollectedSecrets = { content: OpenedSecrets; versions: string }

/**
 * Collects the secrets of databases, and of deleted ones, from the Secrets that Skerry has written.
 * @throws Problem as `Cluster.request` does
 */
export async function collectSecrets(
  { cluster, namespace: home }: { cluster: Pick<Cluster, 'request'>; namespace: string },
  databases: readonly { project: string; spec: StoredDatabaseSpec }[],
  retained: readonly RetainedDatabase[],
  signal: AbortSignal,
): Promise<CollectedSecrets> {
  const content: OpenedSecrets = { kind: 'SkerryRegionSecrets', version: 1, databases: {}, retained: {} }
  const versions: string[] = []
  const note = ({ metadata: { namespace = '', name, uid = '', resourceVersion = '' } }: KubernetesObject) =>
    versions.push([namespace, name, uid, resourceVersion].join('/'))
  const [[managedByKey, managedByValue] = []] = Object.entries(managedBy)
  const query = { labelSelector: `${managedByKey}=${managedByValue},${label.database}` }
  for (const [project, ofProject] of Map.groupBy(databases, (each) => each.project)) {
    const secrets = await listObjects(cluster, kinds.Secret, { namespace: namespaceOf(project), query, signal })
    secrets.forEach(note)
    const byDatabase = Map.groupBy(secrets, ({ metadata }) => metadata.labels?.[label.database] ?? '')
    for (const { spec } of ofProject) {
      const target = { kind: 'database', project, database: spec.id } as const
      const found = readSecrets(target, spec, byDatabase.get(spec.id) ?? [])
      if (Object.keys(found).length > 0) content.databases[`${project}/${spec.id}`] = found
    }
  }
  const readHere = (name: string) =>
    unlessGone(cluster.request<KubernetesObject>({ method: 'GET', path: pathOf(kinds.Secret, home, name), signal }))
  for (const record of retained) {
    if (record.spec.secrets.length === 0) continue
    const secret = await readRetainedSecret(record, readHere)
    if (secret === undefined) continue
    note(secret)
    const data = Object.entries((secret.data ?? {}) as Record<string, string>)
    content.retained[record.metadata.name] = Object.fromEntries(
      data.map(([name, text]) => [name, Buffer.from(text, 'base64').toString('utf8')]),
    )
  }
  return { content, versions: versions.sort().join(' ') }
}

const curves = new Set(['prime256v1', 'secp384r1', 'secp521r1'])

/**
 * The key for whom secrets are encrypted, or with which they are opened: PEM, or a JWK.
 * @throws Error with a sentence, without a word of the key
 */
export function readEncryptionKey(text: string, kind: 'public' | 'private'): KeyObject {
  const key = keyOf(text.trim(), kind)
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = key
  if (type === 'x25519' || (type === 'ec' && curves.has(details?.namedCurve ?? ''))) return key
  throw new Error('it must be a key of EC on P-256, P-384 or P-521, or of X25519')
}

function keyOf(text: string, kind: 'public' | 'private'): KeyObject {
  const read = kind === 'public' ? createPublicKey : createPrivateKey
  // A public key is made of a private one too, which is nobody's business here.
  const isPrivate = /PRIVATE KEY/.test(text) || /"d"\s*:/.test(text)
  if (kind === 'public' && isPrivate) throw new Error('it is a private key: only the public one belongs here')
  try {
    return text.startsWith('{') ? read({ key: JSON.parse(text), format: 'jwk' }) : read(text)
  } catch {
    throw new Error(`it is neither a ${kind} key in PEM nor a JWK`)
  }
}

const [alg, enc] = ['ECDH-ES+A256KW', 'A256GCM'] as const

/** Encrypts secrets for whoever has the private key. */
export async function sealSecrets(secrets: OpenedSecrets, recipient: KeyObject): Promise<RegionSecrets> {
  // Loaded here: few regions have a recipient.
  const { GeneralEncrypt } = await import('jose')
  const sealing = new GeneralEncrypt(Buffer.from(JSON.stringify(secrets))).setProtectedHeader({ enc, typ: 'skerry-region-secrets' })
  const sealed = await sealing.addRecipient(recipient).setUnprotectedHeader({ alg }).encrypt()
  return JSON.parse(JSON.stringify(sealed)) as RegionSecrets
}

/**
 * Opens the encrypted part of a region file.
 * @throws Error with a sentence: the key is another one, or the part is damaged
 */
export async function openSecrets(sealed: RegionSecrets, key: KeyObject): Promise<OpenedSecrets> {
  const { generalDecrypt } = await import('jose')
  const limits = { keyManagementAlgorithms: [alg], contentEncryptionAlgorithms: [enc] }
  const plaintext = await generalDecrypt(sealed as Parameters<typeof generalDecrypt>[0], key, limits).then(
    (opened) => opened.plaintext,
    () => {
      throw new Error('This key does not open the secrets of the file: it is another one, or they are damaged.')
    },
  )
  try {
    return openedSecrets.parse(JSON.parse(Buffer.from(plaintext).toString('utf8')))
  } catch {
    throw new Error('The secrets of the file are open, but of another version.')
  }
}
