import type { Collection } from '../client/collection.ts'
import { setNodeReady } from './nodes.ts'
import type { World } from './world.ts'

const fieldManager = 'kubelet-stand-in'
/**
 * Keeps nodes alive. The node controller of a real control plane considers a node lost unless the kubelet renews a Lease, and, after an
 * outage of the API server, until the kubelet posts a status. The Leases also tell what time it is on each node. They go with their nodes.
 * @param renewMs between two renewals
 */
export function runHeartbeats(
  world: World,
  nodes: Collection,
  { isSilent, renewMs }: { isSilent: (node: string) => boolean; renewMs: number },
): { stop(): Promise<void> } {
  const ending = new AbortController()
  const { signal } = ending

  async function run(): Promise<void> {
    while (!signal.aborted) {
      const due = [...nodes.values()].map(({ metadata }) => metadata.name).filter((name) => !isSilent(name))
      const renewed = await Promise.allSettled(due.map(renew))
      // For a moment after its start, an API server refuses requests that it allows later.
      const failed = renewed.some(({ status }) => status === 'rejected')
      await world.clock.sleep(failed ? Math.min(1_000, renewMs) : renewMs, signal).catch(() => {})
    }
  }

  async function renew(node: string): Promise<void> {
    const renewTime = new Date(world.clock.now()).toISOString().replace('Z', '000Z')
    const spec = { holderIdentity: node, leaseDurationSeconds: 40, renewTime }
    const named = leaseOf(node)
    const renewed = await world.patch('Lease', named, { spec }, { fieldManager, signal })
    if (!renewed) await world.create('Lease', { metadata: named, spec }, { fieldManager, signal })
    const conditions: { type: string; status: string }[] = nodes.get(node)?.status?.conditions ?? []
    if (!isSilent(node) && conditions.some(({ type, status }) => type === 'Ready' && status !== 'True'))
      await setNodeReady(world, node, true)
  }

  const forget = nodes.subscribe(({ type, key }) => {
    if (type === 'removed') world.remove('Lease', leaseOf(key), { signal }).catch(() => {}) // stopping
  })
  const running = run()
  return {
    async stop() {
      forget()
      ending.abort()
      await running
    },
  }
}

function leaseOf(node: string) {
  return { namespace: 'kube-node-lease', name: node }
}
