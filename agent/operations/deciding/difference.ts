import { pointerTo } from '../../../shared/json-pointer.ts'
import type { KubernetesObject } from '../../../shared/kubernetes/objects.ts'

/** One changed value. `path` is a JSON pointer; `from` is missing for an added value, `to` for a removed one. */
export type Difference = { path: string; from?: unknown; to?: unknown }

/** Replaces a secret value. */
const masked = '[masked]'

// Kubernetes changes these in every write.
const bookkeeping = ['managedFields', 'resourceVersion', 'generation', 'uid', 'creationTimestamp']

/**
 * The differences between an object as it is and as it would be, down to single values. Long texts are cut. The values of a Secret are
 * masked, and its annotations omitted: the operator keeps a copy of the data in one of them.
 */
export function differenceOf(before: KubernetesObject | undefined, after: KubernetesObject | undefined): Difference[] {
  const found: Difference[] = []
  compare('', before && shown(before), after && shown(after), found)
  return (before ?? after)?.kind === 'Secret' ? found.map(mask) : found
}

function shown({ kind, metadata, status: _status, apiVersion: _apiVersion, ...rest }: KubernetesObject): Record<string, unknown> {
  const hidden = kind === 'Secret' ? [...bookkeeping, 'annotations'] : bookkeeping
  const kept = Object.entries(metadata).filter(([name]) => !hidden.includes(name) && name !== 'name' && name !== 'namespace')
  return { ...(kept.length > 0 && { metadata: Object.fromEntries(kept) }), ...rest }
}

function compare(path: string, from: unknown, to: unknown, found: Difference[]): void {
  if (from === to) return
  const alike = isObject(from) && isObject(to) && Array.isArray(from) === Array.isArray(to)
  // Of an added or removed branch every value is listed, so that each path names one value.
  const comesOrGoes = (from === undefined && isBranch(to)) || (to === undefined && isBranch(from))
  if (alike || comesOrGoes) compareMembers(path, (from ?? {}) as object, (to ?? {}) as object, found)
  else found.push({ path, ...(from !== undefined && { from: cut(from) }), ...(to !== undefined && { to: cut(to) }) })
}

/** Longer texts are cut: an annotation may have thousands of characters, and a plan lists every value. */
const mostCharacters = 500

function cut(value: unknown): unknown {
  if (typeof value !== 'string' || value.length <= mostCharacters) return value
  return `${value.slice(0, mostCharacters).toWellFormed()}… (${value.length} characters)`
}

function compareMembers(path: string, from: object, to: object, found: Difference[]): void {
  const [before, after] = [new Map(Object.entries(from)), new Map(Object.entries(to))]
  for (const name of new Set([...before.keys(), ...after.keys()])) {
    compare(path + pointerTo([name]), before.get(name), after.get(name), found)
  }
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}

/** A non-empty object or list. An empty one counts as a single value. */
function isBranch(value: unknown): boolean {
  return isObject(value) && Object.keys(value).length > 0
}

function mask(difference: Difference): Difference {
  if (!/^\/(data|stringData)\//.test(difference.path)) return difference
  const { path, from, to } = difference
  return { path, ...(from !== undefined && { from: masked }), ...(to !== undefined && { to: masked }) }
}
