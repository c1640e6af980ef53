import { isProblem } from '../errors.ts'
import type { Cluster } from './connection.ts'

/**
 * Deletes the object with this uid, but not a newer object of the same name. It is not an error if the object no longer exists.
 *
 * @returns whether this call deleted it
 * @throws Problem as `Cluster.request` does
 */
export async function deleteObject(cluster: Pick<Cluster, 'request'>, path: string, uid: string | undefined, signal?: AbortSignal) {
  const body = {
    apiVersion: 'v1',
    kind: 'DeleteOptions',
    propagationPolicy: 'Background',
    ...(uid !== undefined && { preconditions: { uid } }),
  }
  try {
    await cluster.request({ method: 'DELETE', path, body, signal })
    return true
  } catch (error) {
    if (isProblem(error, 'not-found', 'conflict')) return false // a conflict: another object has the name
    throw error
  }
}
