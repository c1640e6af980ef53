import type { Offset } from '../../shared/clock-offset.ts'

/** An estimate moves all the time; less than this is not worth a message. */
const newsMs = 250

/**
 * Offsets that stay as they were shown until they have changed: what is shown is sent to the cloud when it changes, and the estimate of a
 * clock that nobody has touched moves by a few milliseconds each time.
 */
export class SteadyOffsets {
  readonly #shown = new Map<string, Offset>()

  /** The offset to show under this name. */
  of(name: string, offset: Offset | undefined): Offset | undefined {
    const before = this.#shown.get(name)
    if (offset === undefined) this.#shown.delete(name)
    else if (before === undefined || isNews(before, offset)) this.#shown.set(name, offset)
    return this.#shown.get(name)
  }
}

/** A better measurement is news too, if it says much more than the one before. */
function isNews(before: Offset, offset: Offset): boolean {
  return (
    Math.abs(offset.offsetMs - before.offsetMs) > newsMs ||
    offset.uncertaintyMs > before.uncertaintyMs + newsMs ||
    before.uncertaintyMs > 2 * offset.uncertaintyMs + newsMs
  )
}
