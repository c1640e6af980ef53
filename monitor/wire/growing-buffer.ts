/** Bytes that arrive piece by piece, in one buffer that doubles: a peer that drips single bytes costs no Buffer for each of them. */
export type GrowingBuffer = {
  append(chunk: Buffer): void
  /** Everything so far; a view, valid until the next append. */
  view(): Buffer
  clear(): void
  readonly size: number
}

/** An empty one. What it holds is bounded by whoever appends. */
export function createGrowingBuffer(): GrowingBuffer {
  let held: Buffer | undefined
  let size = 0
  return {
    append(chunk) {
      if (size === 0) {
        held = chunk // most answers come in one piece, and need no copy
        size = chunk.length
        return
      }
      const before = held as Buffer
      if (size + chunk.length > before.length) {
        held = Buffer.allocUnsafe(Math.max(size + chunk.length, 2 * size))
        before.copy(held, 0, 0, size)
      }
      // The first chunk is the socket's own memory: what lies behind it is not ours, but then the lengths above were equal.
      chunk.copy(held as Buffer, size)
      size += chunk.length
    },
    view: () => (held === undefined ? Buffer.alloc(0) : held.subarray(0, size)),
    clear() {
      held = undefined
      size = 0
    },
    get size() {
      return size
    },
  }
}
