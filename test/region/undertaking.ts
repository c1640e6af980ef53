/** Steps that are taken one after the other, and undone in the opposite order. An abort of its signal interrupts whatever it waits for. */
export type Undertaking = {
  /** Takes a step, and remembers how to undo it. A step that is under way when the signal aborts is undone as well. @throws the signal's reason */
  take<T>(step: () => Promise<T>, undo?: (taken: T) => unknown): Promise<T>
  /** Waits for what needs no undoing. @throws the signal's reason */
  wait<T>(for_: Promise<T>): Promise<T>
  /** Undoes all steps. `onError` gets what goes wrong meanwhile. */
  end(onError: (error: unknown) => void): Promise<void>
}

/** How long `end` waits for a step that was interrupted, in milliseconds. What has not ended by then ends with the process. */
const stepEndsWithinMs = 10_000

export function createUndertaking(signal: AbortSignal): Undertaking {
  const undo: (() => unknown)[] = []
  const underWay = new Set<Promise<unknown>>()
  const interrupted = new Promise<never>((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  })
  interrupted.catch(() => {}) // nobody may be waiting
  const wait = <T>(for_: Promise<T>) => {
    signal.throwIfAborted()
    return Promise.race([for_, interrupted])
  }
  return {
    wait,
    take(step, undoStep) {
      signal.throwIfAborted()
      const taken = step().then((result) => {
        if (undoStep) undo.push(() => undoStep(result))
        return result
      })
      const settled = taken.then(
        () => {},
        () => {},
      )
      underWay.add(settled)
      void settled.then(() => underWay.delete(settled))
      return wait(taken)
    },
    async end(onError) {
      await Promise.race([Promise.all(underWay), new Promise((resolve) => setTimeout(resolve, stepEndsWithinMs).unref())])
      for (const step of undo.toReversed()) {
        try {
          await step()
        } catch (error) {
          onError(error)
        }
      }
    },
  }
}
