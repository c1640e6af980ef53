import type { KubeObject } from './object.ts'
import type { Lookup, Registry, ResourceType } from './resources.ts'
import type { Store } from './store.ts'

/** The caller. */
export type User = { name: string; groups: string[]; uid?: string }

/** A write before it is stored; `old` is missing on creation, `object` on deletion. */
export type Attempt = {
  operation: 'create' | 'update' | 'delete'
  type: ResourceType
  subresource: string
  namespace: string | undefined
  object: KubeObject | undefined
  old: KubeObject | undefined
  user: User
}

/** Shared by all parts of the server. */
export type Core = {
  store: Store
  registry: Registry
  lookup: Lookup
  /** Called before each write, dry runs included, with the object as the client sent it. May change it, or throw to refuse it. */
  mutating: ((attempt: Attempt) => void)[]
  /** Called before each write, dry runs included, once the object is complete and valid. May throw to refuse it. */
  validating: ((attempt: Attempt) => void)[]
}

/** The server itself and its stand-in controllers. */
export const systemUser: User = { name: 'system:apiserver', groups: ['system:masters'] }

export function createLookup(store: Store): Lookup {
  return {
    get: (resource, namespace, name) => store.bucket(resource).get(namespace, name)?.object,
    list: (resource, namespace) =>
      store
        .bucket(resource)
        .list(namespace)
        .map((entry) => entry.object),
  }
}
