import type { KubernetesObject } from '../../../shared/kubernetes/objects.ts'

/** One value that is another than before. `path` is a JSON pointer; `from` is missing where nothing was, `to` where nothing will be. */
export type Difference = { path: string; from?: unknown; to?: unknown }

/** What stands in place of a secret value. */
const masked = '[masked]'

// Kubernetes' own account of an object, which every write changes.
const bookkeeping = ['managedFields', 'resourceVersion', 'generation', 'uid', 'creationTimestamp']

/**
 * What differs between an object as it is and as it would be, the deepest fields each for itself. Of a Secret, values are masked
 * and annotations left out: the operator keeps a copy of the data in one.
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
  // A branch that comes or goes is told leaf by leaf, so that every path names one value.
  const comesOrGoes = (from === undefined && isBranch(to)) || (to === undefined && isBranch(from))
  if (alike || comesOrGoes) compareMembers(path, (from ?? {}) as object, (to ?? {}) as object, found)
  else found.push({ path, ...(from !== undefined && { from }), ...(to !== undefined && { to }) })
}

function compareMembers(path: string, from: object, to: object, found: Difference[]): void {
  const [before, after] = [new Map(Object.entries(from)), new Map(Object.entries(to))]
  for (const name of new Set([...before.keys(), ...after.keys()])) {
    compare(`${path}/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`, before.get(name), after.get(name), found)
  }
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}

/** An object or list with something in it; that an empty one comes or goes is told like any other value. */
function isBranch(value: unknown): boolean {
  return isObject(value) && Object.keys(value).length > 0
}

function mask(difference: Difference): Difference {
  if (!/^\/(data|stringData)\//.test(difference.path)) return difference
  const { path, from, to } = difference
  return { path, ...(from !== undefined && { from: masked }), ...(to !== undefined && { to: masked }) }
}
