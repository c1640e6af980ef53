import pino from 'pino'
import { type Check, type CheckStatus, durationBuckets, type ProbeEvent, type Prober } from '../../../monitor/prober/check.ts'
import { PastRuns } from '../../../monitor/prober/past-runs.ts'
import { createMonitorCaches, followRegion, type MonitorCaches } from '../../../monitor/region/caches.ts'
import { componentsConfig } from '../../../monitor/region/config.ts'
import { createMemoryBuffer } from '../../../monitor/sparkplug/buffer.ts'
import { createCounters } from '../../../monitor/sparkplug/counters.ts'
import { type EdgeNodeModel, TrackedModel } from '../../../monitor/sparkplug/model.ts'
import { profiles } from '../../../monitor/sparkplug/profiles.ts'
import { SmallestLimit } from '../../../monitor/sparkplug/smallest-limit.ts'
import type { Clock } from '../../../shared/clock.ts'
import { Problem } from '../../../shared/errors.ts'
import type { Cluster, WatchEvent } from '../../../shared/kubernetes/connection.ts'
import { type KubernetesObject, keyOf } from '../../../shared/kubernetes/objects.ts'
import type { Log } from '../../../shared/log.ts'

export const silent: Log = pino({ level: 'silent' })

/** The components that every region is looked through for. */
export const components = componentsConfig.parse(undefined)

const plurals: Record<string, string> = {
  Node: 'nodes',
  Project: 'projects',
  CrateDB: 'cratedbs',
  Pod: 'pods',
  Deployment: 'deployments',
  Service: 'services',
  SparkplugNode: 'sparkplugnodes',
  Registration: 'registrations',
  Secret: 'secrets',
}

/** An API server that consists of what a test puts into it. */
export type ClusterInHand = {
  cluster: Cluster
  /** Adds or replaces an object; watches are told. */
  set(object: KubernetesObject): void
  remove(object: KubernetesObject): void
  /** Plurals of kinds that are not served. */
  absent: Set<string>
  /** While set, nothing answers, and watches are cut. */
  setAway(isAway: boolean): void
  /** Sends a bookmark on every watch. */
  bookmark(): void
}

export function clusterInHand(objects: KubernetesObject[] = []): ClusterInHand {
  const held = new Map<string, KubernetesObject>()
  const watches = new Set<{ plural: string; namespace: string | undefined; tell(event: WatchEvent | Error): void }>()
  const absent = new Set<string>()
  let version = 1
  let isAway = false

  const target = (path: string) => {
    const [, namespace] = /\/namespaces\/([^/]+)\//.exec(path) ?? []
    return { plural: path.slice(path.lastIndexOf('/') + 1), namespace }
  }
  const refuse = (plural: string) => {
    if (isAway) throw new Problem('cluster-unreachable', 'no answer')
    if (absent.has(plural)) throw new Problem('not-served', `the server could not find ${plural}`)
  }
  const pluralOf = (object: KubernetesObject) => plurals[object.kind] as string
  const tell = (type: WatchEvent['type'], object: KubernetesObject) => {
    for (const watch of watches)
      if (watch.plural === pluralOf(object) && (watch.namespace ?? object.metadata.namespace) === object.metadata.namespace)
        watch.tell({ type, object: structuredClone(object) })
  }
  const keyIn = (object: KubernetesObject) => `${pluralOf(object)} ${keyOf(object.metadata)}`
  const put = (given: KubernetesObject) => {
    const object = structuredClone(given)
    object.metadata.resourceVersion = String(++version)
    const isNew = !held.has(keyIn(object))
    held.set(keyIn(object), object)
    tell(isNew ? 'ADDED' : 'MODIFIED', object)
  }
  for (const object of objects) put(object)

  const cluster: Cluster = {
    server: new URL('https://127.0.0.1:1'),
    // biome-ignore lint/suspicious/noExplicitAny: as the interface has it
    async request({ path }): Promise<any> {
      const { plural, namespace } = target(path)
      refuse(plural)
      if (path === '/version') return { gitVersion: 'v1.35.2' }
      const items = [...held.values()].filter(
        (each) => pluralOf(each) === plural && (namespace === undefined || each.metadata.namespace === namespace),
      )
      return { metadata: { resourceVersion: String(version) }, items: structuredClone(items) }
    },
    async *watch(path, _query, signal) {
      const { plural, namespace } = target(path)
      refuse(plural)
      const waiting: (WatchEvent | Error)[] = []
      let wake = () => {}
      const watch = {
        plural,
        namespace,
        tell(event: WatchEvent | Error) {
          waiting.push(event)
          wake()
        },
      }
      watches.add(watch)
      signal.addEventListener('abort', () => wake(), { once: true })
      try {
        while (!signal.aborted) {
          for (const event of waiting.splice(0)) {
            if (event instanceof Error) throw event
            yield event
          }
          await new Promise<void>((resolve) => {
            wake = resolve
            if (waiting.length > 0 || signal.aborted) resolve()
          })
        }
      } finally {
        watches.delete(watch)
      }
    },
    close: () => {},
  }

  return {
    cluster,
    absent,
    set: put,
    remove(object) {
      const gone = structuredClone(held.get(keyIn(object)) as KubernetesObject)
      held.delete(keyIn(object))
      gone.metadata.resourceVersion = String(++version)
      tell('DELETED', gone)
    },
    setAway(given) {
      isAway = given
      if (given) for (const watch of watches) watch.tell(new Problem('cluster-unreachable', 'cut'))
    },
    bookmark() {
      for (const watch of watches)
        watch.tell({ type: 'BOOKMARK', object: { metadata: { resourceVersion: String(version) } } as KubernetesObject })
    },
  }
}

/** The monitor's caches on it, started; they stop with the test. */
export async function cachesOn(t: { after(end: () => unknown): void }, { cluster }: ClusterInHand, clock: Clock): Promise<MonitorCaches> {
  const tools = { cluster, clock, log: silent }
  const caches = createMonitorCaches({ components }, tools)
  const part = followRegion(caches, tools)
  await part.start(new AbortController().signal)
  t.after(() => part.stop(0))
  return caches
}

/** A prober that runs nothing: a test says what its checks have seen. */
export type ProberInHand = Pick<Prober, 'statuses' | 'status' | 'subscribe' | 'stall'> & {
  add(given: Partial<Check> & { name: string }, seen?: Partial<CheckStatus>): CheckStatus
  see(name: string, seen: Partial<CheckStatus>): void
  remove(name: string): void
  stalled: string | undefined
}

export function proberInHand(): ProberInHand {
  const all = new Map<string, CheckStatus>()
  const listeners = new Set<(event: ProbeEvent) => void>()
  const tell = (event: ProbeEvent) => {
    for (const listener of listeners) listener(event)
  }
  const prober: ProberInHand = {
    stalled: undefined,
    stall: () => prober.stalled,
    statuses: () => all.values(),
    status: (name) => all.get(name),
    subscribe(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    add(given, seen = {}) {
      const check: Check = {
        ...{ kind: 'tcp', target: 'host:1', options: {}, group: 'site', severity: 'warning', labels: {}, intervalMs: 10_000 },
        ...{ timeoutMs: 5_000, retries: 0, retryDelayMs: 0, recoveryDelayMs: 0, dependsOn: [], actions: [] },
        ...given,
      }
      const durations = { buckets: new Uint32Array(durationBuckets.length + 1), sum: 0, count: 0 }
      const status: CheckStatus = {
        ...{ check, state: 'unknown', since: 0, detail: '', measurements: [], consecutiveFailures: 0, durations, past: new PastRuns() },
        ...seen,
      }
      const isNew = !all.has(check.name)
      all.set(check.name, status)
      tell({ type: isNew ? 'added' : 'changed', status })
      return status
    },
    see(name, seen) {
      const status = all.get(name) as CheckStatus
      Object.assign(status, seen)
      tell({ type: 'finished', status })
    },
    remove(name) {
      const status = all.get(name) as CheckStatus
      all.delete(name)
      tell({ type: 'removed', status })
    },
  }
  return prober
}

/** The edge node's own model, and what it was called with. */
export type EdgeNodeInHand = EdgeNodeModel & {
  packetLimit: SmallestLimit
  calls: string[]
  devices(): string[]
  /** Value of a metric of a device, or of the node. Undefined: there is none. */
  value(id: string | undefined, name: string): unknown
  qualities(id: string | undefined): number[]
  names(id: string): string[]
  /** The values of the properties of a metric. */
  properties(id: string, name: string): Record<string, unknown>
  /** The names of the metrics whose changes were recorded since the last call, to be sent. */
  recorded(): string[]
}

export function edgeNodeInHand(clock: Clock): EdgeNodeInHand {
  const buffer = createMemoryBuffer({ limit: 1_000_000 })
  const model = new TrackedModel(
    { maxSilenceMs: 600_000, deadbands: profiles.standard.deadbands, hasAliases: false, names: 'portable', hasDocumentation: true },
    { buffer, counters: createCounters(), clock, log: silent },
  )
  const calls: string[] = []
  const owner = (id: string | undefined) => (id === undefined ? model.node : model.devices.get(id))
  return {
    calls,
    packetLimit: new SmallestLimit(),
    deviceId: (kind, name) => model.deviceId(kind, name),
    setNode: (metrics) => model.setNode(metrics),
    setDevice(id, metrics) {
      calls.push(`set ${id}`)
      model.setDevice(id, metrics)
    },
    removeDevice(id) {
      calls.push(`remove ${id}`)
      model.removeDevice(id)
    },
    update(id, samples) {
      calls.push(`update ${id} ${samples.length}`)
      model.update(id, samples)
    },
    setQuality(id, quality) {
      calls.push(`quality ${id} ${quality}`)
      model.setQuality(id, quality)
    },
    devices: () => [...model.devices.keys()].sort(),
    value: (id, name) => owner(id)?.metrics.get(name)?.value,
    qualities: (id) => [...new Set([...(owner(id)?.metrics.values() ?? [])].map((metric) => metric.quality))],
    properties: (id, name) =>
      Object.fromEntries(Object.entries(owner(id)?.metrics.get(name)?.properties ?? {}).map(([key, { value }]) => [key, value])),
    recorded() {
      const from = buffer.start
      const names = buffer.read(from, 1_000_000).map(({ change }) => change.name)
      buffer.release(buffer.end)
      return names
    },
    names: (id) => [...(owner(id)?.metrics.keys() ?? [])],
  }
}

/** A host with 8 cores and 32 GiB. */
export function node(name: string, { ready = true, ...more }: { ready?: boolean; spec?: object; labels?: Record<string, string> } = {}) {
  const resources = { cpu: '8', memory: '32Gi', pods: '110', 'ephemeral-storage': '100Gi' }
  const status = {
    capacity: resources,
    allocatable: { ...resources, cpu: '7500m', memory: '30Gi' },
    conditions: [
      { type: 'MemoryPressure', status: 'False' },
      { type: 'DiskPressure', status: 'Unknown' },
      { type: 'Ready', status: ready ? 'True' : 'Unknown', lastTransitionTime: '2026-01-01T00:00:00Z' },
    ],
    addresses: [{ type: 'InternalIP', address: '10.0.0.7' }],
    nodeInfo: { kubeletVersion: 'v1.35.2', architecture: 'arm64', operatingSystem: 'linux', osImage: 'Debian GNU/Linux 13' },
  }
  return { apiVersion: 'v1', kind: 'Node', metadata: { name, labels: more.labels ?? {} }, spec: more.spec ?? {}, status }
}

export function crateDB(
  namespace: string,
  name: string,
  given: { replicas?: number; status?: object; spec?: object; annotations?: object } = {},
) {
  const resources = {
    ...{ limits: { cpu: 2, memory: '4Gi' }, requests: { cpu: 0.5, memory: '4Gi' }, heapRatio: 0.25 },
    disk: { count: 2, size: '64GiB', storageClass: 'crate-premium' },
  }
  return {
    apiVersion: 'cloud.crate.io/v1',
    kind: 'CrateDB',
    metadata: { name, namespace, annotations: (given.annotations ?? {}) as Record<string, string> },
    spec: {
      cluster: { name, imageRegistry: 'crate', version: '5.10.1', ...given.spec },
      nodes: { data: [{ name: 'hot', replicas: given.replicas ?? 3, resources }] },
    },
    status: given.status ?? { crateDBStatus: { health: 'GREEN' } },
  } satisfies KubernetesObject
}

/** A pod, of a database if that is named. */
export function pod(
  namespace: string,
  name: string,
  given: { host?: string; phase?: string; ready?: boolean; database?: string; spec?: object } = {},
) {
  const labels: Record<string, string> = given.database
    ? {
        'app.kubernetes.io/name': given.database,
        'app.kubernetes.io/part-of': 'cratedb',
        'app.kubernetes.io/component': 'cratedb',
      }
    : {}
  const requests = { cpu: '500m', memory: '1Gi' }
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace, labels },
    spec: { containers: [{ name: 'crate', resources: { requests } }], ...(given.host && { nodeName: given.host }), ...given.spec },
    status: {
      phase: given.phase ?? (given.host ? 'Running' : 'Pending'),
      conditions: [{ type: 'Ready', status: given.ready ? 'True' : 'False' }],
    },
  } satisfies KubernetesObject
}

export function deployment(namespace: string, name: string, component: string, { replicas = 2, ready = 2 } = {}) {
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name, namespace, labels: { 'app.kubernetes.io/name': component } },
    spec: { replicas, template: { spec: { containers: [{ name: 'main', image: `registry.example/${name}:1.2.3` }] } } },
    status: { readyReplicas: ready, updatedReplicas: ready },
  } satisfies KubernetesObject
}

export function service(namespace: string, name: string, component: string, ports: { name: string; port: number }[]) {
  const labels = { 'app.kubernetes.io/name': component }
  return { apiVersion: 'v1', kind: 'Service', metadata: { name, namespace, labels }, spec: { ports } } satisfies KubernetesObject
}

export function sparkplugNode(namespace: string, name: string, secrets: string[] = []) {
  const spec = { address: { group: 'harbour', node: name }, interval: 60, secrets }
  return { apiVersion: 'skerry.dev/v1', kind: 'SparkplugNode', metadata: { name, namespace }, spec } satisfies KubernetesObject
}

/** How a region stands with its cloud. */
export function registration(status: object = {}) {
  return {
    apiVersion: 'skerry.dev/v1',
    kind: 'Registration',
    metadata: { name: 'cloud', namespace: 'skerry' },
    spec: { joined: true },
    status: { state: 'Ready', reason: 'Registered', cloud: 'https://cloud.example.org', id: 'r-5f3c9a', ...status },
  } satisfies KubernetesObject
}
