import type { Clock } from '../../shared/clock.ts'
import { type Cache, createCache } from '../../shared/kubernetes/cache.ts'
import type { Cluster } from '../../shared/kubernetes/connection.ts'
import { type KubernetesObject, kinds, type ObjectMeta, pathOf } from '../../shared/kubernetes/objects.ts'
import { readObject } from '../../shared/kubernetes/read.ts'
import type { Log } from '../../shared/log.ts'
import { identityOf } from '../region/caches.ts'
import { type Condition, conditionOf } from '../region/obstacles/evidence.ts'
import { annotation } from '../resources/labels.ts'
import {
  desiredTunnel,
  type Exposure,
  exposedBy,
  exposureWarnings,
  isSameTunnel,
  readCalledUntil,
  readExposure,
  readTunnelYaml,
} from './desired.ts'
import { outdatedIn, type PodOfTunnel, podOfTunnel, podsOf } from './pods.ts'
import { type Exposable, type Tunnel, type TunnelSection, tunnelOf } from './settings.ts'

/** The fields of cloudflared's Deployment that are kept. */
export type CloudflaredView = {
  metadata: Pick<ObjectMeta, 'name' | 'namespace' | 'resourceVersion'>
  replicas: number
  readyReplicas: number
  /** Every pod has the newest template, and Kubernetes has observed that template. */
  isRolledOut: boolean
  /** The revision of the configuration that its pods use, if a version wrote it that changed their template. */
  revision: string | undefined
  image: string | undefined
  /** When it became available or unavailable. */
  since: string | undefined
  /** Why its pods are not created or do not become ready, in Kubernetes' words. */
  trouble: string | undefined
  matchLabels: Record<string, string>
  /** Secrets that its pods need to start. */
  secrets: string[]
}

/** The three objects of a tunnel, each with its own watch, and the pods in their namespace. */
export type TunnelCaches = {
  settings: Cache<KubernetesObject>
  configuration: Cache<KubernetesObject>
  deployment: Cache<CloudflaredView>
  pods: Cache<PodOfTunnel>
}

/** A configured tunnel with its objects. */
export type TunnelInUse = { tunnel: Tunnel; caches: TunnelCaches }

/** The tunnel of that section, with caches that the caller starts; undefined without a section. */
export function openTunnel(
  section: TunnelSection | undefined,
  around: { region: string; namespace: string },
  tools: { cluster: Cluster; clock: Clock; log: Log },
): TunnelInUse | undefined {
  if (section === undefined) return undefined
  const tunnel = tunnelOf(section, around)
  return { tunnel, caches: createTunnelCaches(tunnel, tools) }
}

export function createTunnelCaches(tunnel: Tunnel, tools: { cluster: Cluster; clock: Clock; log: Log }): TunnelCaches {
  const { namespace } = tunnel
  const one = (name: string) => ({ namespace, fieldSelector: `metadata.name=${name}` })
  return {
    settings: createCache({ kind: kinds.ConfigMap, ...one(tunnel.settings) }, tools),
    configuration: createCache({ kind: kinds.ConfigMap, ...one(tunnel.configMap) }, tools),
    deployment: createCache<CloudflaredView>({ kind: kinds.Deployment, ...one(tunnel.deployment), view: cloudflaredView }, tools),
    pods: createCache<PodOfTunnel>({ kind: kinds.Pod, namespace, pageSize: 50, view: podOfTunnel }, tools),
  }
}

function cloudflaredView(object: KubernetesObject): CloudflaredView {
  const { metadata, spec = {}, status = {} } = object
  const { replicas = 0, updatedReplicas = 0, observedGeneration = 0 } = status
  const volumes: { secret?: { secretName?: string; optional?: boolean } }[] = spec.template?.spec?.volumes ?? []
  return {
    metadata: identityOf(object),
    replicas: spec.replicas ?? 1,
    readyReplicas: status.readyReplicas ?? 0,
    isRolledOut: observedGeneration >= (metadata.generation ?? 0) && updatedReplicas === replicas && replicas === (spec.replicas ?? 1),
    revision: spec.template?.metadata?.annotations?.[annotation.tunnelRevision],
    image: spec.template?.spec?.containers?.[0]?.image,
    since: conditionOf(object, 'Available')?.lastTransitionTime,
    trouble: troubleIn(object),
    matchLabels: spec.selector?.matchLabels ?? {},
    secrets: volumes.filter(({ secret }) => secret?.optional !== true).flatMap(({ secret }) => secret?.secretName ?? []),
  }
}

function troubleIn(object: KubernetesObject): string | undefined {
  const failure = conditionOf(object, 'ReplicaFailure')
  const progress: Condition | undefined = conditionOf(object, 'Progressing')
  if (failure?.status === 'True') return failure.message
  return progress?.status === 'False' ? progress.message : undefined
}

/** The state of cloudflared. A replica is ready while it has at least one connection to Cloudflare's edge. */
type CloudflaredState = {
  /** `resting`: it starts once the cloud asks for it. */
  state: 'running' | 'degraded' | 'not-ready' | 'resting' | 'scaled-down' | 'missing' | 'unknown'
  replicas: number
  readyReplicas: number
  /** When it became available or unavailable; null if Kubernetes does not say. */
  since: string | null
  image: string | null
  namespace: string
  deployment: string
}

/** The state of a tunnel. */
export type TunnelState = {
  expose: Exposure
  exposed: Exposable[]
  warnings: string[]
  cloudflared: CloudflaredState
  /** Of a tunnel that starts on demand; null of one that always runs. `until`: when it ends or has ended, RFC 3339; null if it never ran. */
  onDemand: { until: string | null } | null
  /** `pending`: the leader has yet to write it. `rolling`: some pods still use another one. */
  configuration: 'in-force' | 'rolling' | 'pending' | 'unknown'
  /** Why the controller's last attempt failed. */
  lastError: string | null
}

/** The state from the caches: every replica shows the same. */
export function tunnelStateOf(tunnel: Tunnel, caches: TunnelCaches): TunnelState {
  const { settings, configuration, deployment, pods, outdated } = lookUp(tunnel, caches)
  const expose = readExposure(tunnel, settings)
  const exposed = exposedBy(tunnel, expose)
  const isWritten = isSameTunnel(readTunnelYaml(configuration), desiredTunnel(tunnel, expose))
  const isNoted = deployment === undefined || 'uids' in outdated
  const isRolled = !pods.some(({ metadata }) => 'uids' in outdated && outdated.uids.includes(metadata.uid ?? ''))
  const synced = Object.values(caches).every((cache) => cache.synced)
  return {
    expose,
    exposed,
    warnings: exposureWarnings(exposed),
    onDemand: tunnel.onDemand === undefined ? null : { until: rfc3339(readCalledUntil(settings)) },
    cloudflared: cloudflaredStateOf(tunnel, caches.deployment.synced, deployment),
    configuration: !synced
      ? 'unknown'
      : !isWritten || !isNoted
        ? 'pending'
        : !isRolled || deployment?.isRolledOut === false
          ? 'rolling'
          : 'in-force',
    lastError: settings?.data?.error ?? null,
  }
}

/** The objects of a tunnel from the caches, with the revision of the configuration that was written last, and the pods that it outdated. */
export function lookUp({ namespace, settings, configMap, deployment: name }: Tunnel, caches: TunnelCaches) {
  const configuration = caches.configuration.get(`${namespace}/${configMap}`)
  const deployment = caches.deployment.get(`${namespace}/${name}`)
  return {
    settings: caches.settings.get(`${namespace}/${settings}`),
    configuration,
    written: configuration?.metadata.annotations?.[annotation.tunnelRevision],
    deployment,
    pods: podsOf(deployment, caches.pods.values()),
    outdated: outdatedIn(configuration, deployment),
  }
}

function rfc3339(at: number | undefined): string | null {
  return at === undefined ? null : new Date(at).toISOString()
}

function cloudflaredStateOf(tunnel: Tunnel, synced: boolean, view: CloudflaredView | undefined): CloudflaredState {
  const { namespace, deployment } = tunnel
  const where = { namespace, deployment }
  if (!view) return { state: synced ? 'missing' : 'unknown', replicas: 0, readyReplicas: 0, since: null, image: null, ...where }
  const { replicas, readyReplicas, since = null, image = null } = view
  return { state: stateOf(view, tunnel), replicas, readyReplicas, since, image, ...where }
}

function stateOf({ replicas, readyReplicas }: CloudflaredView, { onDemand }: Tunnel): CloudflaredState['state'] {
  if (replicas === 0) return onDemand === undefined ? 'scaled-down' : 'resting'
  if (readyReplicas === 0) return 'not-ready'
  return readyReplicas < replicas ? 'degraded' : 'running'
}

/** Reads the settings from the API server: the copy in a cache may be stale. */
export async function readSettings({ namespace, settings }: Tunnel, cluster: Cluster): Promise<KubernetesObject | undefined> {
  return readObject(cluster, pathOf(kinds.ConfigMap, namespace, settings))
}
