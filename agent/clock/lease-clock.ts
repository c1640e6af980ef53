import type { Clock } from '../../shared/clock.ts'
import type { Offset } from '../../shared/clock-offset.ts'

/** So many renewals count: about two minutes, after which a node whose clock was set back is seen as it is. */
const kept = 12
/** Fewer say too little about how long they travel. */
const least = 3
/** What is lost between a kubelet that reads its clock and the watch that tells of it, at the least. */
const resolutionMs = 10
/** A node whose last renewal is older is not there any more, or is cut off. */
const longestSilenceMs = 60_000

/**
 * The clock of one node, as its Lease in `kube-node-lease` tells it: the kubelet writes the time of its node there every 10 s. A renewal
 * arrives late, never early, so each of them shows the clock as less far ahead than it is; the one that travelled fastest shows it best.
 *
 * What is kept is the distance to our monotonic clock: when our time of day is set, the offset changes at that moment.
 */
export class LeaseClock {
  /** The time of the node less our monotonic time, as each of the last renewals showed it. */
  #distances: number[] = []
  #renewedAt = ''
  #heardAt = 0

  /**
   * Takes a renewal that has just arrived. One that was heard of before is none.
   * @param renewTime RFC 3339, by the clock of the node
   */
  renewed(renewTime: string, clock: Clock): void {
    const told = Date.parse(renewTime)
    if (Number.isNaN(told) || renewTime === this.#renewedAt) return
    this.#renewedAt = renewTime
    this.#heardAt = clock.monotonic()
    this.#distances = [...this.#distances, told - this.#heardAt].slice(-kept)
  }

  /** The first sight of the Lease, which may be as old as the pause between two renewals: only what comes after it counts. */
  found(renewTime: string): void {
    this.#renewedAt = renewTime
  }

  /** The best estimate; undefined while the node has not renewed often enough, or is silent. */
  offset(clock: Clock): Offset | undefined {
    const now = clock.monotonic()
    if (this.#distances.length < least || now - this.#heardAt > longestSilenceMs) return undefined
    const sorted = this.#distances.toSorted((a, b) => b - a)
    const best = sorted[0] as number
    const usual = sorted[Math.floor(sorted.length / 2)] as number
    return { offsetMs: Math.round(best + now - clock.now()), uncertaintyMs: Math.ceil(best - usual) + resolutionMs }
  }
}
