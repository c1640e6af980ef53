import type { Clock } from '../../shared/clock.ts'
import type { Offset } from '../../shared/clock-offset.ts'
import { type Cache, createCache } from '../../shared/kubernetes/cache.ts'
import type { Cluster } from '../../shared/kubernetes/connection.ts'
import { type KubernetesObject, kinds, type ObjectMeta } from '../../shared/kubernetes/objects.ts'
import { inBackground, type Part } from '../../shared/lifecycle.ts'
import type { Log } from '../../shared/log.ts'
import { LeaseClock } from './lease-clock.ts'

/** The namespace in which each kubelet has a Lease with the name of its node. */
export const nodeLeaseNamespace = 'kube-node-lease'

/** What is kept of a Lease: of 500 nodes, 100 kB. */
type LeaseView = { metadata: Pick<ObjectMeta, 'name' | 'namespace' | 'resourceVersion'>; renewTime: string }

/** The clocks of the nodes, by name, from a watch of their Leases. */
export class NodeClocks implements Part {
  readonly name = 'clocks of the nodes'
  /** Whether the Leases can be followed. */
  readonly leases: Cache<LeaseView>
  readonly #clock: Clock
  readonly #clocks = new Map<string, LeaseClock>()
  /** Nothing waits for the Leases: an agent that may not read them does its work all the same. */
  readonly #following: Part

  constructor(tools: { cluster: Cluster; clock: Clock; log: Log }) {
    this.#clock = tools.clock
    this.leases = createCache<LeaseView>({ kind: kinds.Lease, namespace: nodeLeaseNamespace, view: leaseView }, tools)
    this.#following = inBackground(this.name, [this.leases])
    this.leases.subscribe(({ type, object }) => {
      const { name } = object.metadata
      if (type === 'removed') this.#clocks.delete(name)
      else if (type === 'added') this.#found(name).found(object.renewTime)
      else this.#found(name).renewed(object.renewTime, this.#clock)
    })
  }

  start(signal: AbortSignal): Promise<void> {
    return this.#following.start(signal)
  }

  stop(deadline: number): Promise<void> {
    return this.#following.stop(deadline)
  }

  /** The nodes whose clocks are known, by name. */
  offsets(): Map<string, Offset> {
    const known = [...this.#clocks].flatMap(([name, clock]) => {
      const offset = clock.offset(this.#clock)
      return offset === undefined ? [] : [[name, offset] as const]
    })
    return new Map(known)
  }

  #found(name: string): LeaseClock {
    const clock = this.#clocks.get(name) ?? new LeaseClock()
    this.#clocks.set(name, clock)
    return clock
  }
}

function leaseView({ metadata, spec }: KubernetesObject): LeaseView {
  const { name, namespace, resourceVersion } = metadata
  const kept = { ...(namespace !== undefined && { namespace }), ...(resourceVersion !== undefined && { resourceVersion }) }
  return { metadata: { name, ...kept }, renewTime: String(spec?.renewTime ?? '') }
}
