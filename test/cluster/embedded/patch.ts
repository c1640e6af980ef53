import { type FieldType, fieldOf } from './field-types.ts'
import { clone, equal, isMap, type Json, ownValue, setKey } from './object.ts'
import { ApiError, badRequest } from './status.ts'

/** Returns a value with a JSON merge patch (RFC 7386) applied; the value itself does not change. */
export function mergePatch(target: Json, patch: Json): Json {
  if (!isMap(patch)) return clone(patch)
  const result: Record<string, Json> = {}
  if (isMap(target)) for (const key of Object.keys(target)) setKey(result, key, target[key])
  for (const key of Object.keys(patch)) {
    if (patch[key] === null) delete result[key]
    else setKey(result, key, mergePatch(ownValue(result, key), patch[key]))
  }
  return result
}

type Operation = { op: string; path: string; from?: string; value?: Json }

/** Applies a JSON patch (RFC 6902). Throws 400 when it is malformed, 422 when it does not fit the document. */
export function jsonPatch(target: Json, operations: Json): Json {
  if (!Array.isArray(operations)) throw badRequest('json: cannot unmarshal object into Go value of type jsonpatch.Patch')
  if (operations.length > 10_000)
    throw new ApiError(413, 'RequestEntityTooLarge', `The allowed maximum operations in a JSON patch is 10000`)
  const root = { document: clone(target) }
  for (const operation of operations as Operation[]) applyOperation(root, operation)
  return root.document
}

const unfit = (message: string): ApiError =>
  new ApiError(422, 'Invalid', `the server rejected our request due to an error in our request: ${message}`, {})

function applyOperation(root: { document: Json }, { op, path, from, value }: Operation): void {
  if (typeof path !== 'string') throw badRequest('jsonpatch operation has no path')
  switch (op) {
    case 'add':
      change(root, path, (parent, key) => insert(parent, key, clone(value)))
      return
    case 'remove':
      change(root, path, remove)
      return
    case 'replace':
      change(root, path, (parent, key) => replace(parent, key, clone(value)))
      return
    case 'move': {
      const moved = read(root, from ?? '')
      change(root, from ?? '', remove)
      change(root, path, (parent, key) => insert(parent, key, moved))
      return
    }
    case 'copy':
      change(root, path, (parent, key) => insert(parent, key, clone(read(root, from ?? ''))))
      return
    case 'test':
      if (!equal(read(root, path) ?? null, value ?? null)) throw unfit(`testing value ${path} failed`)
      return
    default:
      throw badRequest(`Unexpected kind: ${op}`)
  }
}

function stepsOf(pointer: string): string[] {
  if (pointer === '') return []
  if (!pointer.startsWith('/')) throw unfit(`invalid JSON pointer ${JSON.stringify(pointer)}`)
  return pointer
    .slice(1)
    .split('/')
    .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'))
}

const at = (value: Json, step: string): Json =>
  Array.isArray(value) ? (/^(0|[1-9]\d*)$/.test(step) ? value[Number(step)] : undefined) : ownValue(value, step)

function read(root: { document: Json }, pointer: string): Json {
  let value = root.document
  for (const step of stepsOf(pointer)) {
    value = at(value, step)
    if (value === undefined) throw unfit(`path ${pointer} does not exist`)
  }
  return value
}

function change(root: { document: Json }, pointer: string, act: (parent: Json, key: string) => void): void {
  const steps = stepsOf(pointer)
  const last = steps.pop()
  if (last === undefined) {
    act(root, 'document')
    return
  }
  let parent = root.document
  for (const step of steps) parent = at(parent, step)
  if (typeof parent !== 'object' || parent === null) throw unfit(`doc is missing path: ${pointer}: missing value`)
  act(parent, last)
}

function insert(parent: Json, key: string, value: Json): void {
  if (!Array.isArray(parent)) {
    setKey(parent, key, value)
    return
  }
  const index = key === '-' ? parent.length : Number(key)
  if (!Number.isInteger(index) || index < 0 || index > parent.length) throw unfit(`index ${key} out of bounds`)
  parent.splice(index, 0, value)
}

function remove(parent: Json, key: string): void {
  if (at(parent, key) === undefined) throw unfit(`Unable to remove nonexistent key: ${key}: missing value`)
  if (Array.isArray(parent)) parent.splice(Number(key), 1)
  else delete parent[key]
}

function replace(parent: Json, key: string, value: Json): void {
  if (at(parent, key) === undefined) throw unfit(`replace operation does not apply: doc is missing key: ${key}: missing value`)
  if (Array.isArray(parent)) parent[Number(key)] = value
  else setKey(parent, key, value)
}

const setOrder = '$setElementOrder/'
const deletions = '$deleteFromPrimitiveList/'

/**
 * Applies a strategic merge patch: maps merge, lists with a merge key merge item by item, sets unite, other lists are replaced.
 * Knows `$patch: delete|replace|merge`, `$deleteFromPrimitiveList`, `$setElementOrder` and `$retainKeys`.
 */
export function strategicMergePatch(target: Json, patch: Json, type: FieldType): Json {
  if (!isMap(patch)) return clone(patch)
  if (patch.$patch === 'replace') return withoutDirectives(patch)
  const result: Record<string, Json> = isMap(target) ? { ...target } : {}
  if (Array.isArray(patch.$retainKeys)) for (const key of Object.keys(result)) if (!patch.$retainKeys.includes(key)) delete result[key]
  for (const key of Object.keys(patch)) {
    if (key === '$patch' || key === '$retainKeys' || key.startsWith(setOrder)) continue
    if (key.startsWith(deletions)) {
      const name = key.slice(deletions.length)
      const list = ownValue(result, name)
      if (Array.isArray(list)) result[name] = list.filter((item) => !patch[key].includes(item))
      continue
    }
    const below = fieldOf(type, key) ?? { is: 'any' }
    const old = ownValue(result, key)
    if (patch[key] === null) delete result[key]
    else if (isMap(patch[key]) && patch[key].$patch === 'delete') delete result[key]
    else if (Array.isArray(patch[key])) setKey(result, key, mergeList(old, patch[key], below))
    else setKey(result, key, strategicMergePatch(old, patch[key], below))
  }
  for (const key of Object.keys(patch)) {
    if (!key.startsWith(setOrder)) continue
    const name = key.slice(setOrder.length)
    const list = ownValue(result, name)
    if (Array.isArray(list)) result[name] = ordered(list, patch[key], fieldOf(type, name) ?? { is: 'any' })
  }
  return result
}

function mergeList(old: Json, patch: Json[], type: FieldType): Json {
  const items: Json[] = Array.isArray(old) ? [...old] : []
  if (type.is === 'set') return [...new Set([...items, ...patch])]
  if (type.is !== 'list') return clone(patch)
  const key = type.mergeKey
  if (patch.some((item) => isMap(item) && item.$patch === 'replace')) {
    return patch.filter((item) => !(isMap(item) && Object.hasOwn(item, '$patch'))).map(clone)
  }
  for (const item of patch) {
    if (!isMap(item) || item[key] === undefined)
      throw badRequest(`map: ${JSON.stringify(item)} does not contain declared merge key: ${key}`)
    const index = items.findIndex((each) => isMap(each) && each[key] === item[key])
    if (item.$patch === 'delete') {
      if (index >= 0) items.splice(index, 1)
    } else if (index >= 0) items[index] = strategicMergePatch(items[index], item, type.items)
    else items.push(strategicMergePatch({}, item, type.items))
  }
  return items
}

/** Items in `order` get that order; the others stay behind the item that they followed. */
function ordered(list: Json[], order: Json[], type: FieldType): Json[] {
  const key = type.is === 'list' ? type.mergeKey : undefined
  const idOf = (item: Json): Json => (key && isMap(item) ? item[key] : item)
  const wanted = order.map(idOf)
  const rank = (item: Json): number => wanted.findIndex((each) => equal(each, idOf(item)))
  const named = list.filter((item) => rank(item) >= 0).sort((a, b) => rank(a) - rank(b))
  const result: Json[] = []
  for (const item of list) result.push(rank(item) >= 0 ? named.shift() : item)
  return result
}

function withoutDirectives(patch: Record<string, Json>): Json {
  const { $patch: _, ...rest } = patch
  return clone(rest)
}
