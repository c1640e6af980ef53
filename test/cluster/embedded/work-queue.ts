import { ApiError } from './status.ts'

/**
 * The pending work of the stand-in controllers. Work is deferred to a later turn of the event loop, so that a writer gets its
 * answer first, as with controllers in another process. A key waits only once.
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
        // since the work was queued, the object is gone or a rule refuses it; the change that caused this queues new work
        if (!(error instanceof ApiError)) throw error
      }
    }
  }
}
