/** How long computations may hold the event loop before other work gets its turn, in milliseconds. */
const sliceMs = 10

const waiting: (() => void)[] = []
let isScheduled = false
/** How long computations have held the event loop since it last turned, in milliseconds. */
let heldMs = 0

/**
 * Runs a computation to its end. When it takes long, it gives way to the event loop again and again; several of them take turns, so that a
 * short one need not wait for the end of a long one. Nearly always it ends in the first turn.
 *
 * @param computation yields at least every millisecond
 * @throws the signal's reason, between two turns
 */
export async function inTurns<T>(computation: Generator<void, T>, signal?: AbortSignal): Promise<T> {
  for (;;) {
    if (heldMs >= sliceMs) await nextTurn()
    signal?.throwIfAborted()
    const started = performance.now()
    const until = started + sliceMs - heldMs
    try {
      for (let now = started; now < until; now = performance.now()) {
        const { done, value } = computation.next()
        if (done) return value
      }
    } finally {
      heldMs += performance.now() - started
      schedule()
    }
  }
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    waiting.push(resolve)
    schedule()
  })
}

function schedule(): void {
  if (isScheduled) return
  isScheduled = true
  setImmediate(() => {
    isScheduled = false
    heldMs = 0
    waiting.shift()?.()
    if (waiting.length > 0) schedule()
  })
}
