import agentRules from './agent-rights.json' with { type: 'json' }

/** One permission that an account may need. `*` stands for all. */
export type Right = { verb: string; group: string; resource: string; name?: string; namespace?: string }

/** An account with this right has every other. */
export const everything: Right = { verb: '*', group: '*', resource: '*' }

const manage = ['get', 'list', 'create', 'patch', 'update', 'delete'] as const

/** The resources that helm creates, waits for, changes and deletes when it installs the components and Skerry, in any namespace. */
const installed: [group: string, resources: string[]][] = [
  ['', ['namespaces', 'serviceaccounts', 'secrets', 'configmaps', 'services', 'persistentvolumeclaims']],
  ['apps', ['deployments', 'statefulsets', 'daemonsets']],
  ['batch', ['jobs']],
  ['policy', ['poddisruptionbudgets']],
  ['networking.k8s.io', ['networkpolicies', 'ingresses', 'ingressclasses']],
  ['rbac.authorization.k8s.io', ['clusterroles', 'clusterrolebindings', 'roles', 'rolebindings']],
  ['apiextensions.k8s.io', ['customresourcedefinitions']],
  ['admissionregistration.k8s.io', ['validatingwebhookconfigurations', 'mutatingwebhookconfigurations']],
  ['admissionregistration.k8s.io', ['validatingadmissionpolicies', 'validatingadmissionpolicybindings']],
  ['storage.k8s.io', ['storageclasses']],
]

/** The minor version of Kubernetes that first serves a resource. */
const since: Record<string, number> = { validatingadmissionpolicies: 30, validatingadmissionpolicybindings: 30 }

/** Without these, an account can grant only roles whose rights it has itself. */
const granting: Right[] = ['escalate', 'bind'].map((verb) => ({ verb, group: 'rbac.authorization.k8s.io', resource: 'clusterroles' }))

/** Resources that the installer only reads. */
const reading: Right[] = [
  { verb: 'list', group: '', resource: 'nodes' },
  { verb: 'list', group: '', resource: 'pods' },
  { verb: 'list', group: '', resource: 'persistentvolumes' },
]

/** `where`: `cluster`, `home`, `project`, or the name of another namespace. */
type AgentRule = { group: string; resource: string; name?: string; verbs: string[]; where: string }

/**
 * Every right of the agent's manifest whose names do not depend on the configuration. `npm run render` takes the list from
 * deploy/rbac/agent.yaml.
 *
 * @param namespace the agent's own, for the rights that it has only there
 * @param project the namespace of a project, for the rights that it has only in these; without one, they cannot be examined
 */
export function agentRights(namespace: string, project: string | undefined): Right[] {
  return (agentRules as AgentRule[]).flatMap(({ group, resource, name, verbs, where }) => {
    if (where === 'project' && project === undefined) return []
    const places: Record<string, string | undefined> = { cluster: undefined, home: namespace, project }
    const place = where in places ? places[where] : where
    return verbs.map((verb) => ({
      verb,
      group,
      resource,
      ...(name !== undefined && { name }),
      ...(place !== undefined && { namespace: place }),
    }))
  })
}

/** Every right that an installer needs. @param minor the minor version of Kubernetes, undefined when it is unknown */
export function installerRights(minor?: number): Right[] {
  const isServed = (resource: string) => minor === undefined || minor >= (since[resource] ?? 0)
  const managed = installed.flatMap(([group, resources]) =>
    resources.filter(isServed).flatMap((resource) => manage.map((verb): Right => ({ verb, group, resource }))),
  )
  return [...managed, ...granting, ...reading]
}
