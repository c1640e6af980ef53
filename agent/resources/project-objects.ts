import { type KubernetesObject, kinds, type OwnerReference } from '../../shared/kubernetes/objects.ts'
import { readDatabase } from './cratedb.ts'
import { namespaceOf } from './kind.ts'
import { annotation, label, managedBy } from './labels.ts'
import { type NetworkSurroundings, networkPolicies } from './network-policies.ts'
import { type ProjectSpec, readProject } from './project.ts'
import { type Accounts, agentBinding, monitorAccess } from './project-access.ts'

/** Everything besides the project on which its objects depend. */
export type ProjectSurroundings = NetworkSurroundings & {
  /** The pull secrets in the agent's namespace. Those that the project names are copied. */
  pullSecrets: KubernetesObject[]
  /** The CrateDBs in the project. If one has deletionProtection, the namespace is protected too. */
  databases: KubernetesObject[]
  accounts: Accounts
}

/** The name of the copy of a pull secret. The prefix avoids a conflict with the Secrets of databases, such as `user-password-…`. */
export function pullSecretCopyName(name: string): string {
  return `skerry-pull-${name}`.slice(0, 253)
}

/**
 * The objects that the project controller creates for a `Project`, and restores when they drift, in the order in which they must be written.
 *
 * None has an owner reference to the Project: what is in the namespace goes with the namespace, which the controller deletes. The garbage
 * collector would delete it too early: in a deletion in the foreground (`kubectl delete --cascade=foreground`, or Argo CD) at once, although
 * the Project waits for its databases, which then have neither isolation nor an agent with rights. If a Project disappeared without its
 * finalizer, a namespace with an owner would even be deleted with every database in it.
 *
 * What the monitor may read of a database belongs to the CrateDB and goes with it.
 */
export function projectObjects(project: KubernetesObject, surroundings: ProjectSurroundings): KubernetesObject[] {
  const spec = readProject(project)
  const namespace = namespaceOf(spec.id)
  const own = { ...managedBy, [label.project]: spec.id }
  const inside = ({ apiVersion, kind, name, ...rest }: Inside, owner = {}): KubernetesObject => {
    return { apiVersion, kind, metadata: { name, namespace, labels: own, ...owner }, ...rest }
  }
  const { agentNamespace, databases, accounts } = surroundings
  const copies = spec.imagePullSecrets.flatMap((name) => {
    const source = surroundings.pullSecrets.find((secret) => secret.metadata.name === name)
    return source
      ? [inside({ apiVersion: 'v1', kind: 'Secret', name: pullSecretCopyName(name), type: source.type, data: source.data })]
      : []
  })
  return [
    namespaceObject(spec, namespace, own, databases),
    inside(agentBinding(agentNamespace, accounts)),
    inside({ apiVersion: 'v1', kind: 'LimitRange', name: 'skerry', spec: limitRangeSpec }),
    inside({ apiVersion: 'v1', kind: 'ResourceQuota', name: 'skerry', spec: { hard: hardLimits(spec) } }),
    ...networkPolicies(surroundings).map(({ name, spec }) =>
      inside({ apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', name, spec }),
    ),
    ...copies,
    serviceAccount(spec, namespace, own),
    ...databases.flatMap((database) =>
      monitorAccess(database, agentNamespace, accounts).map((object) => inside(object, ownedBy(database))),
    ),
  ]
}

type Inside = Omit<KubernetesObject, 'metadata'> & { apiVersion: string; kind: string; name: string }

function ownedBy({ metadata: { name, uid } }: KubernetesObject): { ownerReferences?: OwnerReference[] } {
  const { apiVersion, kind } = kinds.CrateDB
  return uid === undefined ? {} : { ownerReferences: [{ apiVersion, kind, name, uid, controller: true }] }
}

function namespaceObject(
  spec: ProjectSpec,
  namespace: string,
  own: Record<string, string>,
  databases: KubernetesObject[],
): KubernetesObject {
  // The operator's init container `init-sysctl` is privileged, and the CrateDB container adds SYS_CHROOT (create.py). Pod Security accepts
  // both only at this level. The namespace is isolated by the network policies, and no tenant can create pods.
  const podSecurity = { 'pod-security.kubernetes.io/enforce': 'privileged' }
  const isProtected = spec.deletionProtection || databases.some((database) => readDatabase(database).deletionProtection)
  const annotations = isProtected ? { annotations: { [annotation.deletionProtection]: 'true' } } : {}
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
