/** The metadata that the stand-ins read and write. */
type ObjectMeta = {
  name: string
  namespace?: string
  generateName?: string
  uid?: string
  resourceVersion?: string
  generation?: number
  creationTimestamp?: string
  deletionTimestamp?: string
  finalizers?: string[]
  labels?: Record<string, string>
  annotations?: Record<string, string>
  ownerReferences?: OwnerReference[]
}

/** One entry of `metadata.ownerReferences`. */
export type OwnerReference = {
  apiVersion: string
  kind: string
  name: string
  uid: string
  controller?: boolean
  blockOwnerDeletion?: boolean
}

/** Any Kubernetes object. */
export type KubernetesObject = {
  apiVersion: string
  kind: string
  metadata: ObjectMeta
  // biome-ignore lint/suspicious/noExplicitAny: the fields depend on the kind, which the compiler does not know
  [field: string]: any
}

/** A kind and the path under which the API server serves it. */
export type Kind = { apiVersion: string; kind: string; plural: string; namespaced: boolean }

/** The API path of a collection (in one namespace, or in all of them), or of one object in it. */
export function pathOf({ apiVersion, plural, namespaced }: Kind, namespace?: string, name?: string): string {
  const group = apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`
  const scope = namespace !== undefined && namespaced ? `/namespaces/${encodeURIComponent(namespace)}` : ''
  return `${group}${scope}/${plural}${name === undefined ? '' : `/${encodeURIComponent(name)}`}`
}

/** `namespace/name`, or `name` for a cluster-scoped object: the key of an object in a collection. */
export function keyOf({ namespace, name }: { namespace?: string | undefined; name: string }): string {
  return namespace === undefined ? name : `${namespace}/${name}`
}

/**
 * Whether one resourceVersion is later than another of the same cluster. Both are etcd revisions and compare as numbers, which KEP-5504
 * makes part of the API. A missing version counts as older than any other.
 */
export function isNewer(version: string | undefined, than: string | undefined): boolean {
  if (version === undefined || than === undefined || than === '') return true
  return version.length === than.length ? version > than : version.length > than.length
}
