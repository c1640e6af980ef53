import type { FieldType } from './field-types.ts'
import type { KubeObject } from './object.ts'
import type { Schema } from './schema.ts'
import type { Cause } from './status.ts'

/** A column of `kubectl get`; with priority 1, only `-o wide` shows it. */
export type Column = {
  name: string
  type: 'string' | 'integer' | 'number' | 'boolean' | 'date'
  format?: string
  description?: string
  priority: number
  /** Undefined prints as an empty text, null as missing. */
  value(object: KubeObject): unknown
}

/** The lookups of a rule in the cluster; `resource` is `group/plural`, with an empty group for core. */
export type Lookup = {
  get(resource: string, namespace: string | undefined, name: string): KubeObject | undefined
  list(resource: string, namespace?: string): KubeObject[]
}

/** The rules of a built-in kind. */
export type KindRules = {
  /** The form of names; by default, a DNS subdomain. */
  name?: 'label' | 'service' | 'path'
  /** Sets the server's defaults. It may change the object; `old` is missing on creation. */
  prepare?(object: KubeObject, old: KubeObject | undefined, lookup: Lookup): void
  /** Every fault of the object. `old` is missing on creation. */
  check?(object: KubeObject, old: KubeObject | undefined, lookup: Lookup): Cause[]
  /** Refuses by policy: throws 403. */
  admit?(object: KubeObject, old: KubeObject | undefined, lookup: Lookup): void
}

export type Verb = 'create' | 'delete' | 'deletecollection' | 'get' | 'list' | 'patch' | 'update' | 'watch'

export const allVerbs: Verb[] = ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch']

/** A resource as it is served in one version. */
export type ResourceType = {
  group: string
  version: string
  kind: string
  listKind: string
  plural: string
  singular: string
  shortNames: string[]
  categories: string[]
  namespaced: boolean
  verbs: Verb[]
  /** Subresources that are served: `status` and, for some kinds, another one. */
  subresources: string[]
  /** `group/plural`: the bucket of its objects, whatever the version. */
  bucket: string
  /** The version in which objects are stored. */
  storageApiVersion: string
  /** Whether `metadata.generation` is kept. */
  generation: boolean
  fields: FieldType
  columns: Column[]
  fieldSelectors: string[]
  rules: KindRules
  /** The schema of a custom resource. */
  custom: { schema: Schema } | undefined
}

export const apiVersionOf = (type: Pick<ResourceType, 'group' | 'version'>): string =>
  type.group ? `${type.group}/${type.version}` : type.version

export const hasStatus = (type: ResourceType): boolean => type.subresources.includes('status')

/** The served resources: the built-in ones and those of the CustomResourceDefinitions in the cluster. */
export class Registry {
  readonly #types = new Map<string, ResourceType>()
  readonly #byKind = new Map<string, ResourceType>()
  readonly #byBucket = new Map<string, ResourceType[]>()
  /** Grows with each change, so that documents made from the registry can detect that they are stale. */
  generation = 0

  add(types: ResourceType[]): void {
    for (const type of types) {
      this.#types.set(`${type.group}/${type.version}/${type.plural}`, type)
      this.#byKind.set(`${apiVersionOf(type)}/${type.kind}`, type)
      this.#byBucket.set(type.bucket, [...(this.#byBucket.get(type.bucket) ?? []), type])
    }
    this.generation++
  }

  removeBucket(bucket: string): void {
    for (const type of this.#byBucket.get(bucket) ?? []) {
      this.#types.delete(`${type.group}/${type.version}/${type.plural}`)
      this.#byKind.delete(`${apiVersionOf(type)}/${type.kind}`)
    }
    this.#byBucket.delete(bucket)
    this.generation++
  }

  find(group: string, version: string, plural: string): ResourceType | undefined {
    return this.#types.get(`${group}/${version}/${plural}`)
  }

  findKind(apiVersion: string, kind: string): ResourceType | undefined {
    return this.#byKind.get(`${apiVersion}/${kind}`)
  }

  /** The type in which a bucket's objects are stored. */
  stored(bucket: string): ResourceType | undefined {
    const types = this.#byBucket.get(bucket)
    return types?.find((type) => apiVersionOf(type) === type.storageApiVersion) ?? types?.[0]
  }

  all(): ResourceType[] {
    return [...this.#types.values()]
  }

  /** One type for each bucket. */
  buckets(): ResourceType[] {
    return [...this.#byBucket.keys()].map((bucket) => this.stored(bucket) as ResourceType)
  }

  /** Groups with their versions, preferred first, in order of registration. */
  groups(): Map<string, string[]> {
    const groups = new Map<string, string[]>()
    for (const { group, version } of this.#types.values()) {
      const versions = groups.get(group) ?? []
      if (!versions.includes(version)) versions.push(version)
      groups.set(group, versions)
    }
    for (const versions of groups.values()) versions.sort(byPreference)
    return groups
  }
}

/** Kubernetes' order of versions: v2, v1, v1beta1, v1alpha1, then anything else by name. */
function byPreference(a: string, b: string): number {
  const parse = (version: string): [number, number, number] => {
    const match = /^v(\d+)(?:(alpha|beta)(\d+))?$/.exec(version)
    if (!match) return [-1, 0, 0]
    return [match[2] === undefined ? 2 : match[2] === 'beta' ? 1 : 0, Number(match[1]), Number(match[3] ?? 0)]
  }
  const [x, y] = [parse(a), parse(b)]
  for (const index of [0, 1, 2] as const) if (x[index] !== y[index]) return y[index] - x[index]
  return a < b ? -1 : 1
}
