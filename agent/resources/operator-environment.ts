import type { KubernetesObject } from '../../shared/kubernetes/objects.ts'

/**
 * A variable of the Crate Operator's environment. `unknown`: its value comes from a ConfigMap, a Secret or another variable. The operator
 * reads its variables at its start, and a change of the Deployment restarts it.
 */
export type OperatorVariable = { state: 'set'; value: string } | { state: 'unset' } | { state: 'unknown' }

type Container = { env?: { name: string; value?: string; valueFrom?: unknown }[]; envFrom?: unknown[] }

const prefix = 'CRATEDB_OPERATOR_'

/** Reads a variable from the Deployment of the operator. @param name without the prefix, as in the operator's config.py */
export function operatorVariable({ spec }: KubernetesObject, name: string): OperatorVariable {
  const containers: Container[] = spec?.template?.spec?.containers ?? []
  const { env = [], envFrom = [] } =
    containers.find(({ env = [] }) => env.some((each) => each.name.startsWith(prefix))) ?? containers[0] ?? {}
  // The last one takes precedence, as in Kubernetes.
  const found = env.findLast((each) => each.name === `${prefix}${name}`)
  if (!found) return { state: envFrom.length > 0 ? 'unknown' : 'unset' }
  if (found.valueFrom !== undefined || found.value?.includes('$(')) return { state: 'unknown' }
  return { state: 'set', value: found.value ?? '' }
}
