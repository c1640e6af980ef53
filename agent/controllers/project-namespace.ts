import type { Clock } from '../../shared/clock.ts'
import { asProblem } from '../../shared/errors.ts'
import type { Cache } from '../../shared/kubernetes/cache.ts'
import type { Cluster } from '../../shared/kubernetes/connection.ts'
import { type KubernetesObject, kinds, pathOf } from '../../shared/kubernetes/objects.ts'
import { listObjects, readObject } from '../../shared/kubernetes/read.ts'
import type { Caches } from '../region/caches.ts'
import { cures } from '../region/obstacles/cures.ts'
import { listed } from '../region/obstacles/evidence.ts'
import { lackOfRights } from '../region/project-rights.ts'
import { keysToLeave } from '../resources/allowed-keys.ts'
import { type Cure, renderCures } from '../resources/cure.ts'
import { namespaceOf } from '../resources/kind.ts'
import type { NetworkSurroundings } from '../resources/network-policies.ts'
import { readProject } from '../resources/project.ts'
import { type Accounts, agentRole } from '../resources/project-access.ts'
import { projectObjects, pullSecretCopyName } from '../resources/project-objects.ts'
import { whyWithoutCredentials } from '../resources/pull-secret.ts'
import { isSkerrysNamespace, type ManagedObjects } from './managed-objects.ts'
import type { ProjectOutcome } from './project-status.ts'

export type ProjectNamespaceConfig = {
  /** The agent's own namespace, where the pull secrets come from. */
  namespace: string
  /** Who may reach the databases, and what they may reach. */
  network: Omit<NetworkSurroundings, 'agentNamespace'>
  accounts: Accounts
  /** Labels that a project may give its namespace: keys, and prefixes that end with a slash. */
  allowedLabels: readonly string[]
}

/** Of a project whose RoleBinding is not in effect yet. */
export const rightsPending = 'RightsPending'

export type ProjectNamespaceParts = {
  config: ProjectNamespaceConfig
  cluster: Cluster
  caches: Pick<Caches, 'databases'>
  managed: ManagedObjects
  pullSecrets: Cache<KubernetesObject>
  /** The monotonic moment, in milliseconds, since which the agent has had no rights in a project's namespace, by project. */
  withoutRights: Map<string, number>
  clock: Clock
}

/** Makes the namespace have every object that the project needs, and no other of Skerry's. */
export async function furnishNamespace(project: KubernetesObject, parts: ProjectNamespaceParts): Promise<ProjectOutcome> {
  const { managed, config, pullSecrets } = parts
  const id = project.metadata.name
  const name = namespaceOf(id)
  const refusal = await refusalOf(id, parts)
  if (refusal) return refusal
  const { permitted, leftOut } = await withoutForeignLabels(project, parts)
  const objects = objectsOf(permitted, parts)
  const named = pullSecretsOf(project)
  // As the copies are made of them: one that comes while the objects are written is copied only at the next look.
  const found = [...pullSecrets.values()].filter(({ metadata }) => named.includes(metadata.name))
  const pending = await writeObjects(project, objects, parts)
  if (pending) return pending
  const missing = named.filter((secret) => !found.some(({ metadata }) => metadata.name === secret))
  if (missing.length > 0) return pullSecretMissing(missing, config.namespace)
  const empty = found.filter((secret) => whyWithoutCredentials(secret) !== undefined)
  if (empty.length > 0) return pullSecretEmpty(empty, config.namespace)
  if (!isCounted(objects, managed.quota(name)?.used)) return quotaNotCounted
  return { ready: true, reason: 'Ready', message: `Namespace ${name} is set up.${tellLeftOut(leftOut)}` }
}

/**
 * The project without the labels that its namespace does not have and that the site does not allow: the policy skerry-agent-boundary would
 * refuse them, and with them every change of the namespace. Projects of 0.1.0 may have such labels, and kubectl can set them.
 */
async function withoutForeignLabels(
  project: KubernetesObject,
  { cluster, config }: ProjectNamespaceParts,
): Promise<{ permitted: KubernetesObject; leftOut: string[] }> {
  const { labels } = readProject(project)
  if (keysToLeave(labels, undefined, config.allowedLabels).length === 0) return { permitted: project, leftOut: [] }
  // From the API server: by a stale cache, a label that the namespace has could be taken from it for good.
  const namespace = await readObject(cluster, pathOf(kinds.Namespace, undefined, namespaceOf(project.metadata.name)))
  const leftOut = keysToLeave(labels, namespace?.metadata.labels, config.allowedLabels)
  const kept = Object.fromEntries(Object.entries(labels).filter(([key]) => !leftOut.includes(key)))
  return { permitted: { ...project, spec: { ...project.spec, labels: kept } }, leftOut }
}

function tellLeftOut(labels: string[]): string {
  if (labels.length === 0) return ''
  const [are, them] = labels.length === 1 ? ['label', 'it'] : ['labels', 'them']
  return ` It does not get the ${are} ${listed(labels)} of the project: metadata.labels of the agent's configuration does not allow ${them}.`
}

function objectsOf(project: KubernetesObject, { caches, config, pullSecrets: found }: ProjectNamespaceParts): KubernetesObject[] {
  const { network, namespace: agentNamespace, accounts } = config
  const databases = caches.databases.in(namespaceOf(project.metadata.name))
  const pullSecrets = [...found.values()].filter((secret) => whyWithoutCredentials(secret) === undefined)
  return projectObjects(project, { ...network, agentNamespace, accounts, pullSecrets, databases })
}

/** Resolves with the reason to wait, if the agent has no rights in the namespace yet. */
async function writeObjects(
  project: KubernetesObject,
  objects: KubernetesObject[],
  parts: ProjectNamespaceParts,
): Promise<ProjectOutcome | undefined> {
  const { managed } = parts
  // These two the agent may write everywhere; they give it its rights for the rest.
  const isFirst = ({ kind, metadata }: KubernetesObject) => kind === 'Namespace' || metadata.name === agentRole
  for (const object of objects.filter(isFirst)) await managed.ensure(object)
  try {
    for (const object of objects) if (!isFirst(object)) await managed.ensure(object)
    await removeOthers(project, objects, managed)
  } catch (error) {
    const lack = lackOfRights(error)
    if (lack === undefined) throw error
    return mayNotWrite(project.metadata.name, lack, asProblem(error).detail, parts)
  }
  return undefined
}

/**
 * Deletes the namespace once it holds no databases. Until then it keeps everything that databases need, and the agent its rights, without
 * which the API could not delete them. Resolves with the reason to wait; undefined when there is nothing left to delete.
 */
export async function removeNamespace(project: KubernetesObject, parts: ProjectNamespaceParts): Promise<ProjectOutcome | undefined> {
  const { cluster, managed } = parts
  const id = project.metadata.name
  const name = namespaceOf(id)
  const namespace = await readObject(cluster, pathOf(kinds.Namespace, undefined, name))
  if (!namespace || !isSkerrysNamespace(namespace, id)) return undefined
  const stands = namespace.metadata.deletionTimestamp === undefined
  // From the API server: by a stale cache, a database could be deleted with the namespace.
  const databases = await listObjects(cluster, kinds.CrateDB, { namespace: name })
  if (databases.length > 0) {
    const pending = stands ? await keepFurnished(project, parts) : undefined
    return pending ?? databasesRemain(databases)
  }
  if (stands) await managed.remove({ ...namespace, kind: 'Namespace' })
  return { ready: false, reason: 'NamespaceTerminating', message: `Waits for the end of namespace ${name}.` }
}

async function keepFurnished(project: KubernetesObject, parts: ProjectNamespaceParts): Promise<ProjectOutcome | undefined> {
  const { permitted } = await withoutForeignLabels(project, parts)
  return writeObjects(project, objectsOf(permitted, parts), parts)
}

/** The pull secrets of a project that are copied: now, or before their source was emptied or deleted. */
export function presentPullSecrets(project: KubernetesObject, { pullSecrets, config }: ProjectNamespaceParts): string[] {
  const before: string[] = project.status?.pullSecrets ?? []
  return pullSecretsOf(project).filter((name) => {
    const source = pullSecrets.get(`${config.namespace}/${name}`)
    return before.includes(name) || (source !== undefined && whyWithoutCredentials(source) === undefined)
  })
}

/** Why the namespace cannot be used, if so: it belongs to somebody else, or is being deleted. */
async function refusalOf(id: string, { managed, cluster }: ProjectNamespaceParts): Promise<ProjectOutcome | undefined> {
  const name = namespaceOf(id)
  const seen = managed.namespace(name)
  if (seen?.project === id && seen.metadata.deletionTimestamp === undefined) return undefined
  const namespace = await readObject(cluster, pathOf(kinds.Namespace, undefined, name))
  if (!namespace) return undefined
  if (!isSkerrysNamespace(namespace, id)) {
    const cure = renderCures([cures.NamespaceNotOwned.handOver({ namespace: name, project: id })])
    const message = `Namespace ${name} exists and was not made by Skerry, so it is left alone. ${cure}`
    return { ready: false, reason: 'NamespaceNotOwned', message }
  }
  if (namespace.metadata.deletionTimestamp === undefined) return undefined
  const message = `Somebody is deleting namespace ${name}; it is created again once it is gone.`
  return { ready: false, reason: 'NamespaceTerminating', message }
}

function pullSecretMissing(missing: string[], namespace: string): ProjectOutcome {
  const cure = renderCures([cures.SecretMissing.pull({ namespace, name: missing[0] ?? '' })])
  const message = `Pull secret ${listed(missing)} does not exist in namespace ${namespace}, or is not of type kubernetes.io/dockerconfigjson. ${cure}`
  return { ready: false, reason: 'PullSecretMissing', message }
}

function pullSecretEmpty(secrets: KubernetesObject[], namespace: string): ProjectOutcome {
  const each = secrets.map((secret) => `Pull secret ${secret.metadata.name} ${whyWithoutCredentials(secret)}`)
  const message = `${listed(each)}. It is in namespace ${namespace}, and is copied as soon as it holds them: see to what fills it, or replace it.`
  return { ready: false, reason: 'PullSecretEmpty', message }
}

const varying = ['NetworkPolicy', 'Role', 'RoleBinding']

/** Deletes objects that Skerry made for this project earlier and that it no longer needs. */
async function removeOthers(project: KubernetesObject, wanted: KubernetesObject[], managed: ManagedObjects): Promise<void> {
  const id = project.metadata.name
  const namespace = namespaceOf(id)
  for (const view of managed.within(namespace)) {
    // These depend on the configuration and on the databases; all other objects are always the same.
    if (!varying.includes(view.kind) || view.project !== id) continue
    if (!wanted.some(({ kind, metadata }) => kind === view.kind && metadata.name === view.metadata.name)) await managed.remove(view)
  }
  const copies: string[] = project.status?.pullSecrets ?? []
  for (const name of copies) {
    if (!pullSecretsOf(project).includes(name))
      await managed.remove({ kind: 'Secret', metadata: { name: pullSecretCopyName(name), namespace } })
  }
}

function databasesRemain(databases: KubernetesObject[]): ProjectOutcome {
  const names = databases.map(({ metadata }) => metadata.name)
  const leaving = databases.every(({ metadata }) => metadata.deletionTimestamp !== undefined)
  const message = leaving ? `Waits for the end of ${listed(names)}.` : `Cannot be deleted while it holds databases: ${listed(names)}.`
  return { ready: false, reason: leaving ? 'DatabasesLeaving' : 'DatabasesRemain', message }
}

/** Since the agent has had no rights in the namespace of a project, in milliseconds. The first call counts as the moment. */
export function waitedForRights(id: string, { withoutRights, clock }: Pick<ProjectNamespaceParts, 'withoutRights' | 'clock'>): number {
  const now = clock.monotonic()
  const since = withoutRights.get(id) ?? now
  withoutRights.set(id, since)
  return now - since
}

/** After as many milliseconds, a RoleBinding that is not in effect is no matter of time. */
const rightsPatienceMs = 30_000

/** An API server learns of a RoleBinding by a watch of its own, mostly within milliseconds. Until then it refuses what the RoleBinding allows. */
function mayNotWrite(id: string, lack: 'pending' | 'no-role', detail: string, parts: ProjectNamespaceParts): ProjectOutcome {
  const namespace = namespaceOf(id)
  const { wait, compare, install } = cures.RightsPending
  const told = (message: string, cure: Cure) => ({ ready: false, reason: rightsPending, message: `${message} ${renderCures([cure])}` })
  const waitedMs = waitedForRights(id, parts)
  if (lack === 'no-role')
    return told(
      `The ClusterRole ${agentRole} does not exist. It gives the agent its rights in namespace ${namespace}. ${detail}.`,
      install(),
    )
  const binding = `the RoleBinding ${agentRole} there`
  if (waitedMs > rightsPatienceMs)
    return told(`The agent may not write in namespace ${namespace}, although ${binding} should allow it. ${detail}.`, compare())
  const pending = `The agent may not write in namespace ${namespace} yet; ${binding} allows it, and takes effect in a moment.`
  return told(`${pending} ${detail}.`, wait())
}

/** Until a quota is counted the API server refuses to create the objects that it limits: "status unknown for quota". */
const quotaNotCounted: ProjectOutcome = {
  ready: false,
  reason: 'QuotaNotCounted',
  message: `Kubernetes has not counted yet what the quota limits. ${renderCures([cures.QuotaNotCounted.quotas()])}`,
}

function isCounted(wanted: KubernetesObject[], used: Record<string, string> = {}): boolean {
  const hard: Record<string, string> = wanted.find(({ kind }) => kind === 'ResourceQuota')?.spec.hard ?? {}
  return Object.keys(hard).every((resource) => used[resource] !== undefined)
}

function pullSecretsOf({ spec }: KubernetesObject): string[] {
  return spec?.imagePullSecrets ?? []
}
