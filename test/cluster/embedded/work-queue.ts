import { ApiError } from './status.ts'

/**
 * What the stand-in controllers still have to do. Work is put off to a later turn of the event loop, so that a writer has its
 * answer first, as with controllers of their own process; the same key waits only once.
 */
export class WorkQueue {
  readonly #pending = new Map<string, () => void>()
  #scheduled: NodeJS.Immediate | undefined
  #stopped = false

  add(key: string, work: () => void): void {
    if (this.#stopped) return
    this.#pending.set(key, work)
    this.#scheduled ??= setImmediate(() => this.#run())
  }

  stop(): void {
    this.#stopped = true
    this.#pending.clear()
    clearImmediate(this.#scheduled)
  }

  #run(): void {
    this.#scheduled = undefined
    const batch = [...this.#pending.values()]
    this.#pending.clear()
    for (const work of batch) {
      try {
        work()
      } catch (error) {
        // the object went, or is refused by a rule, since the work was queued: the change that did it queues what is due
        if (!(error instanceof ApiError)) throw error
      }
    }
  }
}
