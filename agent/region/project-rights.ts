import { asProblem, isProblem, Problem } from '../../shared/errors.ts'
import type { KubernetesObject } from '../../shared/kubernetes/objects.ts'
import { agentRole } from '../resources/project-access.ts'

/** How the API server words that an account has no right, whatever decides on rights. Everything else that it forbids, something else forbids. */
const noRight = /\bUser ".*" cannot .* in the namespace "project-/s
const noRole = new RegExp(`\\bRBAC: .*"${agentRole}" not found`, 's')

/**
 * Whether the API server refused a request because the agent has no rights in the namespace of a project, and why: `pending` while the
 * RoleBinding is not in effect, `no-role` if the ClusterRole that it names does not exist, which does not pass by itself. Undefined for every
 * other failure.
 */
export function lackOfRights(error: unknown): 'pending' | 'no-role' | undefined {
  if (!isProblem(error, 'cluster-forbidden') || !noRight.test(error.detail)) return undefined
  return noRole.test(error.detail) ? 'no-role' : 'pending'
}

/**
 * The response to a request in the namespace of a project; undefined if the namespace does not exist or is being deleted. The agent has its
 * rights there by a RoleBinding in that very namespace, so the API server refuses the request both before the namespace and after it.
 *
 * @param readNamespace reads the namespace from the API server; called only after a refusal
 * @throws Problem `rights-pending`, to be repeated soon, while the namespace stands and its RoleBinding is not in effect yet
 */
export async function unlessNamespaceGone<T>(
  request: Promise<T>,
  readNamespace: () => Promise<KubernetesObject | undefined>,
): Promise<T | undefined> {
  try {
    return await request
  } catch (error) {
    const lack = lackOfRights(error)
    if (lack === undefined) throw error
    const namespace = await readNamespace()
    if (namespace === undefined || namespace.metadata.deletionTimestamp !== undefined) return undefined
    if (lack === 'no-role') throw error
    throw new Problem('rights-pending', asProblem(error).detail, { cause: error, retryAfterSeconds: 1 })
  }
}
