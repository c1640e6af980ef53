import type { ChangeBuffer } from './buffer.ts'
import { quality } from './payload.ts'
import type { Owner } from './tracked-metric.ts'

/** The most devices that are remembered. Each of them has a change in the buffer, but also all its metrics in memory. */
const limit = 1_000

/**
 * Devices that are gone while the buffer still has changes of theirs. Only what is born can be sent, so such a device is born once more in
 * the next session: with its last values, which are stale. Its history follows, then its DDEATH.
 */
export class Departed {
  readonly #buffer: ChangeBuffer
  readonly #owners = new Map<string, Owner>()

  constructor(buffer: ChangeBuffer) {
    this.#buffer = buffer
  }

  /** Whether a device that goes must be remembered, and there is room for it. */
  has(owner: Owner): boolean {
    return owner.lastIndex >= this.#buffer.start && this.#owners.size < limit
  }

  /** Remembers a device that goes. */
  add(owner: Owner): void {
    for (const metric of owner.metrics.values()) if (metric.quality === quality.good) metric.quality = quality.stale
    this.#owners.set(owner.id as string, owner)
  }

  /** Forgets a device that comes back. @returns the index of its last change; -1 if it was not remembered */
  takeBack(id: string): number {
    const index = this.#owners.get(id)?.lastIndex ?? -1
    this.#owners.delete(id)
    return index
  }

  get(id: string): Owner | undefined {
    return this.#owners.get(id)
  }

  /** Those of which the buffer still has changes; the others are forgotten. */
  all(): Owner[] {
    for (const [id, { lastIndex }] of this.#owners) if (lastIndex < this.#buffer.start) this.#owners.delete(id)
    return [...this.#owners.values()]
  }
}
