import { isProblem } from '../../shared/errors.ts'
import { type Cache, createCache } from '../../shared/kubernetes/cache.ts'
import { type KubernetesObject, kinds } from '../../shared/kubernetes/objects.ts'
import { type Part, together } from '../../shared/lifecycle.ts'
import { type LeaderTools, Queue } from '../operations/queue.ts'
import type { Caches } from '../region/caches.ts'
import type { Obstacles } from '../region/obstacles/index.ts'
import { readDatabase } from '../resources/cratedb.ts'
import { projectOf } from '../resources/kind.ts'
import { createManagedObjects } from './managed-objects.ts'
import type { ProjectNamespaceConfig } from './project-namespace.ts'
import { reconcileProject } from './project-reconcile.ts'

export type ProjectControllerConfig = ProjectNamespaceConfig & {
  /** Projects that are processed at the same time. */
  parallelism: number
  /** Interval at which a project that is not ready is checked without a change, in milliseconds. */
  recheckMs: number
}

const retry = { baseMs: 500, capMs: 60_000 }

/**
 * The project controller: creates and maintains for each `Project` a namespace with its limits, its isolation and its pull secrets.
 *
 * Whatever woke it, it looks at the whole present state. Ready once it follows the objects that it creates.
 */
export function createProjectController(
  config: ProjectControllerConfig,
  parts: LeaderTools & { caches: Caches; obstacles: Obstacles },
): Part {
  const { caches, cluster, clock, lease, log: parentLog } = parts
  const log = parentLog.child({ controller: 'projects' })
  const tools = { cluster, clock, log }
  const { parallelism } = config
  const queue = new Queue({ name: 'project controller', parallelism, retry, handle, subscribe, addAll }, { lease, clock, log })
  const managed = createManagedObjects({ ...tools, mustAct: queue.mustAct })
  const pullSecrets: Cache<KubernetesObject> = createCache(
    // Only pull secrets: the Secrets of operations, in the same namespace, must not be kept in memory.
    { kind: kinds.Secret, namespace: config.namespace, fieldSelector: 'type=kubernetes.io/dockerconfigjson' },
    tools,
  )
  const following = together('objects that the project controller follows', [managed, pullSecrets])
  const withoutRights = new Map<string, number>()
  const reconciling = { ...parts, config, managed, pullSecrets, withoutRights, recheckMs: config.recheckMs, mustAct: queue.mustAct, log }

  async function handle(id: string): Promise<number | undefined> {
    try {
      return await reconcileProject(id, reconciling)
    } catch (error) {
      // Another writer came first, and the cache will soon have its version.
      if (isProblem(error, 'conflict')) return Math.ceil(50 + Math.random() * 200)
      throw error
    }
  }

  function addAll(): void {
    for (const { metadata } of caches.projects.values()) queue.add(metadata.name)
  }

  function addUsersOf(secret: string): void {
    for (const { metadata, spec } of caches.projects.values()) if (spec?.imagePullSecrets?.includes(secret)) queue.add(metadata.name)
  }

  function subscribe() {
    return [
      caches.projects.subscribe(({ object, previous }) => {
        // The status written here comes back as a change too.
        if (isNews(object, previous)) queue.add(object.metadata.name)
      }),
      caches.databases.subscribe(({ type, object, previous }) => {
        // A project's objects depend on which databases it has, and on whether one is protected.
        if (type === 'changed' && isProtected(object) === isProtected(previous) && object.metadata.uid === previous.metadata.uid) return
        const project = projectOf(object.metadata.namespace ?? '')
        if (project !== undefined) queue.add(project)
      }),
      caches.retained.subscribe(({ object, previous }) => {
        if (object.metadata.generation !== previous?.metadata.generation) queue.add(object.spec.project)
      }),
      managed.subscribe((project) => queue.add(project)),
      pullSecrets.subscribe(({ object }) => addUsersOf(object.metadata.name)),
    ]
  }

  return {
    name: queue.name,
    async start(signal) {
      await following.start(signal)
      await queue.start()
    },
    async stop(deadline) {
      await queue.stop()
      await following.stop(deadline)
    },
  }
}

function isProtected(database: KubernetesObject): boolean {
  return readDatabase(database).deletionProtection
}

function isNews({ metadata }: KubernetesObject, previous: KubernetesObject | undefined): boolean {
  return (
    metadata.generation !== previous?.metadata.generation ||
    metadata.deletionTimestamp !== previous?.metadata.deletionTimestamp ||
    metadata.finalizers?.length !== previous?.metadata.finalizers?.length
  )
}
