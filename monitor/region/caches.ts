import { type Cache, type CacheTools, createCache } from '../../shared/kubernetes/cache.ts'
import { kinds } from '../../shared/kubernetes/objects.ts'
import { createKubernetesVersion, type KubernetesVersion } from '../../shared/kubernetes/version.ts'
import type { Part } from '../../shared/lifecycle.ts'
import { limitConcurrency } from '../../shared/limit-concurrency.ts'
import { type SparkplugNode, sparkplugNodeKind, sparkplugNodeView } from '../sparkplug/sparkplug-node.ts'
import type { ComponentConfig } from './config.ts'
import { OptionalCache } from './optional-cache.ts'
import { createWatchedSecrets, type WatchedSecrets } from './secrets.ts'
import {
  componentLabel,
  type DatabaseView,
  type DeploymentView,
  databaseView,
  deploymentView,
  type HostView,
  hostView,
  type PodView,
  type ProjectView,
  podView,
  projectView,
  type RegistrationView,
  registrationView,
  type ServiceView,
  serviceView,
} from './views.ts'

/** Everything that the monitor watches in the cluster, each object with the few fields that it needs. */
export type MonitorCaches = {
  hosts: Cache<HostView>
  projects: OptionalCache<ProjectView>
  databases: OptionalCache<DatabaseView>
  pods: Cache<PodView>
  deployments: Cache<DeploymentView>
  services: Cache<ServiceView>
  sparkplugNodes: OptionalCache<SparkplugNode>
  /** How the region stands with its cloud: one object, or none. */
  registrations: OptionalCache<RegistrationView>
  secrets: WatchedSecrets
  version: KubernetesVersion
}

/** The caches that hold a collection. */
export type Collection = Exclude<keyof MonitorCaches, 'secrets' | 'version'>

/** The collections, in the order in which they are read. */
export const collections: readonly Collection[] = [
  'hosts',
  'projects',
  'databases',
  'pods',
  'deployments',
  'services',
  'sparkplugNodes',
  'registrations',
]

/**
 * What is watched. `namespace`: that of Skerry, `skerry` when left out. `lookMs`: how often to look whether a missing kind has been installed;
 * ten seconds when left out.
 */
export type CachesSettings = { components: readonly ComponentConfig[]; namespace?: string; lookMs?: number }

/** A database that the agent makes to rehearse a restore comes and goes: it is neither checked nor published. */
const notOfRehearsals = '!skerry.dev/rehearsal'

/** Deployments and Services are those of the components, found by their label in all namespaces. */
export function createMonitorCaches({ components, namespace = 'skerry', lookMs }: CachesSettings, given: CacheTools): MonitorCaches {
  const tools = { ...given, limitReads: limitConcurrency(1) }
  const labels = components.map(({ name, label = name }) => label)
  // A database may have the name of a component, and its Services have that name in the same label.
  const labelSelector = `${componentLabel} in (${labels.length === 0 ? 'none' : labels.join(',')}),app.kubernetes.io/part-of!=cratedb`
  const sparkplugNodes = new OptionalCache<SparkplugNode>({ kind: sparkplugNodeKind, view: sparkplugNodeView, lookMs }, tools)
  return {
    hosts: createCache<HostView>({ kind: kinds.Node, pageSize: 50, view: hostView }, tools),
    projects: new OptionalCache<ProjectView>({ kind: kinds.Project, view: projectView, lookMs }, tools),
    databases: new OptionalCache<DatabaseView>(
      { kind: kinds.CrateDB, labelSelector: notOfRehearsals, pageSize: 50, view: databaseView, lookMs },
      tools,
    ),
    pods: createCache<PodView>({ kind: kinds.Pod, pageSize: 50, view: podView }, tools),
    deployments: createCache<DeploymentView>({ kind: kinds.Deployment, labelSelector, pageSize: 50, view: deploymentView }, tools),
    services: createCache<ServiceView>({ kind: kinds.Service, labelSelector, view: serviceView }, tools),
    sparkplugNodes,
    registrations: new OptionalCache<RegistrationView>(
      { kind: kinds.Registration, namespace, fieldSelector: 'metadata.name=cloud', view: registrationView, lookMs },
      tools,
    ),
    secrets: createWatchedSecrets({ ...tools, nodes: sparkplugNodes }),
    version: createKubernetesVersion(tools),
  }
}

/**
 * All caches as one part. Its `start` resolves when all are synced, or after `patienceMs`: the monitor must run when the API server does
 * not, and report that. The other caches sync later by themselves.
 */
export function followRegion(caches: MonitorCaches, { clock, log, patienceMs = 5_000 }: CacheTools & { patienceMs?: number }): Part {
  const parts: Part[] = Object.values(caches)
  const ending = new AbortController()
  return {
    name: 'caches of the region',
    async start(signal) {
      const waited = new AbortController()
      const all = Promise.all(parts.map((part) => part.start(ending.signal)))
      all.catch(() => {}) // rejects at the end if a cache was never synced
      const limit = clock.sleep(patienceMs, AbortSignal.any([signal, waited.signal])).catch(() => {})
      const isWhole = await Promise.race([all.then(() => true), limit.then(() => false)])
      waited.abort()
      if (signal.aborted) {
        await stop(0)
        throw signal.reason
      }
      if (isWhole) return
      const missing = collections.filter((name) => !isKnown(caches[name]))
      log.warn({ missing }, 'some caches are not synced yet, starting without them')
    },
    stop,
  }

  async function stop(deadline: number): Promise<void> {
    ending.abort(new Error('stopping'))
    await Promise.all(parts.map((part) => part.stop(deadline)))
  }
}

type Readable = Pick<Cache, 'synced' | 'heardAt'> & { absent?: boolean }

/** Whether a cache has ever held its whole collection. */
export function isKnown({ synced, absent = false }: Readable): boolean {
  return absent || synced
}

/**
 * How long a watch may be silent before its data is stale, in milliseconds. The API server sends a bookmark about every minute; a watch that
 * was merely cut is restored before the next.
 */
const staleAfterMs = 90_000

/** Whether a cache holds its collection as it is now, as far as can be known. */
export function isCurrent(cache: Readable, monotonicNow: number): boolean {
  if (cache.absent) return true
  return cache.synced && cache.heardAt !== undefined && monotonicNow - cache.heardAt < staleAfterMs
}
