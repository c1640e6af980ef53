import { isProblem } from '../../shared/errors.ts'
import { type CacheTools, createCache } from '../../shared/kubernetes/cache.ts'
import { type KubernetesObject, kinds, pathOf } from '../../shared/kubernetes/objects.ts'
import { mergePatch } from '../../shared/kubernetes/patch.ts'
import { beatFromText, beatToText } from './beat.ts'
import type { BeatStore } from './store.ts'

/** The ConfigMap that the replicas of a monitor share. It has a key for each heartbeat. */
const heartbeatsConfigMap = 'skerry-monitor-heartbeats'

/** Keeps beats in a ConfigMap, which every replica watches. */
export function createClusterBeats(namespace: string, tools: CacheTools): BeatStore {
  const { cluster } = tools
  const path = pathOf(kinds.ConfigMap, namespace, heartbeatsConfigMap)
  const cache = createCache(
    { kind: kinds.ConfigMap, namespace, fieldSelector: `metadata.name=${heartbeatsConfigMap}`, view: (object) => object },
    tools,
  )

  return {
    follow({ found, known }, signal) {
      cache.subscribe(() => {
        for (const [id, text] of Object.entries(dataOf(cache.get(`${namespace}/${heartbeatsConfigMap}`)))) {
          const beat = beatFromText(text)
          if (beat !== undefined) found(id, beat)
        }
      })
      // It rejects only when the monitor stops first.
      cache.start(signal).then(known, () => {})
      signal.addEventListener('abort', () => void cache.stop(), { once: true })
    },
    async keep(beats) {
      const data = Object.fromEntries([...beats].map(([id, beat]) => [id, beatToText(beat)]))
      try {
        await mergePatch(cluster, path, { data }, { fieldManager: 'skerry-monitor' })
      } catch (error) {
        if (!isProblem(error, 'not-found')) throw error
        const labels = { 'app.kubernetes.io/managed-by': 'skerry', 'app.kubernetes.io/component': 'monitor' }
        const body = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: heartbeatsConfigMap, namespace, labels }, data }
        await cluster.request({ method: 'POST', path: pathOf(kinds.ConfigMap, namespace), body })
      }
    },
    trouble: () => (cache.synced ? undefined : (cache.trouble ?? 'they are being read')),
  }
}

function dataOf(object: KubernetesObject | undefined): Record<string, string> {
  return (object?.data ?? {}) as Record<string, string>
}
