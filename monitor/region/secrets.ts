import { type Cache, type CacheTools, type Change, createCache } from '../../shared/kubernetes/cache.ts'
import { kinds } from '../../shared/kubernetes/objects.ts'
import type { Part } from '../../shared/lifecycle.ts'
import { type SecretView, type SparkplugNode, secretView } from '../sparkplug/sparkplug-node.ts'

/** Reports changes of the Secrets that `SparkplugNode`s name. Their contents do not stay in memory. */
export type WatchedSecrets = Part & Pick<Cache<SecretView>, 'subscribe'>

/**
 * Watches Secrets only in namespaces in which a `SparkplugNode` names one: no permission to watch the Secrets of the whole cluster is
 * needed. Where permission is missing the cache logs a warning once, and the nodes there are not asked to reload.
 */
export function createWatchedSecrets({
  nodes,
  ...tools
}: CacheTools & { nodes: Pick<Cache<SparkplugNode>, 'values' | 'subscribe'> }): WatchedSecrets {
  const caches = new Map<string, Cache<SecretView>>()
  const listeners = new Set<(change: Change<SecretView>) => void>()
  const ending = new AbortController()
  const stopping = new Set<Promise<void>>()
  let forget = () => {}

  /** Level-based: it looks at all nodes, not only at the changed one. */
  function settle(): void {
    const wanted = new Set<string>()
    for (const { metadata, secrets } of nodes.values()) if (secrets.length > 0) wanted.add(metadata.namespace ?? '')
    for (const namespace of wanted) if (!caches.has(namespace)) follow(namespace)
    for (const [namespace, cache] of caches) {
      if (wanted.has(namespace)) continue
      caches.delete(namespace)
      const stopped = cache.stop(0).finally(() => stopping.delete(stopped))
      stopping.add(stopped)
    }
  }

  function follow(namespace: string): void {
    const cache = createCache<SecretView>({ kind: kinds.Secret, namespace, pageSize: 20, view: secretView }, tools)
    caches.set(namespace, cache)
    cache.subscribe((change) => {
      // The nodes know the Secrets that exist when the watch starts.
      if (change.type === 'added' && !cache.synced) return
      for (const listener of listeners) listener(change)
    })
    cache.start(ending.signal).catch(() => {})
  }

  return {
    name: 'secrets of watched nodes',
    subscribe(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    async start() {
      settle()
      forget = nodes.subscribe(settle)
    },
    async stop() {
      forget()
      ending.abort(new Error('stopping'))
      await Promise.all([...stopping, ...[...caches.values()].map((cache) => cache.stop(0))])
    },
  }
}
