import type { KubernetesObject } from '../../shared/kubernetes/objects.ts'

const apiVersion = 'rbac.authorization.k8s.io/v1'
const apiGroup = 'rbac.authorization.k8s.io'

/**
 * The ClusterRole with the agent's rights in the namespaces of projects, and the name of the RoleBinding in each of them. The agent's
 * ClusterRole lets it write RoleBindings of this name only, and bind no other ClusterRole.
 */
export const agentRole = 'skerry-agent-project'

/** The service accounts that get rights in the namespaces of projects. Both are in the agent's own namespace. */
export type Accounts = {
  agent: string
  /** May read the password of each database's user `system`; nobody if it is undefined. */
  monitor: string | undefined
}

/** An object without its metadata, and its name. */
type Nameless = { apiVersion: string; kind: string; name: string; [field: string]: unknown }

/** Gives the agent its rights in a project's namespace. Whatever else is in the namespace needs them, so it comes right after the namespace. */
export function agentBinding(namespace: string, { agent }: Accounts): Nameless {
  return {
    apiVersion,
    kind: 'RoleBinding',
    name: agentRole,
    roleRef: { apiGroup, kind: 'ClusterRole', name: agentRole },
    subjects: [{ kind: 'ServiceAccount', name: agent, namespace }],
  }
}

/**
 * Lets the monitor read the password of one database's user `system`, and no other Secret.
 * @param namespace the one of the monitor
 */
export function monitorAccess({ metadata }: KubernetesObject, namespace: string, { monitor }: Accounts): Nameless[] {
  if (monitor === undefined) return []
  const name = `skerry-monitor-${metadata.name}`
  const rule = { apiGroups: [''], resources: ['secrets'], resourceNames: [`user-system-${metadata.name}`], verbs: ['get'] }
  const subjects = [{ kind: 'ServiceAccount', name: monitor, namespace }]
  return [
    { apiVersion, kind: 'Role', name, rules: [rule] },
    { apiVersion, kind: 'RoleBinding', name, roleRef: { apiGroup, kind: 'Role', name }, subjects },
  ]
}
