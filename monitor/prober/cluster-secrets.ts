import { isProblem } from '../../shared/errors.ts'
import type { Cluster } from '../../shared/kubernetes/connection.ts'
import { kinds, pathOf } from '../../shared/kubernetes/objects.ts'
import { referenceKey, type SecretReference } from './secrets.ts'

/**
 * Reads the values of references, by `referenceKey` and in the order given. A value that cannot be read is an Error, which quotes nothing.
 * All Secrets are requested at the same time: if the API server is down, this takes no longer than one request.
 */
export type ReadSecrets = (references: readonly SecretReference[], signal: AbortSignal) => Promise<Map<string, string | Error>>

/**
 * Reads Secrets of the cluster by name, each once for all of its keys. It needs no permission to list them, and keeps nothing.
 * @param namespace the namespace of Secrets whose reference names none
 */
export function createSecretReader(cluster: Pick<Cluster, 'request'>, namespace: string): ReadSecrets {
  async function read(path: string, signal: AbortSignal): Promise<Record<string, string> | Error> {
    try {
      const found = await cluster.request<{ data?: Record<string, string> }>({ method: 'GET', path, signal })
      return found.data ?? {}
    } catch (error) {
      if (isProblem(error, 'not-found')) return new MissingSecret('it does not exist', { cause: error })
      return new Error(`it cannot be read: ${(error as Error).message}`, { cause: error })
    }
  }

  return async (references, signal) => {
    const reads = new Map<string, ReturnType<typeof read>>()
    const values = references.map(async (reference): Promise<[string, string | Error]> => {
      const { secretName, key, namespace: given = namespace } = reference
      const path = pathOf(kinds.Secret, given, secretName)
      const reading = reads.get(path) ?? read(path, signal)
      reads.set(path, reading)
      return [referenceKey(reference), textIn(await reading, key)]
    })
    return new Map(await Promise.all(values))
  }
}

function textIn(data: Record<string, string> | Error, key: string): string | Error {
  if (data instanceof Error) return data
  const value = Object.hasOwn(data, key) ? data[key] : undefined
  return value === undefined ? new MissingSecret('it has no such key') : Buffer.from(value, 'base64').toString('utf8')
}

/** The API server answered that there is no such value: another attempt does not help until somebody creates it. */
export class MissingSecret extends Error {
  override readonly name = 'MissingSecret'
}
