import type { Clock } from '../../shared/clock.ts'
import type { Offset } from '../../shared/clock-offset.ts'
import type { Cluster } from '../../shared/kubernetes/connection.ts'
import { type KubernetesObject, kinds, pathOf } from '../../shared/kubernetes/objects.ts'
import { nodeLeaseNamespace } from '../clock/index.ts'

/** Kubelets renew every 10 s: after that, those that are there have been heard. */
const longestMs = 12_000
/** How long one renewal may have travelled. There is only one of each node, so that cannot be measured. */
const travelMs = 250

/**
 * How far the clocks of the nodes are ahead of ours, by the name of the node: each renewal of a Lease tells the time of its node. Takes up to 12 s
 * where there are kubelets, and no time where there are none.
 * @returns undefined if the Leases cannot be read
 */
export async function readNodeClocks({ cluster, clock }: { cluster: Cluster; clock: Clock }): Promise<Map<string, Offset> | undefined> {
  const path = pathOf(kinds.Lease, nodeLeaseNamespace)
  const known = new Map<string, Offset>()
  const ending = AbortSignal.timeout(longestMs)
  try {
    const { items, metadata } = await cluster.request<{ items: KubernetesObject[]; metadata: { resourceVersion: string } }>({
      method: 'GET',
      path,
    })
    const awaited = new Map(items.map(({ metadata: { name }, spec }) => [name, spec?.renewTime]))
    if (awaited.size === 0) return known
    for await (const { type, object } of cluster.watch(path, { resourceVersion: metadata.resourceVersion }, ending)) {
      const told = Date.parse(object.spec?.renewTime ?? '')
      const { name } = object.metadata
      if (type !== 'MODIFIED' || Number.isNaN(told) || object.spec?.renewTime === awaited.get(name)) continue
      known.set(name, { offsetMs: Math.round(told + travelMs / 2 - clock.now()), uncertaintyMs: travelMs / 2 })
      awaited.delete(name)
      if (awaited.size === 0) break
    }
    return known
  } catch {
    return ending.aborted ? known : undefined
  }
}
