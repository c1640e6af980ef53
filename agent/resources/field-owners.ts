import { isDeepStrictEqual } from 'node:util'
import { pointerTo } from '../../shared/json-pointer.ts'
import type { KubernetesObject } from '../../shared/kubernetes/objects.ts'
import { differing } from './covers.ts'
import { fieldManager } from './labels.ts'

/** A field of an object in the cluster, with the managers that set it. */
export type OwnedField = {
  /** The names of the fields on the way to it. */
  path: string[]
  /** Its value in the cluster. */
  value: unknown
  /** The field managers that own it, apart from Skerry's applies; empty if the API server itself has set it. */
  managers: string[]
}

/**
 * The parts of objects in which Skerry decides on every field (decision 23). Elsewhere it decides only on the fields that it writes: labels
 * and annotations of others stay, and so do the pull secrets that OpenShift adds to a ServiceAccount.
 */
const decidedParts: Record<string, string[][] | undefined> = {
  Project: [['spec']],
  CrateDB: [['spec']],
  Secret: [['data']],
  ResourceQuota: [['spec']],
  LimitRange: [['spec']],
  NetworkPolicy: [['spec']],
}

/** Maps of the metadata in which Skerry removes only the keys that it has applied earlier. */
const sharedMaps = [
  ['metadata', 'labels'],
  ['metadata', 'annotations'],
]

/** https://kubernetes.io/docs/reference/using-api/server-side-apply/: `f:` and a name; `k:`, `v:` and `i:` stand for entries of lists. */
type FieldsV1 = { [element: string]: FieldsV1 }
type ManagedFields = { manager?: string; operation?: string; fieldsV1?: FieldsV1 }[]

/**
 * The fields that a server-side apply of `wanted` leaves although they are not wanted, since an apply removes only what nobody else owns.
 *
 * `metadata.managedFields` is the source, so that defaults of the API server do not count.
 *
 * @param standing the object as the API server returned it
 * @param before the object before the apply: it tells which labels and annotations Skerry has applied earlier
 */
export function foreignFields(standing: KubernetesObject, wanted: KubernetesObject, before?: KubernetesObject): OwnedField[] {
  const found = new Map<string, OwnedField>()
  const formerly = new Set([...ownFields(before), ...labelsAsked(before)].map((path) => path.join('\0')))
  for (const { manager = 'unknown', fieldsV1 } of others(standing)) {
    for (const path of fieldsIn(fieldsV1)) {
      if (!isDecided(wanted.kind, path) && !formerly.has(path.join('\0'))) continue
      const left = leftAt(standing, wanted, path)
      if (left === undefined) continue
      const key = left.join('\0')
      const { managers = [] } = found.get(key) ?? {}
      found.set(key, { path: left, value: valueAt(standing, left), managers: [...new Set([...managers, manager])] })
    }
  }
  return [...found.values()]
}

/**
 * The objects in `spec` that Skerry has applied and that are no longer wanted. An apply removes their fields, but Kubernetes 1.20 leaves null in
 * their place, which CRDs refuse.
 */
export function droppedObjects(before: KubernetesObject, wanted: KubernetesObject): OwnedField[] {
  const applied = managedFieldsOf(before).filter(isOwn)
  const dropped = applied
    .flatMap(({ fieldsV1 }) => fieldsIn(fieldsV1))
    .filter(([part]) => part === 'spec')
    .map((path) => leftAt(before, wanted, path))
    .filter((path) => path !== undefined)
  const unique = new Map(dropped.map((path) => [pointerTo(path), { path, value: valueAt(before, path), managers: [] }]))
  return [...unique.values()].filter(({ value }) => typeof value === 'object' && value !== null && !Array.isArray(value))
}

/** The managers besides Skerry that own the field at this path, or a part of it, or a list around it. */
export function managersOf(standing: KubernetesObject, path: string[]): string[] {
  // A part of it, itself, or what holds it as one value: a list, or a map that is not merged.
  const owns = (fields: FieldsV1 | undefined) =>
    fieldsIn(fields).some((owned) => startsWith(owned, path) || (startsWith(path, owned) && isOneValue(fields, owned)))
  const managers = others(standing).flatMap(({ manager = 'unknown', fieldsV1 }) => (owns(fieldsV1) ? [manager] : []))
  return [...new Set(managers.filter((manager) => manager !== fieldManager))]
}

/** A merge patch that writes the wanted object, and removes these fields. */
export function removing(foreign: OwnedField[], wanted: KubernetesObject): KubernetesObject {
  const patch = structuredClone(wanted)
  for (const { path } of foreign) put(patch, path, valueAt(wanted, path) ?? null)
  return patch
}

/** The object as it is without these fields. */
export function withoutFields(standing: KubernetesObject, foreign: OwnedField[], wanted: KubernetesObject): KubernetesObject {
  if (foreign.length === 0) return standing
  const rest = structuredClone(standing)
  for (const { path } of foreign) put(rest, path, valueAt(wanted, path))
  return JSON.parse(JSON.stringify(rest))
}

/** The first field of `wanted` that the object in the cluster does not have with that value; undefined if it has all. */
export function unheldField(standing: KubernetesObject, wanted: KubernetesObject): (OwnedField & { wanted: unknown }) | undefined {
  const path = differing(standing, wanted)
  return path && { path, value: valueAt(standing, path), wanted: valueAt(wanted, path), managers: managersOf(standing, path) }
}

/** `kubectl-patch`; `kubectl-patch and argocd`; `the API server or an admission webhook`. */
export function namesOf(managers: string[]): string {
  return managers.length === 0 ? 'the API server or an admission webhook' : managers.join(' and ')
}

function managedFieldsOf(object: KubernetesObject | undefined): ManagedFields {
  return (object?.metadata as { managedFields?: ManagedFields } | undefined)?.managedFields ?? []
}

/** Also what Skerry itself has written without an apply: an apply does not remove that either. */
function others(object: KubernetesObject): ManagedFields {
  return managedFieldsOf(object).filter((entry) => !isOwn(entry))
}

function isOwn({ manager, operation }: ManagedFields[number]): boolean {
  return manager === fieldManager && operation === 'Apply'
}

function ownFields(object: KubernetesObject | undefined): string[][] {
  return managedFieldsOf(object)
    .filter(isOwn)
    .flatMap(({ fieldsV1 }) => fieldsIn(fieldsV1))
    .filter((path) => sharedMaps.some((map) => startsWith(path, map) && path.length > map.length))
}

/** The labels of a project's request, even if somebody else has changed their value since. */
function labelsAsked(object: KubernetesObject | undefined): string[][] {
  return object?.kind === 'Project' ? Object.keys(object.spec?.labels ?? {}).map((name) => ['metadata', 'labels', name]) : []
}

/** The path of each owned field. It ends at a list, since its entries have no names. */
function fieldsIn(fields: FieldsV1 = {}, above: string[] = []): string[][] {
  const members = Object.entries(fields).filter(([element]) => element !== '.')
  const named = members.filter(([element]) => element.startsWith('f:'))
  if (named.length === 0) return above.length === 0 ? [] : [above]
  const itself = Object.hasOwn(fields, '.') ? [above] : []
  return [...itself, ...named.flatMap(([element, below]) => fieldsIn(below, [...above, element.slice(2)]))]
}

function isOneValue(fields: FieldsV1 | undefined, path: string[]): boolean {
  const at = path.reduce<FieldsV1 | undefined>((below, name) => below?.[`f:${name}`], fields)
  return Object.keys(at ?? {}).every((element) => !element.startsWith('f:'))
}

function isDecided(kind: string, path: string[]): boolean {
  return decidedParts[kind]?.some((part) => startsWith(path, part)) ?? false
}

function startsWith(path: string[], part: string[]): boolean {
  return part.every((name, at) => path[at] === name)
}

/** The field on this path, the topmost one, that is in the cluster and not wanted; or the list that has other entries. */
function leftAt(standing: KubernetesObject, wanted: KubernetesObject, path: string[]): string[] | undefined {
  for (let length = 1; length <= path.length; length++) {
    const upTo = path.slice(0, length)
    const [is, wants] = [valueAt(standing, upTo), valueAt(wanted, upTo)]
    if (is === undefined) return undefined
    if (wants === undefined) return upTo
    if (Array.isArray(is) && Array.isArray(wants)) return is.length === wants.length || isDeepStrictEqual(is, wants) ? undefined : upTo
  }
  return undefined
}

/** The value on this path; undefined if there is none. */
export function valueAt(object: unknown, path: string[]): unknown {
  return path.reduce<unknown>(
    (at, name) => (typeof at === 'object' && at !== null ? (at as Record<string, unknown>)[name] : undefined),
    object,
  )
}

function put(object: Record<string, unknown>, [name = '', ...rest]: string[], value: unknown): void {
  if (rest.length === 0) object[name] = value
  else {
    const below = (object[name] ?? {}) as Record<string, unknown>
    object[name] = below
    put(below, rest, value)
  }
}
