import { type Caches, createCaches } from '../../agent/region/caches.ts'
import { systemClock } from '../../shared/clock.ts'
import type { Cluster, WatchEvent } from '../../shared/kubernetes/connection.ts'
import { type KubernetesObject, kinds, pathOfObject } from '../../shared/kubernetes/objects.ts'
import { createLog } from '../../shared/log.ts'

/** The agent's real caches, following a collection of objects that the test holds in its hand. */
export type CachesInHand = {
  caches: Caches
  /** Adds or replaces an object, with a new resourceVersion. The caches have it when this resolves. */
  set(object: KubernetesObject): Promise<KubernetesObject>
  remove(object: KubernetesObject): Promise<void>
  stop(): Promise<void>
}

/** @param namespace the agent's own */
export async function cachesInHand(namespace = 'skerry-system'): Promise<CachesInHand> {
  const watchers = new Map<string, (event: WatchEvent) => void>()
  const objects = new Map<string, KubernetesObject>()
  let resourceVersion = 1

  const cluster: Cluster = {
    server: new URL('https://127.0.0.1:1'),
    // biome-ignore lint/suspicious/noExplicitAny: as the interface has it
    request: async (): Promise<any> => ({ metadata: { resourceVersion: '1' }, items: [] }),
    async *watch(path, _query, signal) {
      const waiting: WatchEvent[] = []
      let wake = () => {}
      watchers.set(path.split('/').at(-1) ?? '', (event) => {
        waiting.push(event)
        wake()
      })
      signal.addEventListener('abort', () => wake(), { once: true })
      while (!signal.aborted) {
        for (const event of waiting.splice(0)) yield event
        await new Promise<void>((resolve) => {
          wake = resolve
          if (waiting.length > 0 || signal.aborted) resolve()
        })
      }
    },
    close: () => {},
  }
  const log = createLog({ level: 'silent', name: 'test' })
  const caches = createCaches({ namespace }, { cluster, clock: systemClock, log })
  const all = Object.values(caches)
  await Promise.all(all.map((cache) => cache.start(new AbortController().signal)))

  /** Hands the event to the watches of its collection, then waits until a cache has it. */
  async function tell(type: WatchEvent['type'], object: KubernetesObject): Promise<void> {
    const before = all.reduce((sum, cache) => sum + cache.version, 0)
    const deliver = watchers.get(Object.values(kinds).find(({ kind }) => kind === object.kind)?.plural ?? '')
    if (!deliver) throw new Error(`no cache follows ${object.kind}`)
    deliver({ type, object: structuredClone(object) })
    while (all.reduce((sum, cache) => sum + cache.version, 0) === before) await new Promise((resolve) => setImmediate(resolve))
  }

  return {
    caches,
    async set(given) {
      const path = pathOfObject(given)
      const object = structuredClone(given)
      object.metadata.resourceVersion = String(++resourceVersion)
      const known = objects.has(path)
      objects.set(path, object)
      await tell(known ? 'MODIFIED' : 'ADDED', object)
      return object
    },
    async remove(object) {
      const gone = structuredClone(object)
      gone.metadata.resourceVersion = String(++resourceVersion)
      objects.delete(pathOfObject(object))
      await tell('DELETED', gone)
    },
    async stop() {
      await Promise.all(all.map((cache) => cache.stop(systemClock.monotonic())))
    },
  }
}
