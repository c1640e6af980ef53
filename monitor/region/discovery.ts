import { createHash } from 'node:crypto'
import type { Clock } from '../../shared/clock.ts'
import { keyOf } from '../../shared/kubernetes/objects.ts'
import type { Part } from '../../shared/lifecycle.ts'
import type { Log } from '../../shared/log.ts'
import { type CheckKindName, checkKinds } from '../checks/index.ts'
import type { CheckKind } from '../checks/kind.ts'
import type { Check } from '../prober/check.ts'
import type { SparkplugNode } from '../sparkplug/sparkplug-node.ts'
import type { MonitorCaches } from './caches.ts'
import type { ComponentConfig, DiscoveryConfig } from './config.ts'
import { type DatabaseView, type HostView, placeOf, type ServiceView } from './views.ts'

/** What checks are found in. */
export type RegionView = {
  hosts: Iterable<HostView>
  databases: Iterable<DatabaseView>
  services: Iterable<ServiceView>
  sparkplugNodes: Iterable<SparkplugNode>
}

/** What is needed to know what to check. */
export type DiscoverySettings = { discovery: DiscoveryConfig; components: readonly ComponentConfig[] }

/** Names of discovered checks. A configured check of the same name takes the place of the discovered one. */
export const checkNames = {
  kubernetes: 'kubernetes',
  kubelet: (host: string) => `kubelet/${host}`,
  database: (namespace: string, name: string) => `database/${placeOf(namespace)}/${name}`,
  volume: (namespace: string, name: string) => `volume/${placeOf(namespace)}/${name}`,
  component: (component: string, namespace: string, service: string) => `component/${component}/${namespace}/${service}`,
  sparkplugNode: (key: string) => `sparkplug-node/${key}`,
}

/** Hears of an object that no check can be made of, such as a database whose Secret would have too long a name. */
export type Uncheckable = (object: string, error: unknown) => void

/**
 * The checks of what stands in the cluster, sorted by name. Pure. The same thing has the same check as long as it is there; a database
 * that is suspended or being deleted has none, and one that has not been made yet has one, which says so. An object that no check can be
 * made of is told to `uncheckable` and has none: what anybody may put into the cluster must not cost the others theirs.
 */
export function discoveredChecks(
  view: RegionView,
  { discovery, components }: DiscoverySettings,
  uncheckable: Uncheckable = () => {},
): Check[] {
  const each = <T extends { metadata: HostView['metadata'] }>(what: string, all: Iterable<T>, checksOf: (object: T) => Check[]) =>
    [...all].flatMap((object) => {
      try {
        return checksOf(object)
      } catch (error) {
        uncheckable(`${what} ${keyOf(object.metadata)}`, error)
        return []
      }
    })
  const checks = [
    ...(discovery.kubernetes ? [kubernetesCheck(discovery)] : []),
    ...(discovery.kubelets ? each('Node', view.hosts, (host) => [kubeletCheck(host, discovery)]) : []),
    ...each('CrateDB', view.databases, (database) => databaseChecks(database, discovery)),
    ...(discovery.components ? each('Service', view.services, (service) => componentCheck(service, components, discovery)) : []),
    ...(discovery.sparkplugNodes ? each('SparkplugNode', view.sparkplugNodes, (node) => [sparkplugNodeCheck(node, discovery)]) : []),
  ]
  return checks.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0))
}

/**
 * Configured checks first, then the discovered ones that no configured check takes the place of. What a discovered check depends on
 * must be there: a check of the API server that was turned off makes no database unknown.
 */
export function mergeChecks(configured: readonly Check[], discovered: readonly Check[]): Check[] {
  const names = new Set(configured.map(({ name }) => name))
  const added = discovered.filter(({ name }) => !names.has(name))
  for (const { name } of added) names.add(name)
  return [
    ...configured,
    ...added.map((check) => {
      const dependsOn = check.dependsOn.filter((name) => names.has(name))
      return dependsOn.length === check.dependsOn.length ? check : { ...check, dependsOn }
    }),
  ]
}

type Essentials = Pick<Check, 'name' | 'group' | 'severity'> & { kind: CheckKindName; options: unknown } & Partial<
    Pick<Check, 'labels' | 'intervalMs' | 'dependsOn'>
  >

function checkOf(essentials: Essentials, { interval, timeout }: DiscoveryConfig): Check {
  const kind: CheckKind = checkKinds[essentials.kind]
  const options = kind.options.parse(essentials.options)
  const intervalMs = essentials.intervalMs ?? interval
  return {
    labels: {},
    dependsOn: [],
    ...essentials,
    options,
    target: kind.target(options),
    intervalMs,
    timeoutMs: Math.min(timeout, intervalMs),
    // One failure is repeated soon: a pod that is just replaced is not worth an alert.
    retries: 1,
    retryDelayMs: Math.min(5_000, intervalMs),
    recoveryDelayMs: 0,
    actions: [],
  }
}

function kubernetesCheck(config: DiscoveryConfig): Check {
  return checkOf({ name: checkNames.kubernetes, kind: 'kubernetes', options: {}, group: 'cluster', severity: 'critical' }, config)
}

function kubeletCheck({ metadata: { name } }: HostView, config: DiscoveryConfig): Check {
  return checkOf(
    {
      name: checkNames.kubelet(name),
      kind: 'kubelet',
      options: { host: name },
      group: 'cluster',
      severity: 'warning',
      labels: { host: name },
      // Asked through the API server.
      dependsOn: [checkNames.kubernetes],
    },
    config,
  )
}

function databaseChecks({ metadata, nodes, suspended, deleting, tls }: DatabaseView, config: DiscoveryConfig): Check[] {
  const { name, namespace = '' } = metadata
  if (suspended || deleting) return []
  const plain = config.databaseUrl.replaceAll('{namespace}', namespace).replaceAll('{database}', name)
  const url = tls ? plain.replace(/^http:/, 'https:') : plain
  // A certificate is made for the address outside, which is not asked here; nor does the plain connection know whom it asks.
  const access = { url, verify: !tls, passwordSecret: { namespace, name: `user-system-${name}`, key: 'password' }, username: 'system' }
  const place = placeOf(namespace)
  const common = {
    group: `databases.${place}`,
    labels: { project: place, database: name },
    dependsOn: [checkNames.kubernetes],
  }
  const health: Essentials = {
    ...common,
    name: checkNames.database(namespace, name),
    kind: 'cratedb',
    options: { ...access, ...(nodes > 0 && { expectNodes: nodes }) },
    severity: 'critical',
  }
  const volume: Essentials = {
    ...common,
    name: checkNames.volume(namespace, name),
    kind: 'volume',
    options: { ...access, namespace, database: name },
    severity: 'warning',
    intervalMs: config.volumeInterval,
  }
  return [...(config.databases ? [health] : []), ...(config.volumes ? [volume] : [])].map((each) => checkOf(each, config))
}

function componentCheck(
  { metadata, component: label, ports }: ServiceView,
  components: readonly ComponentConfig[],
  config: DiscoveryConfig,
): Check[] {
  const { name: service, namespace = '' } = metadata
  const component = components.find((each) => (each.label ?? each.name) === label)
  if (component?.check === undefined) return []
  const { kind, path, ports: wanted } = component.check
  const port = wanted.map((each) => ports.find((port) => port.port === each || port.name === each)).find((found) => found !== undefined)
  if (port === undefined) return []
  const url = `http://${service}.${namespace}.svc.${config.clusterDomain}:${port.port}${path}`
  const { name } = component
  const check = checkOf(
    {
      name: checkNames.component(name, namespace, service),
      kind,
      options: { url },
      group: 'components',
      severity: kind === 'agent' || kind === 'cloudflared' ? 'critical' : 'warning',
      labels: { component: name },
    },
    config,
  )
  return [check]
}

function sparkplugNodeCheck({ metadata }: SparkplugNode, config: DiscoveryConfig): Check {
  const key = keyOf(metadata)
  return checkOf(
    {
      name: checkNames.sparkplugNode(key),
      kind: 'sparkplug-node',
      options: { node: key },
      group: 'sparkplug-nodes',
      severity: 'warning',
    },
    config,
  )
}

/** Follows the caches and tells of checks that come, change and go. */
export type Discovery = Part & {
  /** As of now, sorted by name. */
  checks(): readonly Check[]
  /** Calls the listener when they are others. Returns what ends that. */
  subscribe(listener: (checks: readonly Check[]) => void): () => void
}

/** Changes are gathered for so long, in milliseconds: a project with ten databases comes as one change. */
const gatherMs = 500

/** Start it after the caches. `checks()` is right as soon as they are. */
export function createDiscovery(
  settings: DiscoverySettings,
  { caches, clock, log }: { caches: Pick<MonitorCaches, 'hosts' | 'databases' | 'services' | 'sparkplugNodes'>; clock: Clock; log: Log },
): Discovery {
  const listeners = new Set<(checks: readonly Check[]) => void>()
  const ending = new AbortController()
  const forget: (() => void)[] = []
  let known: readonly Check[] = []
  let seen = ''
  /** Objects that cannot be checked, each said once. */
  let unchecked = new Set<string>()
  let waiting: Promise<void> | undefined

  const sources = [caches.hosts, caches.databases, caches.services, caches.sparkplugNodes] as const

  /** Looks anew if anything is another that makes a difference: a database's health, or what a host has, makes none. */
  function look(): boolean {
    const view = {
      hosts: [...caches.hosts.values()],
      databases: [...caches.databases.values()],
      services: [...caches.services.values()],
      sparkplugNodes: [...caches.sparkplugNodes.values()],
    }
    const now = essenceOf(view, settings)
    if (now === seen) return false
    const leftOut = new Set<string>()
    known = discoveredChecks(view, settings, (object, error) => {
      leftOut.add(object)
      if (!unchecked.has(object)) log.warn({ err: error, object }, 'an object of the cluster cannot be checked, it is left out')
    })
    unchecked = leftOut
    seen = now
    return true
  }

  function gather(): void {
    waiting ??= clock
      .sleep(gatherMs, ending.signal)
      .then(() => {
        waiting = undefined
        if (!look()) return
        log.info({ checks: known.length }, 'checks found in the cluster')
        for (const listener of listeners) listener(known)
      })
      .catch((error: unknown) => {
        if (!ending.signal.aborted) log.error({ err: error }, 'checks of the cluster could not be made')
      })
  }

  return {
    name: 'discovery',
    checks: () => known,
    subscribe(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    async start() {
      look()
      for (const source of sources) forget.push((source.subscribe as (listener: () => void) => () => void)(gather))
    },
    async stop() {
      for (const end of forget.splice(0)) end()
      ending.abort(new Error('told to stop'))
      await waiting
    },
  }
}

/** All that `discoveredChecks` looks at, as a hash: with a thousand databases the text itself would be kept for nothing. */
function essenceOf({ hosts, databases, services, sparkplugNodes }: RegionView, { discovery }: DiscoverySettings): string {
  const hash = createHash('sha256')
  const add = (...values: unknown[]) => hash.update(JSON.stringify(values))
  if (discovery.kubelets) for (const { metadata } of hosts) add(metadata.name)
  for (const { metadata, nodes, suspended, deleting, tls } of databases)
    add(metadata.namespace, metadata.name, nodes, suspended, deleting, tls)
  for (const { metadata, component, ports } of services) add(metadata.namespace, metadata.name, component, ports)
  for (const { metadata } of sparkplugNodes) add(metadata.namespace, metadata.name)
  return hash.digest('base64')
}
