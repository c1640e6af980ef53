import type { KubernetesObject, OwnerReference } from '../../shared/kubernetes/objects.ts'
import { namespaceOf } from './kind.ts'
import { annotation, label, managedBy } from './labels.ts'
import { type NetworkSurroundings, networkPolicies } from './network-policies.ts'
import { type ProjectSpec, readProject } from './project.ts'

/** Everything besides the project on which its objects depend. */
export type ProjectSurroundings = NetworkSurroundings & {
  /** The pull secrets in the agent's namespace. Those that the project names are copied. */
  pullSecrets: KubernetesObject[]
  /** Whether a database in the project has deletionProtection: then the namespace is protected too. */
  holdsProtected: boolean
}

/** The name of the copy of a pull secret. The prefix avoids a conflict with the Secrets of databases, such as `user-password-…`. */
export function pullSecretCopyName(name: string): string {
  return `skerry-pull-${name}`.slice(0, 253)
}

/**
 * The objects that the project controller creates for a `Project`, and restores when they drift, in the order in which they must be written.
 *
 * All but two have an owner reference to the Project, so that nothing stays behind. The namespace has none: if a Project disappeared without
 * its finalizer, for instance because somebody deleted the CRD of projects, the garbage collector would delete the namespace and every
 * database in it. The ServiceAccount `default` belongs to Kubernetes.
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
  // A plan shows the objects before the Project has a uid: then there is nothing to refer to.
  return metadata.uid === undefined
    ? {}
    : { ownerReferences: [{ apiVersion, kind, name: metadata.name, uid: metadata.uid, controller: true }] }
}

function namespaceObject(spec: ProjectSpec, namespace: string, own: Record<string, string>, holdsProtected: boolean): KubernetesObject {
  // The operator's init container `init-sysctl` is privileged, and the CrateDB container adds SYS_CHROOT (create.py). Pod Security accepts
  // both only at this level. The namespace is isolated by the network policies, and no tenant can create pods.
  const podSecurity = { 'pod-security.kubernetes.io/enforce': 'privileged' }
  const annotations = spec.deletionProtection || holdsProtected ? { annotations: { [annotation.deletionProtection]: 'true' } } : {}
  const labels = { ...spec.labels, ...podSecurity, ...own }
  return { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace, labels, ...annotations } }
}

/**
 * A ResourceQuota on requests refuses every pod with a container without requests, such as the operator's `sql-exporter`, its init
 * containers and its backup job. Zero counts as a request, and does not change the sum. There is no default limit: a guessed one could kill a
 * backup that needs more memory.
 */
const limitRangeSpec = { limits: [{ type: 'Container', defaultRequest: { cpu: '0', memory: '0' } }] }

/** CrateDB objects are counted too, so that the limit also applies to those created with kubectl. Storage includes heap-dump volumes. */
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
 * The operator's pods run as `default`. The list of pull secrets is set only if there are any: server-side apply treats it as one value, and
 * on OpenShift another controller fills it.
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
