import type { KubernetesObject, OwnerReference } from '../../shared/kubernetes/objects.ts'
import { namespaceOf } from './kind.ts'
import { annotation, label, managedBy } from './labels.ts'
import { type NetworkSurroundings, networkPolicies } from './network-policies.ts'
import { type ProjectSpec, readProject } from './project.ts'

/** What the objects of a project depend on besides the project. */
export type ProjectSurroundings = NetworkSurroundings & {
  /** The Secrets in the agent's namespace; those that the project does not name are left aside, a missing one is not copied. */
  pullSecrets: KubernetesObject[]
  /** Whether a database in the project has deletionProtection: its namespace is protected then too. */
  holdsProtected: boolean
}

/** The name in the project's namespace of a copied pull secret. The prefix keeps it from ever being a database's `user-password-…`. */
export function pullSecretCopyName(name: string): string {
  return `skerry-pull-${name}`.slice(0, 253)
}

/**
 * What the project controller makes of a `Project` and heals when it drifts, in the order in which it must be written.
 *
 * All but two bear an owner reference to the Project, so that nothing stays behind. The namespace has none: the garbage collector
 * would take it, and every database in it, with a Project that goes without its finalizer being asked, for instance because
 * somebody uninstalled the definition of projects. The ServiceAccount `default` is Kubernetes' own.
 */
export function projectObjects(project: KubernetesObject, surroundings: ProjectSurroundings): KubernetesObject[] {
  const spec = readProject(project)
  const namespace = namespaceOf(spec.id)
  const own = { ...managedBy, [label.project]: spec.id }
  const owned = ownerOf(project)
  const inside = (object: Omit<KubernetesObject, 'metadata'> & { apiVersion: string; kind: string; name: string }): KubernetesObject => {
    const { apiVersion, kind, name, ...rest } = object
    return { apiVersion, kind, metadata: { name, namespace, labels: own, ...owned }, ...rest }
  }
  const copies = spec.imagePullSecrets.flatMap((name) => {
    const source = surroundings.pullSecrets.find((secret) => secret.metadata.name === name)
    return source
      ? [inside({ apiVersion: 'v1', kind: 'Secret', name: pullSecretCopyName(name), type: source.type, data: source.data })]
      : []
  })
  return [
    namespaceObject(spec, namespace, own, surroundings.holdsProtected),
    inside({ apiVersion: 'v1', kind: 'LimitRange', name: 'skerry', spec: limitRangeSpec }),
    inside({ apiVersion: 'v1', kind: 'ResourceQuota', name: 'skerry', spec: { hard: hardLimits(spec) } }),
    ...networkPolicies(surroundings).map(({ name, spec }) =>
      inside({ apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', name, spec }),
    ),
    ...copies,
    serviceAccount(spec, namespace, own),
  ]
}

function ownerOf({ apiVersion, kind, metadata }: KubernetesObject): { ownerReferences?: OwnerReference[] } {
  // Before the API server has named it there is nothing to refer to: a plan shows the objects without.
  return metadata.uid === undefined
    ? {}
    : { ownerReferences: [{ apiVersion, kind, name: metadata.name, uid: metadata.uid, controller: true }] }
}

function namespaceObject(spec: ProjectSpec, namespace: string, own: Record<string, string>, holdsProtected: boolean): KubernetesObject {
  // The operator's init container `init-sysctl` is privileged and the CrateDB container adds SYS_CHROOT (create.py): Pod Security
  // refuses both at any level but this. The namespace's isolation is the network policies and that no tenant can make pods.
  const podSecurity = { 'pod-security.kubernetes.io/enforce': 'privileged' }
  const annotations = spec.deletionProtection || holdsProtected ? { annotations: { [annotation.deletionProtection]: 'true' } } : {}
  const labels = { ...spec.labels, ...podSecurity, ...own }
  return { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace, labels, ...annotations } }
}

/**
 * A ResourceQuota on requests refuses every pod with a container that requests nothing, and the operator's `sql-exporter`,
 * its init containers and its backup job do not. Zero is a request, and keeps the sum what the project asked for.
 * There is no default limit: one guessed here would some day kill a backup for its memory.
 */
const limitRangeSpec = { limits: [{ type: 'Container', defaultRequest: { cpu: '0', memory: '0' } }] }

/** Counts CrateDB objects too, so that one made with kubectl meets the same limit. Storage covers all claims, heap-dump volumes included. */
function hardLimits({ quota = {} }: ProjectSpec): Record<string, string> {
  const { cpu, memory, storage, databases } = quota
  return {
    ...(cpu === undefined ? {} : { 'requests.cpu': String(cpu) }),
    ...(memory === undefined ? {} : { 'requests.memory': memory }),
    ...(storage === undefined ? {} : { 'requests.storage': storage }),
    ...(databases === undefined ? {} : { 'count/cratedbs.cloud.crate.io': String(databases) }),
  }
}

/**
 * The operator's pods run as `default`. Its list of pull secrets is named only where there are some: the list is one value to
 * server-side apply, and on OpenShift another controller fills it.
 */
function serviceAccount(spec: ProjectSpec, namespace: string, own: Record<string, string>): KubernetesObject {
  const imagePullSecrets = spec.imagePullSecrets.map((name) => ({ name: pullSecretCopyName(name) }))
  return {
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: { name: 'default', namespace, labels: own },
    ...(imagePullSecrets.length === 0 ? {} : { imagePullSecrets }),
  }
}
