import type { GuestSession } from './guests.ts'
import type { NodeAddress } from './topics.ts'
import { addressKey, type WatchedNode } from './watched-node.ts'

const anyBirth = 'spBv1.0/+/NBIRTH/+'

/** Which watched nodes are at which address, and the subscriptions that let the monitor hear them. */
export class WatchedAddresses {
  readonly #byAddress = new Map<string, Set<WatchedNode>>()
  /** The monitor's connection while there is one. */
  session: GuestSession | undefined

  at(address: NodeAddress): Iterable<WatchedNode> {
    return this.#byAddress.get(addressKey(address)) ?? []
  }

  /** Subscribes to a node, or to all births if it is not known where it is. */
  add(node: WatchedNode): void {
    if (node.address === undefined) {
      this.session?.subscribe([anyBirth])
      return
    }
    const at = addressKey(node.address)
    const others = this.#byAddress.get(at)
    if (others !== undefined) others.add(node)
    else {
      this.#byAddress.set(at, new Set([node]))
      this.session?.subscribe(filtersOf(node.address))
    }
  }

  remove(node: WatchedNode): void {
    if (node.address === undefined) return
    const at = addressKey(node.address)
    const others = this.#byAddress.get(at)
    others?.delete(node)
    if (others?.size !== 0) return
    this.#byAddress.delete(at)
    this.session?.unsubscribe(filtersOf(node.address))
  }

  /** Subscribes to all nodes on a new connection. */
  connected(session: GuestSession, nodes: Iterable<WatchedNode>): void {
    this.session = session
    const filters = new Set<string>()
    for (const { address, spec } of nodes) {
      if (address === undefined || spec.address === undefined) filters.add(anyBirth)
      if (address !== undefined) for (const filter of filtersOf(address)) filters.add(filter)
    }
    session.subscribe([...filters])
  }
}

/** Everything about a node and its devices. That includes commands to it, which are no sign of life. */
function filtersOf({ group, node }: NodeAddress): string[] {
  return [`spBv1.0/${group}/+/${node}`, `spBv1.0/${group}/+/${node}/+`]
}
