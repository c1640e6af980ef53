import { collections, isKnown, type MonitorCaches } from '../region/caches.ts'
import type { EdgeNode } from '../sparkplug/edge-node.ts'
import type { Readiness } from './index.ts'

/**
 * Whether the cluster was seen: each collection once as a whole. A watch that broke since is no reason to call the monitor unready: what
 * it told is stale then, and another replica would see no more.
 */
export function regionReadiness(caches: MonitorCaches): Readiness[] {
  return collections.map((name) => ({
    name: `cache of ${name}`,
    trouble() {
      const cache = caches[name]
      if (isKnown(cache)) return undefined
      return `not seen whole yet${cache.trouble === undefined ? '' : `: ${cache.trouble}`}`
    },
  }))
}

/** Whether the births are out. A replica that does not lead has none to send, and is as ready as it can be. */
export function edgeNodeReadiness(edgeNode: Pick<EdgeNode, 'observe'>, isLeader: () => boolean): Readiness {
  return {
    name: 'edge node',
    trouble() {
      const { isOnline, isConnected, server } = edgeNode.observe()
      if (isOnline || !isLeader()) return undefined
      if (isConnected) return `connected to ${server}, births are not out: it subscribes, or waits for the primary host`
      return `not connected${server === undefined ? ', waiting before the next attempt' : ` to ${server} yet`}: see the log`
    },
  }
}
