import { Problem } from '../../shared/errors.ts'
import type { Cluster } from '../../shared/kubernetes/connection.ts'
import type { SecretReference } from './secrets.ts'

/** What a key of a Secret holds. It rejects with an Error that says why there is nothing, without quoting anything. */
export type ReadSecret = (reference: SecretReference, signal: AbortSignal) => Promise<string>

/**
 * Reads Secrets of the cluster, each by its name, when asked: the right to list them is not needed, and nothing is kept.
 * @param namespace where a Secret is looked for whose reference names none
 */
export function createSecretReader(cluster: Pick<Cluster, 'request'>, namespace: string): ReadSecret {
  return async ({ secretName, key, namespace: given = namespace }, signal) => {
    const path = `/api/v1/namespaces/${encodeURIComponent(given)}/secrets/${encodeURIComponent(secretName)}`
    let found: { data?: Record<string, string> }
    try {
      found = await cluster.request({ method: 'GET', path, signal })
    } catch (error) {
      if (error instanceof Problem && error.type === 'not-found') throw new MissingSecret('it is not there', { cause: error })
      throw new Error(`it cannot be read: ${(error as Error).message}`, { cause: error })
    }
    const value = found.data?.[key]
    if (value === undefined) throw new MissingSecret('it has no such key')
    return Buffer.from(value, 'base64').toString('utf8')
  }
}

/** The API server answered, and there is no such value: trying again does not help until somebody makes it. */
export class MissingSecret extends Error {
  override readonly name = 'MissingSecret'
}
