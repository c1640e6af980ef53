import type { Caches } from '../../region/caches.ts'
import type { Stack } from '../../region/stack.ts'
import { hostsOf, storageClassesOf } from '../../region/status.ts'
import { bounds } from './region-bounds.ts'
import type { RegionDocument } from './region-schema.ts'

/** What the cluster offers besides databases. Pure. */
export function platformOf(
  { nodes, storageClasses }: Pick<Caches, 'nodes' | 'storageClasses'>,
  { ingressClasses, csiDrivers }: Pick<Stack, 'ingressClasses' | 'csiDrivers'>,
): NonNullable<RegionDocument['platform']> {
  const hosts = hostsOf(nodes.values())
  const classes = [...ingressClasses.values()].sort((a, b) => compare(a.metadata.name, b.metadata.name))
  const storageClass = storageClassesOf(storageClasses.values()).find(({ isDefault }) => isDefault)
  const ingressClass = classes.find(({ isDefault }) => isDefault)
  return {
    kubelets: countedBy(hosts.map(({ k8s_version }) => k8s_version)),
    containerRuntimes: countedBy(hosts.map(({ container_runtime }) => container_runtime)),
    csiDrivers: [...csiDrivers.values()]
      .map(({ metadata }) => metadata.name)
      .sort(compare)
      .slice(0, bounds.names),
    ingressClasses: classes.map(({ metadata, controller }) => ({ name: metadata.name, controller })).slice(0, bounds.names),
    ...(storageClass && { defaultStorageClass: storageClass.name }),
    ...(ingressClass && { defaultIngressClass: ingressClass.metadata.name }),
  }
}

/** How often each occurs, but for empty ones. */
function countedBy(values: string[]): Record<string, number> {
  const groups = Map.groupBy(values.filter(Boolean), (value) => value)
  const counts = [...groups].map(([value, same]) => [value, same.length] as const)
  return Object.fromEntries(counts.sort(([a], [b]) => compare(a, b)).slice(0, bounds.names))
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
