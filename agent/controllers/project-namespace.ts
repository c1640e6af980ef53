import type { Cache } from '../../shared/kubernetes/cache.ts'
import type { Cluster } from '../../shared/kubernetes/connection.ts'
import { type KubernetesObject, kinds, pathOf } from '../../shared/kubernetes/objects.ts'
import { listObjects, readObject } from '../../shared/kubernetes/read.ts'
import type { Caches } from '../region/caches.ts'
import { cures } from '../region/obstacles/cures.ts'
import { listed } from '../region/obstacles/evidence.ts'
import { readDatabase } from '../resources/cratedb.ts'
import { renderCures } from '../resources/cure.ts'
import { namespaceOf } from '../resources/kind.ts'
import type { NetworkSurroundings } from '../resources/network-policies.ts'
import { projectObjects, pullSecretCopyName } from '../resources/project-objects.ts'
import { isSkerrysNamespace, type ManagedObjects } from './managed-objects.ts'
import type { ProjectOutcome } from './project-status.ts'

export type ProjectNamespaceConfig = {
  /** The agent's own namespace, where the pull secrets come from. */
  namespace: string
  /** Who may reach the databases, and what they may reach. */
  network: Omit<NetworkSurroundings, 'agentNamespace'>
}

export type ProjectNamespaceParts = {
  config: ProjectNamespaceConfig
  cluster: Cluster
  caches: Pick<Caches, 'databases'>
  managed: ManagedObjects
  pullSecrets: Cache<KubernetesObject>
}

/** Makes the namespace have every object that the project needs, and no other of Skerry's. */
export async function furnishNamespace(project: KubernetesObject, parts: ProjectNamespaceParts): Promise<ProjectOutcome> {
  const id = project.metadata.name
  const name = namespaceOf(id)
  const refusal = await refusalOf(id, parts)
  if (refusal) return refusal
  const { managed, caches, config } = parts
  const pullSecrets = [...parts.pullSecrets.values()]
  const holdsProtected = caches.databases.in(name).some((database) => readDatabase(database).deletionProtection)
  const objects = projectObjects(project, { ...config.network, agentNamespace: config.namespace, pullSecrets, holdsProtected })
  for (const object of objects) await managed.ensure(object)
  await removeOthers(project, objects, managed)
  const missing = pullSecretsOf(project).filter((secret) => !pullSecrets.some(({ metadata }) => metadata.name === secret))
  if (missing.length > 0) return pullSecretMissing(missing, config.namespace)
  if (!isCounted(objects, managed.quota(name)?.used)) return quotaNotCounted
  return { ready: true, reason: 'Ready', message: `Namespace ${name} is set up.` }
}

/** Deletes the namespace once it holds no databases. Resolves with the reason to wait; undefined when there is nothing left to delete. */
export async function removeNamespace(id: string, { cluster, managed }: ProjectNamespaceParts): Promise<ProjectOutcome | undefined> {
  const name = namespaceOf(id)
  const namespace = await readObject(cluster, pathOf(kinds.Namespace, undefined, name))
  if (!namespace || !isSkerrysNamespace(namespace, id)) return undefined
  // From the API server: by a stale cache, a database could be deleted with the namespace.
  const databases = await listObjects(cluster, kinds.CrateDB, { namespace: name })
  if (databases.length > 0) return databasesRemain(databases)
  if (namespace.metadata.deletionTimestamp === undefined) await managed.remove({ ...namespace, kind: 'Namespace' })
  return { ready: false, reason: 'NamespaceTerminating', message: `Waits for the end of namespace ${name}.` }
}

/** The pull secrets of a project that exist. */
export function presentPullSecrets(project: KubernetesObject, { pullSecrets, config }: ProjectNamespaceParts): string[] {
  return pullSecretsOf(project).filter((name) => pullSecrets.get(`${config.namespace}/${name}`) !== undefined)
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

/** Deletes objects that Skerry made for this project earlier and that it no longer needs. */
async function removeOthers(project: KubernetesObject, wanted: KubernetesObject[], managed: ManagedObjects): Promise<void> {
  const id = project.metadata.name
  const namespace = namespaceOf(id)
  for (const view of managed.within(namespace)) {
    // Which policies there are depends on the configuration; all other objects are always the same.
    if (view.kind !== 'NetworkPolicy' || view.project !== id) continue
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
