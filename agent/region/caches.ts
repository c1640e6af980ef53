import type { Clock } from '../../shared/clock.ts'
import { type Cache, createCache } from '../../shared/kubernetes/cache.ts'
import type { Cluster } from '../../shared/kubernetes/connection.ts'
import { type KubernetesObject, kinds, type ObjectMeta } from '../../shared/kubernetes/objects.ts'
import { limitConcurrency } from '../../shared/limit-concurrency.ts'
import type { Log } from '../../shared/log.ts'
import { type FoundVolume, foundVolumeOf } from '../resources/found-volumes.ts'
import { type DataVolume, dataVolumeOf } from '../resources/kept-volume.ts'
import type { Operation } from '../resources/operation.ts'
import type { RetainedDatabase } from '../resources/retained-database.ts'
import { isReady } from './obstacles/evidence.ts'

/** The fields of a pod that are kept: few, because a region may have a thousand databases. */
export type PodView = {
  metadata: Pick<ObjectMeta, 'name' | 'namespace' | 'resourceVersion' | 'uid' | 'deletionTimestamp'>
  /** The name of its CrateDB. */
  database: string | undefined
  node: string | undefined
  phase: string
  ready: boolean
  /** Of the container `crate`. */
  image: string | undefined
}

export type StatefulSetView = {
  metadata: Pick<ObjectMeta, 'name' | 'namespace' | 'resourceVersion'>
  database: string | undefined
  /** `master` or the name of the data group. */
  group: string | undefined
  replicas: number
  readyReplicas: number
  image: string | undefined
}

export type ServiceView = {
  metadata: Pick<ObjectMeta, 'name' | 'namespace' | 'resourceVersion'>
  database: string | undefined
  type: string
  sourceRanges: string[]
  /** Addresses or hostnames of the load balancer. */
  addresses: string[]
  ports: { name: string; port: number }[]
}

/** Only the name is kept of a volume that serves no database, and holds the data of none. */
type VolumeView = {
  metadata: Pick<ObjectMeta, 'name' | 'resourceVersion'>
  data: DataVolume | undefined
  /** While nothing uses it. */
  found: FoundVolume | undefined
}

/** Everything that the agent follows in the cluster. Reads are answered from these caches, and nothing polls. */
export type Caches = {
  projects: Cache<KubernetesObject>
  operations: Cache<Operation>
  /** The one ConfigMap with the record of the ledger. */
  ledger: Cache<KubernetesObject>
  databases: Cache<KubernetesObject>
  nodes: Cache<KubernetesObject>
  storageClasses: Cache<KubernetesObject>
  pods: Cache<PodView>
  statefulSets: Cache<StatefulSetView>
  services: Cache<ServiceView>
  volumes: Cache<VolumeView>
  /** Deleted databases that somebody can have back. */
  retained: Cache<RetainedDatabase>
}

/** @param namespace the agent's own, where the operations are */
export function createCaches({ namespace }: { namespace: string }, given: { cluster: Cluster; clock: Clock; log: Log }): Caches {
  const tools = { ...given, limitReads: limitConcurrency(1) }
  const labelSelector = 'app.kubernetes.io/part-of=cratedb'
  return {
    projects: createCache({ kind: kinds.Project }, tools),
    operations: createCache<Operation>({ kind: kinds.Operation, namespace, view: operationOf }, tools),
    ledger: createCache({ kind: kinds.ConfigMap, namespace, fieldSelector: 'metadata.name=skerry-ledger' }, tools),
    databases: createCache({ kind: kinds.CrateDB }, tools),
    nodes: createCache({ kind: kinds.Node }, tools),
    storageClasses: createCache({ kind: kinds.StorageClass }, tools),
    pods: createCache<PodView>({ kind: kinds.Pod, labelSelector, pageSize: 50, view: podView }, tools),
    statefulSets: createCache<StatefulSetView>({ kind: kinds.StatefulSet, labelSelector, pageSize: 50, view: statefulSetView }, tools),
    services: createCache<ServiceView>({ kind: kinds.Service, labelSelector, view: serviceView }, tools),
    retained: createCache<RetainedDatabase>({ kind: kinds.RetainedDatabase, namespace, view: retainedOf }, tools),
    volumes: createCache<VolumeView>({ kind: kinds.PersistentVolume, pageSize: 50, view: volumeView }, tools),
  }
}

function operationOf(object: KubernetesObject): Operation {
  delete (object.metadata as { managedFields?: unknown }).managedFields
  return object as Operation
}

function retainedOf(object: KubernetesObject): RetainedDatabase {
  delete (object.metadata as { managedFields?: unknown }).managedFields
  return object as RetainedDatabase
}

/** What is kept of the metadata of every object: its names and its version. */
export function identityOf({ metadata }: KubernetesObject) {
  const { name, namespace, resourceVersion } = metadata
  return { name, ...(namespace !== undefined && { namespace }), ...(resourceVersion !== undefined && { resourceVersion }) }
}

function databaseOf({ metadata }: KubernetesObject): string | undefined {
  return metadata.labels?.['app.kubernetes.io/name']
}

function crateImage(podSpec: { containers?: { name: string; image?: string }[] } | undefined): string | undefined {
  return podSpec?.containers?.find((container) => container.name === 'crate')?.image
}

function volumeView(volume: KubernetesObject): VolumeView {
  return { metadata: identityOf(volume), data: dataVolumeOf(volume), found: foundVolumeOf(volume) }
}

function podView(pod: KubernetesObject): PodView {
  const { uid, deletionTimestamp } = pod.metadata
  return {
    metadata: { ...identityOf(pod), ...(uid !== undefined && { uid }), ...(deletionTimestamp !== undefined && { deletionTimestamp }) },
    database: databaseOf(pod),
    node: pod.spec?.nodeName,
    phase: pod.status?.phase ?? 'Pending',
    ready: isReady(pod),
    image: crateImage(pod.spec),
  }
}

function statefulSetView(set: KubernetesObject): StatefulSetView {
  return {
    metadata: identityOf(set),
    database: databaseOf(set),
    group: set.metadata.labels?.['cloud.crate.io/node-name'],
    replicas: set.spec?.replicas ?? 0,
    readyReplicas: set.status?.readyReplicas ?? 0,
    image: crateImage(set.spec?.template?.spec),
  }
}

function serviceView(service: KubernetesObject): ServiceView {
  const ingress: { ip?: string; hostname?: string }[] = service.status?.loadBalancer?.ingress ?? []
  return {
    metadata: identityOf(service),
    database: databaseOf(service),
    type: service.spec?.type ?? 'ClusterIP',
    sourceRanges: service.spec?.loadBalancerSourceRanges ?? [],
    addresses: ingress.map(({ ip, hostname }) => ip ?? hostname ?? '').filter((address) => address !== ''),
    ports: (service.spec?.ports ?? []).map(({ name, port }: { name: string; port: number }) => ({ name, port })),
  }
}
