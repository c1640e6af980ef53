import { createHmac, randomBytes } from 'node:crypto'
import { isProblem } from '../../shared/errors.ts'
import type { Cluster } from '../../shared/kubernetes/connection.ts'
import { unlessGone } from '../../shared/kubernetes/failures.ts'
import { type KubernetesObject, kinds, pathOf } from '../../shared/kubernetes/objects.ts'
import { managedBy } from '../resources/labels.ts'

/** The keyed hash of a request in canonical form: equal requests have equal ones, and no password can be guessed from it. */
export function fingerprintOf(canonical: string, key: Buffer): string {
  return `hmac-sha256:${createHmac('sha256', key).update(canonical).digest('hex')}`
}

/** The region's key for fingerprints. The first replica creates it. */
export async function fingerprintKey(cluster: Cluster, namespace: string): Promise<Buffer> {
  const name = 'skerry-fingerprint-key'
  const read = async () => {
    const secret = await cluster.request<KubernetesObject>({ method: 'GET', path: pathOf(kinds.Secret, namespace, name) })
    return Buffer.from(secret.data?.key ?? '', 'base64')
  }
  const standing = await unlessGone(read())
  if (standing) return standing
  const fresh = randomBytes(32)
  const metadata = { name, namespace, labels: managedBy }
  const body = { apiVersion: 'v1', kind: 'Secret', metadata, immutable: true, data: { key: fresh.toString('base64') } }
  try {
    await cluster.request({ method: 'POST', path: pathOf(kinds.Secret, namespace), body })
    return fresh
  } catch (error) {
    if (isProblem(error, 'already-exists')) return read()
    throw error
  }
}
