/**
 * The smallest packet limit of all servers that the node has met, or that are configured. It only gets smaller, so that what is arranged by
 * it stays as it is when the node moves between servers.
 */
export class SmallestLimit {
  #bytes: number | undefined
  readonly #listeners = new Set<() => void>()

  /** @param configured the limits of the configuration, in bytes */
  constructor(configured: readonly (number | undefined)[] = []) {
    const known = configured.filter((bytes) => bytes !== undefined)
    this.#bytes = known.length === 0 ? undefined : Math.min(...known)
  }

  /** Undefined as long as no limit is known. */
  get bytes(): number | undefined {
    return this.#bytes
  }

  /** A server has this limit. Listeners are called before the births on it. */
  meet(bytes: number): void {
    if (this.#bytes !== undefined && bytes >= this.#bytes) return
    this.#bytes = bytes
    for (const listener of this.#listeners) listener()
  }

  /** @returns how to end that */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }
}
