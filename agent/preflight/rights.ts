import type { Audience } from './evidence.ts'

/** One thing that an account may have to do. `*` stands for all. */
export type Right = { verb: string; group: string; resource: string; namespace?: string }

/** Whoever may do this may do everything. */
export const everything: Right = { verb: '*', group: '*', resource: '*' }

const manage = ['get', 'list', 'create', 'patch', 'update', 'delete'] as const

/** What helm makes, waits for, changes and removes when it installs the components and Skerry, in whichever namespace. */
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

/** The minor version of Kubernetes from which on there is such a thing. */
const since: Record<string, number> = { validatingadmissionpolicies: 30, validatingadmissionpolicybindings: 30 }

/** Roles can be given only by those who hold what is in them, or may do this. */
const giving: Right[] = ['escalate', 'bind'].map((verb) => ({ verb, group: 'rbac.authorization.k8s.io', resource: 'clusterroles' }))

/** What the installer only looks at. */
const looking: Right[] = [
  { verb: 'list', group: '', resource: 'nodes' },
  { verb: 'list', group: '', resource: 'pods' },
  { verb: 'list', group: '', resource: 'persistentvolumes' },
]

/** The agent's own, for projects and databases. Those that are bound to names, and those for the tunnel, are not asked for. */
function agentRights(namespace: string): Right[] {
  const each = (verbs: string[], group: string, resource: string, at?: string): Right[] =>
    verbs.map((verb) => ({ verb, group, resource, ...(at !== undefined && { namespace: at }) }))
  const kept = ['get', 'list', 'watch', 'create', 'patch', 'delete']
  return [
    ...each(kept, 'skerry.dev', 'projects'),
    ...each(['update'], 'skerry.dev', 'projects/status'),
    ...each(['get', 'list', 'watch', 'create', 'delete'], 'skerry.dev', 'operations', namespace),
    ...each(['update', 'patch'], 'skerry.dev', 'operations/status', namespace),
    ...each(kept, 'cloud.crate.io', 'cratedbs'),
    ...each(kept, '', 'namespaces'),
    ...each(['get', 'list', 'create', 'patch', 'delete'], '', 'secrets'),
    ...each(['watch'], '', 'secrets', namespace),
    ...each(['get', 'list', 'watch', 'create', 'patch'], '', 'resourcequotas'),
    ...each(['get', 'list', 'watch', 'create', 'patch'], '', 'limitranges'),
    ...each(kept, 'networking.k8s.io', 'networkpolicies'),
    ...each(['get', 'list', 'watch', 'create', 'patch'], '', 'serviceaccounts'),
    ...each(['list', 'watch', 'delete'], '', 'pods'),
    ...each(['get', 'list', 'watch'], '', 'services'),
    ...each(['list', 'watch'], 'apps', 'statefulsets'),
    ...each(['list'], '', 'persistentvolumeclaims'),
    ...each(['patch'], '', 'persistentvolumes'),
    ...each(['get'], 'batch', 'cronjobs'),
    ...each(['list'], '', 'events'),
    ...each(['list'], 'storage.k8s.io', 'volumeattachments'),
    ...each(['list', 'watch'], '', 'nodes'),
    ...each(['list', 'watch'], 'storage.k8s.io', 'storageclasses'),
    ...each(['get', 'create', 'update'], 'coordination.k8s.io', 'leases', namespace),
  ]
}

/**
 * Everything that the account of an audience must be allowed to do.
 *
 * @param namespace the agent's own
 * @param minor the minor version of Kubernetes, undefined when it cannot be told
 */
export function neededRights(audience: Audience, namespace: string, minor?: number): Right[] {
  if (audience === 'agent') return agentRights(namespace)
  const isThere = (resource: string) => minor === undefined || minor >= (since[resource] ?? 0)
  const managed = installed.flatMap(([group, resources]) =>
    resources.filter(isThere).flatMap((resource) => manage.map((verb): Right => ({ verb, group, resource }))),
  )
  return [...managed, ...giving, ...looking]
}
