import { keyOf } from '../../shared/kubernetes/objects.ts'
import { type CheckKindName, checkKinds } from '../checks/index.ts'
import type { CheckKind } from '../checks/kind.ts'
import type { Check } from '../prober/check.ts'
import type { SparkplugNode } from '../sparkplug/sparkplug-node.ts'
import type { ComponentConfig, DiscoveryConfig } from './config.ts'
import { type DatabaseView, type HostView, placeOf, type ServiceView } from './views.ts'

/** The objects of the cluster that checks are made from. */
export type RegionView = {
  hosts: Iterable<HostView>
  databases: Iterable<DatabaseView>
  services: Iterable<ServiceView>
  sparkplugNodes: Iterable<SparkplugNode>
}

/** Which checks are wanted. */
export type DiscoverySettings = { discovery: DiscoveryConfig; components: readonly ComponentConfig[] }

/** Names of discovered checks. A configured check of the same name takes precedence. */
export const checkNames = {
  kubernetes: 'kubernetes',
  kubelet: (host: string) => `kubelet/${host}`,
  database: (namespace: string, name: string) => `database/${placeOf(namespace)}/${name}`,
  volume: (namespace: string, name: string) => `volume/${placeOf(namespace)}/${name}`,
  component: (component: string, namespace: string, service: string) => `component/${component}/${namespace}/${service}`,
  sparkplugNode: (key: string) => `sparkplug-node/${key}`,
}

/** Whether a check of this name may be discovered: a configured check may depend on it though it does not exist yet. */
export function mayBeDiscovered(name: string): boolean {
  return name === checkNames.kubernetes || /^(kubelet|database|volume|component|sparkplug-node)\/./.test(name)
}

/** Called with an object that cannot be checked, such as a database whose Secret would have too long a name. */
export type Uncheckable = (object: string, error: unknown) => void

/**
 * The checks of the objects in the cluster, sorted by name. Pure. The same object has the same check as long as it exists. A database that
 * is suspended or being deleted has none; a database that is still being created has one, which says so. An object that cannot be checked
 * goes to `uncheckable` and does not affect the checks of others: anybody may have put it into the cluster.
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
 * Configured checks, then the discovered ones with other names. A discovered check depends only on checks that exist: if the check of the
 * API server is turned off, no database becomes unknown.
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
    // A failure is retried soon: a pod that is just being replaced is not worth an alert.
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
  // The certificate is issued for the external address, and the check uses the one inside the cluster.
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
