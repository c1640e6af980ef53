/** How long computations may hold the event loop before other work gets its turn, in milliseconds. */
const sliceMs = 10

const waiting: (() => void)[] = []
/** When the first computation began since the event loop last turned; undefined if none did. What is done between computations counts too. */
let begunAt: number | undefined

/**
 * Runs a computation to its end. When it takes long, it gives way to the event loop again and again; several of them take turns, so that a
 * short one need not wait for the end of a long one. Nearly always it ends in the first turn.
 *
 * @param computation yields at least every millisecond
 * @throws the signal's reason, between two turns
 */
export async function inTurns<T>(computation: Generator<void, T>, signal?: AbortSignal): Promise<T> {
  for (;;) {
    if (performance.now() - begin() >= sliceMs) await nextTurn()
    signal?.throwIfAborted()
    const until = begin() + sliceMs
    // At least one step in each turn, however late it is.
    do {
      const { done, value } = computation.next()
      if (done) return value
    } while (performance.now() < until)
  }
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => waiting.push(resolve))
}

/** When the present turn began. */
function begin(): number {
  if (begunAt === undefined) {
    begunAt = performance.now()
    setImmediate(turn)
  }
  return begunAt
}

function turn(): void {
  begunAt = undefined
  waiting.shift()?.()
  // Whoever was let in begins the turn in a moment; without it, the next one would wait for ever.
  if (waiting.length > 0) begin()
}
