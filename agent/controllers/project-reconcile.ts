import type { Clock } from '../../shared/clock.ts'
import { asProblem, isProblem } from '../../shared/errors.ts'
import type { Cache } from '../../shared/kubernetes/cache.ts'
import type { Cluster } from '../../shared/kubernetes/connection.ts'
import { unlessGone } from '../../shared/kubernetes/failures.ts'
import { type Kind, type KubernetesObject, kinds, pathOf, pathOfObject } from '../../shared/kubernetes/objects.ts'
import type { Log } from '../../shared/log.ts'
import type { Caches } from '../region/caches.ts'
import { cures } from '../region/obstacles/cures.ts'
import { listed } from '../region/obstacles/evidence.ts'
import type { Obstacles } from '../region/obstacles/index.ts'
import { readDatabase } from '../resources/cratedb.ts'
import { renderCures } from '../resources/cure.ts'
import { namespaceOf } from '../resources/kind.ts'
import { fieldManager, finalizer } from '../resources/labels.ts'
import type { NetworkSurroundings } from '../resources/network-policies.ts'
import { projectObjects, pullSecretCopyName } from '../resources/project-objects.ts'
import { isSkerrysNamespace, type ManagedObjects, secretsFreshMs } from './managed-objects.ts'
import { type ProjectOutcome, projectStatus } from './project-status.ts'

export type ProjectControllerConfig = {
  /** The agent's own namespace, where the pull secrets come from. */
  namespace: string
  /** Who may reach the databases, and what they may reach. */
  network: Omit<NetworkSurroundings, 'agentNamespace'>
  /** Projects worked on at once. */
  parallelism: number
  /** How often a project that is not as it should be is looked at although nothing was heard of it, in milliseconds. */
  recheckMs: number
}

export type ReconcilerParts = {
  cluster: Cluster
  caches: Caches
  managed: ManagedObjects
  pullSecrets: Cache<KubernetesObject>
  obstacles: Obstacles
  mustLead: () => void
  clock: Clock
  log: Log
}

/** Looks at one project and does what there is to do. Resolves with when to look again, in milliseconds. */
export type Reconcile = (id: string) => Promise<number | undefined>

export function createReconciler(config: ProjectControllerConfig, parts: ReconcilerParts): Reconcile {
  const { cluster, caches, managed, pullSecrets, obstacles, mustLead, clock, log } = parts
  const surroundings = { ...config.network, agentNamespace: config.namespace }

  async function reconcile(id: string): Promise<number | undefined> {
    const project = caches.projects.get(id)
    if (!project) return undefined
    const leaves = project.metadata.deletionTimestamp !== undefined
    if (leaves && !holdsOn(project)) return undefined
    try {
      const outcome = leaves ? await dismantle(project) : await furnish(await hold(project))
      if (outcome === 'gone') return undefined
      await writeStatus(project, outcome)
      return outcome.ready ? secretsFreshMs : config.recheckMs
    } catch (error) {
      await tellFailure(project, error)
      throw error
    }
  }

  /** What was begun must be undone before the project can go: so the finalizer stands before anything else does. */
  async function hold(project: KubernetesObject): Promise<KubernetesObject> {
    if (holdsOn(project)) return project
    return setFinalizers(project, [...(project.metadata.finalizers ?? []), finalizer])
  }

  async function setFinalizers(project: KubernetesObject, finalizers: string[]): Promise<KubernetesObject> {
    mustLead()
    const { resourceVersion } = project.metadata
    const changed = await cluster.request<KubernetesObject>({
      method: 'PATCH',
      path: pathOfObject(project),
      query: { fieldManager },
      contentType: 'application/merge-patch+json',
      body: { metadata: { resourceVersion, finalizers } }, // a list is replaced as a whole: only in the version that was read
    })
    if (changed.metadata.deletionTimestamp === undefined || finalizers.length > 0) caches.projects.put(changed)
    return changed
  }

  async function furnish(project: KubernetesObject): Promise<ProjectOutcome> {
    const id = project.metadata.name
    const refusal = await namespaceRefusal(id)
    if (refusal) return refusal
    const secrets = [...pullSecrets.values()]
    const holdsProtected = caches.databases.in(namespaceOf(id)).some((database) => readDatabase(database).deletionProtection)
    const objects = projectObjects(project, { ...surroundings, pullSecrets: secrets, holdsProtected })
    for (const object of objects) await managed.ensure(object)
    await removeOthers(project, objects)
    const missing = pullSecretsOf(project).filter((name) => !secrets.some(({ metadata }) => metadata.name === name))
    if (missing.length > 0) return pullSecretMissing(missing)
    if (!isCounted(objects, managed.quota(namespaceOf(id))?.used)) return quotaNotCounted
    return { ready: true, reason: 'Ready', message: `Namespace ${namespaceOf(id)} is set up.` }
  }

  /** Why the namespace cannot be used, if so: it is somebody else's, or on its way out. */
  async function namespaceRefusal(id: string): Promise<ProjectOutcome | undefined> {
    const name = namespaceOf(id)
    const seen = managed.namespace(name)
    if (seen?.project === id && seen.metadata.deletionTimestamp === undefined) return undefined
    const namespace = await readNamespace(name)
    if (!namespace) return undefined
    if (!isSkerrysNamespace(namespace, id)) {
      const cure = renderCures([cures.NamespaceNotOwned.handOver({ namespace: name, project: id })])
      const message = `Namespace ${name} exists and was not made by Skerry, so it is left alone. ${cure}`
      return { ready: false, reason: 'NamespaceNotOwned', message }
    }
    if (namespace.metadata.deletionTimestamp === undefined) return undefined
    const message = `Namespace ${name} is being deleted by somebody; it is made anew once it is gone.`
    return { ready: false, reason: 'NamespaceTerminating', message }
  }

  function pullSecretMissing(missing: string[]): ProjectOutcome {
    const { namespace } = config
    const cure = renderCures([cures.SecretMissing.pull({ namespace, name: missing[0] ?? '' })])
    const message = `Pull secret ${listed(missing)} does not exist in namespace ${namespace}, or is not of type kubernetes.io/dockerconfigjson. ${cure}`
    return { ready: false, reason: 'PullSecretMissing', message }
  }

  /** Takes away what Skerry made for this project earlier and what it does not need any more. */
  async function removeOthers(project: KubernetesObject, wanted: KubernetesObject[]): Promise<void> {
    const id = project.metadata.name
    const namespace = namespaceOf(id)
    for (const view of managed.within(namespace)) {
      // Which policies there are depends on the configuration; the others are always the same.
      if (view.kind !== 'NetworkPolicy' || view.project !== id) continue
      if (!wanted.some(({ kind, metadata }) => kind === view.kind && metadata.name === view.metadata.name)) await managed.remove(view)
    }
    const copies: string[] = project.status?.pullSecrets ?? []
    for (const name of copies) {
      if (!pullSecretsOf(project).includes(name))
        await managed.remove({ kind: 'Secret', metadata: { name: pullSecretCopyName(name), namespace } })
    }
  }

  /** The namespace goes once the databases are gone; then the project may. */
  async function dismantle(project: KubernetesObject): Promise<ProjectOutcome | 'gone'> {
    const id = project.metadata.name
    const name = namespaceOf(id)
    if (!(await stands(project))) return 'gone'
    const namespace = await readNamespace(name)
    if (namespace && isSkerrysNamespace(namespace, id)) {
      // Asked of the API server itself: behind a cache that lags, a database could go with the namespace unasked.
      const { items: databases } = await cluster.request<{ items: KubernetesObject[] }>({
        method: 'GET',
        path: pathOf(kinds.CrateDB, name),
      })
      if (databases.length > 0) {
        const names = databases.map(({ metadata }) => metadata.name)
        const leaving = databases.every(({ metadata }) => metadata.deletionTimestamp !== undefined)
        const message = leaving ? `Waits for the end of ${listed(names)}.` : `Cannot go while it holds databases: ${listed(names)}.`
        return { ready: false, reason: leaving ? 'DatabasesLeaving' : 'DatabasesRemain', message }
      }
      if (namespace.metadata.deletionTimestamp === undefined) await managed.remove({ ...namespace, kind: 'Namespace' })
      return { ready: false, reason: 'NamespaceTerminating', message: `Waits for the end of namespace ${name}.` }
    }
    await setFinalizers(
      project,
      (project.metadata.finalizers ?? []).filter((each) => each !== finalizer),
    )
    log.info({ project: id }, 'project dismantled')
    return 'gone'
  }

  /** Whether it is still that project: behind a cache that lags, the namespace could be one's that was made anew under its name. */
  async function stands({ metadata: { name, uid } }: KubernetesObject): Promise<boolean> {
    return (await read(kinds.Project, name))?.metadata.uid === uid
  }

  const readNamespace = (name: string) => read(kinds.Namespace, name)

  async function read(kind: Kind, name: string): Promise<KubernetesObject | undefined> {
    return unlessGone(cluster.request<KubernetesObject>({ method: 'GET', path: pathOf(kind, undefined, name) }))
  }

  /** @param seen the project as the outcome is of it: of one that was changed meanwhile it says nothing */
  async function writeStatus({ metadata: seen }: KubernetesObject, outcome: ProjectOutcome): Promise<void> {
    const id = seen.name
    const project = caches.projects.get(id)
    if (!project || project.metadata.uid !== seen.uid || project.metadata.generation !== seen.generation) return
    const namespace = namespaceOf(id)
    const blockers = outcome.ready ? [] : await obstacles.of({ kind: 'project', project: id })
    const status = projectStatus(project, {
      outcome,
      namespace,
      databases: caches.databases.in(namespace).length,
      used: managed.quota(namespace)?.used,
      pullSecrets: pullSecretsOf(project).filter((name) => pullSecrets.get(`${config.namespace}/${name}`) !== undefined),
      // It is this very status that the obstacle reads.
      blockers: blockers.filter(({ code }) => code !== 'ProjectNotReady'),
      now: `${new Date(clock.now()).toISOString().slice(0, 19)}Z`,
    })
    if (status === project.status) return
    mustLead()
    const path = `${pathOfObject(project)}/status`
    caches.projects.put(
      await cluster.request<KubernetesObject>({ method: 'PUT', path, query: { fieldManager }, body: { ...project, status } }),
    )
    const before = project.status?.conditions?.[0]?.reason
    if (before !== outcome.reason) log.info({ project: id, from: before, to: outcome.reason, message: outcome.message }, 'project advanced')
  }

  /** What failed is told where people look; whether that can be written is another matter. */
  async function tellFailure(project: KubernetesObject, error: unknown): Promise<void> {
    if (isProblem(error, 'conflict', 'not-ready', 'cluster-unreachable')) return
    const problem = asProblem(error)
    await writeStatus(project, { ready: false, reason: 'NotApplied', message: `${problem.detail} ${problem.action}` }).catch(
      (reason: unknown) => {
        log.debug({ project: project.metadata.name, err: reason }, 'status not written')
      },
    )
  }

  return reconcile
}

/** Until a quota is counted the API server refuses to create whatever it limits: "status unknown for quota". */
const quotaNotCounted: ProjectOutcome = {
  ready: false,
  reason: 'QuotaNotCounted',
  message: `Kubernetes has not counted yet what the quota limits. ${renderCures([cures.QuotaNotCounted.quotas()])}`,
}

function isCounted(wanted: KubernetesObject[], used: Record<string, string> = {}): boolean {
  const hard: Record<string, string> = wanted.find(({ kind }) => kind === 'ResourceQuota')?.spec.hard ?? {}
  return Object.keys(hard).every((resource) => used[resource] !== undefined)
}

function holdsOn({ metadata }: KubernetesObject): boolean {
  return metadata.finalizers?.includes(finalizer) ?? false
}

function pullSecretsOf({ spec }: KubernetesObject): string[] {
  return spec?.imagePullSecrets ?? []
}
