/** Bytes that arrive in pieces, kept in one buffer that doubles. A peer that sends single bytes does not cost a Buffer for each. */
export class GrowingBuffer {
  #held: Buffer = Buffer.alloc(0)
  /** How many bytes there are. The caller bounds it. */
  size = 0

  /** All bytes so far. The view is valid until the next append. */
  get bytes(): Buffer {
    return this.#held.subarray(0, this.size)
  }

  append(chunk: Buffer): void {
    const size = this.size + chunk.length
    if (this.size === 0)
      this.#held = chunk // most answers come in one piece and need no copy
    else if (size > this.#held.length) this.#held = Buffer.concat([this.bytes, chunk], Math.max(size, 2 * this.size))
    else chunk.copy(this.#held, this.size)
    this.size = size
  }
}
