import type { Collection } from '../client/collection.ts'
import type { KubernetesObject } from '../client/objects.ts'

/** An index of a collection by a shared value, kept current. */
export type Index = { of(value: string): KubernetesObject[]; stop(): void }

/** @param groupOf the key of an object; undefined leaves the object out */
export function indexBy(cache: Collection, groupOf: (object: KubernetesObject) => string | undefined): Index {
  const groups = new Map<string, Map<string, KubernetesObject>>()
  const values = new Map<string, string>()

  function drop(key: string): void {
    const value = values.get(key)
    if (value === undefined) return
    values.delete(key)
    const group = groups.get(value)
    group?.delete(key)
    if (group?.size === 0) groups.delete(value)
  }

  function add(key: string, object: KubernetesObject): void {
    const value = groupOf(object)
    if (values.get(key) !== value) drop(key)
    if (value === undefined) return
    values.set(key, value)
    const group = groups.get(value)
    if (group) group.set(key, object)
    else groups.set(value, new Map([[key, object]]))
  }

  const stop = cache.subscribe(({ type, key, object }) => (type === 'removed' ? drop(key) : add(key, object)))
  for (const object of cache.values())
    add(`${object.metadata.namespace ? `${object.metadata.namespace}/` : ''}${object.metadata.name}`, object)
  return { of: (value) => [...(groups.get(value)?.values() ?? [])], stop }
}

/** `namespace/name` of the database to which an object belongs, from the labels that the Crate Operator sets. */
export function databaseKey({ metadata: { namespace, labels } }: KubernetesObject): string | undefined {
  const name = labels?.['app.kubernetes.io/name']
  return name === undefined || labels?.['app.kubernetes.io/component'] === undefined ? undefined : `${namespace}/${name}`
}
