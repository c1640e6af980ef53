import type { Clock } from '../../shared/clock.ts'
import { isProblem, Problem } from '../../shared/errors.ts'
import { type Cache, createCache } from '../../shared/kubernetes/cache.ts'
import type { Cluster } from '../../shared/kubernetes/connection.ts'
import type { Leadership } from '../../shared/kubernetes/lease.ts'
import { type KubernetesObject, kinds } from '../../shared/kubernetes/objects.ts'
import type { Part } from '../../shared/lifecycle.ts'
import type { Log } from '../../shared/log.ts'
import { createQueue } from '../../shared/queue.ts'
import type { Caches } from '../region/caches.ts'
import type { Obstacles } from '../region/obstacles/index.ts'
import { readDatabase } from '../resources/cratedb.ts'
import { projectOf } from '../resources/kind.ts'
import { createManagedObjects } from './managed-objects.ts'
import { createReconciler, type ProjectControllerConfig } from './project-reconcile.ts'

export type ProjectControllerParts = {
  cluster: Cluster
  caches: Caches
  lease: Leadership
  obstacles: Obstacles
  clock: Clock
  log: Log
}

/** Makes namespaces of projects. `depth` is how many projects wait for a free hand. */
export type ProjectController = Part & { readonly depth: number }

const retry = { baseMs: 500, capMs: 60_000 }

/**
 * The project controller: for each `Project` a namespace with its limits, its isolation and its pull secrets, kept so.
 *
 * It looks at the whole present state, whatever woke it, and acts only while the Lease is held. Ready once it follows what it
 * makes.
 */
export function createProjectController(config: ProjectControllerConfig, parts: ProjectControllerParts): ProjectController {
  const { caches, cluster, clock, lease, log: parentLog } = parts
  const log = parentLog.child({ controller: 'projects' })
  let stopping = false
  const acts = () => lease.isLeader() && !stopping
  /** Called before each write, so that a stop, or the loss of the Lease, takes effect between two of them. */
  const mustLead = () => {
    if (!acts()) throw new Problem('not-ready', 'The Lease is no longer held.')
  }
  const managed = createManagedObjects({ cluster, clock, log, mustLead })
  const pullSecrets: Cache<KubernetesObject> = createCache(
    // Pull secrets alone: the operations' Secrets, in the same namespace, are nobody's to keep in memory.
    { kind: kinds.Secret, namespace: config.namespace, fieldSelector: 'type=kubernetes.io/dockerconfigjson' },
    { cluster, clock, log },
  )
  const reconcile = createReconciler(config, { ...parts, managed, pullSecrets, mustLead, log })
  const queue = createQueue({ name: 'projects', parallelism: config.parallelism, retry }, handle, { clock, log })
  const subscriptions: (() => void)[] = []

  async function handle(id: string): Promise<number | undefined> {
    if (!acts()) return undefined
    try {
      return await reconcile(id)
    } catch (error) {
      if (!acts()) return undefined // it is for the next leader to try again
      // Somebody else wrote what was to be written, and the cache will soon have it.
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

  return {
    name: 'project controller',
    get depth() {
      return queue.depth
    },
    async start(signal) {
      subscriptions.push(
        caches.projects.subscribe(({ object, previous }) => {
          // Its own status comes back as a change too.
          if (isNews(object, previous)) queue.add(object.metadata.name)
        }),
        caches.databases.subscribe(({ type, object, previous }) => {
          // How many there are, and whether one is protected, is all that a project says of its databases.
          if (type === 'changed' && isProtected(object) === isProtected(previous)) return
          const project = projectOf(object.metadata.namespace ?? '')
          if (project !== undefined) queue.add(project)
        }),
        managed.subscribe((project) => queue.add(project)),
        pullSecrets.subscribe(({ object }) => addUsersOf(object.metadata.name)),
        lease.onChange((leads) => leads && addAll()),
      )
      await Promise.all([managed.start(signal), pullSecrets.start(signal)])
      await queue.start(signal)
      addAll()
    },
    async stop(deadline) {
      stopping = true
      for (const unsubscribe of subscriptions) unsubscribe()
      await queue.stop(deadline)
      await Promise.all([managed.stop(deadline), pullSecrets.stop(deadline)])
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
