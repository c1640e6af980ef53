import type { Readiness } from '../../shared/lifecycle.ts'
import { collections, isKnown, type MonitorCaches } from '../region/caches.ts'
import type { EdgeNode } from '../sparkplug/edge-node.ts'

/**
 * Whether every collection of the cluster was listed once. A watch that broke since then does not make the monitor unready: its data is
 * stale, and another replica would see no more. The Registration is a warning from the start: only births tell of it, and a monitor with the
 * permissions of an earlier version may not read it.
 */
export function regionReadiness(caches: MonitorCaches): Readiness[] {
  return collections.map((name) => ({
    name: `cache of ${name}`,
    ...(name === 'registrations' && { isWarning: true }),
    trouble() {
      const cache = caches[name]
      if (isKnown(cache)) return undefined
      return `not listed yet${cache.trouble === undefined ? '' : `: ${cache.trouble}`}`
    },
  }))
}

/**
 * Whether the births have been sent. A replica that does not lead has none to send. It is a warning: without its server or its primary host
 * the monitor checks, answers and keeps what it could not send, so that nothing waits for it, such as a rollout.
 */
export function edgeNodeReadiness(edgeNode: Pick<EdgeNode, 'observe'>, isLeader: () => boolean): Readiness {
  return {
    name: 'edge node',
    isWarning: true,
    trouble() {
      const { isOnline, isConnected, server } = edgeNode.observe()
      if (isOnline || !isLeader()) return undefined
      if (isConnected) return `connected to ${server}, but the births have not been sent: it subscribes, or waits for the primary host`
      return `not connected${server === undefined ? ', waiting before the next attempt' : ` to ${server} yet`}: see the log`
    },
  }
}

/** Whether what must survive a restart is on disk: bdSeq, and kept changes. */
export function storageReadiness(edgeNode: Pick<EdgeNode, 'observe'>): Readiness {
  return { name: 'storage', trouble: () => edgeNode.observe().storageTrouble }
}
