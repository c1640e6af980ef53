/** Any JSON value. The server handles objects of kinds it does not know, so their fields have no static type. */
// biome-ignore lint/suspicious/noExplicitAny: an API server walks documents whose shape only the schema in the cluster knows
export type Json = any

export type OwnerReference = {
  apiVersion: string
  kind: string
  name: string
  uid: string
  controller?: boolean
  blockOwnerDeletion?: boolean
}

export type ManagedFieldsEntry = {
  manager: string
  operation: 'Apply' | 'Update'
  apiVersion: string
  time?: string
  fieldsType: 'FieldsV1'
  fieldsV1: Record<string, Json>
  subresource?: string
}

export type ObjectMeta = {
  name: string
  namespace?: string
  generateName?: string
  uid: string
  resourceVersion: string
  generation?: number
  creationTimestamp: string
  deletionTimestamp?: string
  deletionGracePeriodSeconds?: number
  labels?: Record<string, string>
  annotations?: Record<string, string>
  finalizers?: string[]
  ownerReferences?: OwnerReference[]
  managedFields?: ManagedFieldsEntry[]
}

/** A Kubernetes object. Objects in the store are never changed in place: writers clone first. */
export type KubeObject = { apiVersion: string; kind: string; metadata: ObjectMeta; [field: string]: Json }

export const isMap = (value: Json): value is Record<string, Json> => typeof value === 'object' && value !== null && !Array.isArray(value)

/** A deep copy of a JSON value; several times as fast as `structuredClone`, which handles more than JSON. */
export function clone<T>(value: T): T {
  if (Array.isArray(value)) return value.map(clone) as T
  if (typeof value !== 'object' || value === null) return value
  const copy: Record<string, Json> = {}
  for (const key of Object.keys(value)) setKey(copy, key, clone((value as Record<string, Json>)[key]))
  return copy as T
}

/** Sets a key from outside: `__proto__` becomes an ordinary key instead of changing the prototype. */
export function setKey(target: Record<string, Json>, key: string, value: Json): void {
  if (key === '__proto__') Object.defineProperty(target, key, { value, enumerable: true, configurable: true, writable: true })
  else target[key] = value
}

/** The own value of a key from outside, never an inherited value. */
export function ownValue(target: Json, key: string): Json {
  return isMap(target) && Object.hasOwn(target, key) ? target[key] : undefined
}

/** Whether two JSON values are the same, whatever the order of their keys. */
export function equal(a: Json, b: Json): boolean {
  if (a === b) return true
  if (Array.isArray(a)) return Array.isArray(b) && a.length === b.length && a.every((item, index) => equal(item, b[index]))
  if (!isMap(a) || !isMap(b)) return false
  const keys = Object.keys(a)
  return keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && equal(a[key], b[key]))
}

/** The time as Kubernetes writes it, to the second. */
export const timestamp = (at = Date.now()): string => `${new Date(at).toISOString().slice(0, 19)}Z`
