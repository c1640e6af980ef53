import type { Json } from './object.ts'
import { apiVersionOf, type Registry, type ResourceType } from './resources.ts'

const subresourceVerbs: Record<string, string[]> = {
  status: ['get', 'patch', 'update'],
  finalize: ['update'],
  scale: ['get', 'patch', 'update'],
  token: ['create'],
  eviction: ['create'],
  binding: ['create'],
}

const subresourceKinds: Record<string, { group: string; version: string; kind: string }> = {
  scale: { group: 'autoscaling', version: 'v1', kind: 'Scale' },
  token: { group: 'authentication.k8s.io', version: 'v1', kind: 'TokenRequest' },
  eviction: { group: 'policy', version: 'v1', kind: 'Eviction' },
  binding: { group: '', version: 'v1', kind: 'Binding' },
}

const kindOf = (type: ResourceType, subresource: string): { group: string; version: string; kind: string } =>
  subresourceKinds[subresource] ?? { group: type.group, version: type.version, kind: type.kind }

function typesIn(registry: Registry, group: string, version: string): ResourceType[] {
  return registry
    .all()
    .filter((type) => type.group === group && type.version === version)
    .sort((a, b) => (a.plural < b.plural ? -1 : 1))
}

/** `/api/v1`, `/apis/<group>/<version>`; undefined if it is not served. */
export function resourceList(registry: Registry, group: string, version: string): Json {
  const types = typesIn(registry, group, version)
  if (types.length === 0) return undefined
  const resources = types.flatMap((type) => [
    {
      name: type.plural,
      singularName: type.singular,
      namespaced: type.namespaced,
      kind: type.kind,
      verbs: type.verbs,
      ...(type.shortNames.length > 0 ? { shortNames: type.shortNames } : {}),
      ...(type.categories.length > 0 ? { categories: type.categories } : {}),
    },
    ...type.subresources.map((subresource) => ({
      name: `${type.plural}/${subresource}`,
      singularName: '',
      namespaced: type.namespaced,
      ...kindOf(type, subresource),
      verbs: subresourceVerbs[subresource] ?? ['get'],
    })),
  ])
  return { kind: 'APIResourceList', apiVersion: 'v1', groupVersion: apiVersionOf({ group, version }), resources }
}

function groupDocument(group: string, versions: string[]): Json {
  const listed = versions.map((version) => ({ groupVersion: `${group}/${version}`, version }))
  return { name: group, versions: listed, preferredVersion: listed[0] }
}

/** `/apis` */
export function groupList(registry: Registry): Json {
  const groups = [...registry.groups()].filter(([group]) => group).map(([group, versions]) => groupDocument(group, versions))
  return { kind: 'APIGroupList', apiVersion: 'v1', groups }
}

/** `/apis/<group>`; undefined if it is not served. */
export function groupOf(registry: Registry, group: string): Json {
  const versions = group ? registry.groups().get(group) : undefined
  return versions && { kind: 'APIGroup', apiVersion: 'v1', ...groupDocument(group, versions) }
}

/** `/api` */
export const coreVersions = (serverAddress: string): Json => ({
  kind: 'APIVersions',
  versions: ['v1'],
  serverAddressByClientCIDRs: [{ clientCIDR: '0.0.0.0/0', serverAddress }],
})

export const aggregatedType = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList'

/** `/api` and `/apis` with all resources, for clients that request aggregated discovery. */
export function aggregatedList(registry: Registry, core: boolean): Json {
  const items = [...registry.groups()]
    .filter(([group]) => (group === '') === core)
    .map(([group, versions]) => ({
      metadata: { name: group, creationTimestamp: null },
      versions: versions.map((version) => ({
        version,
        freshness: 'Current',
        resources: typesIn(registry, group, version).map(aggregatedResource),
      })),
    }))
  return { kind: 'APIGroupDiscoveryList', apiVersion: 'apidiscovery.k8s.io/v2', metadata: {}, items }
}

const aggregatedResource = (type: ResourceType): Json => ({
  resource: type.plural,
  responseKind: { group: type.group, version: type.version, kind: type.kind },
  scope: type.namespaced ? 'Namespaced' : 'Cluster',
  singularResource: type.singular,
  verbs: type.verbs,
  ...(type.shortNames.length > 0 ? { shortNames: type.shortNames } : {}),
  ...(type.categories.length > 0 ? { categories: type.categories } : {}),
  ...(type.subresources.length > 0
    ? {
        subresources: type.subresources.map((subresource) => ({
          subresource,
          responseKind: kindOf(type, subresource),
          verbs: subresourceVerbs[subresource] ?? ['get'],
        })),
      }
    : {}),
})
