import type { Clock } from '../../shared/clock.ts'

type Sleeper = { due: number; order: number; wake: () => void }

/**
 * A clock for simulations of many: it jumps to the next moment at which anybody wakes. A binary heap holds the sleepers, so that ten thousand
 * cost little more than ten.
 */
export class EventClock implements Clock {
  #elapsed = 0
  #order = 0
  readonly #heap: Sleeper[] = []
  readonly #began: number

  readonly #isBusy: () => boolean

  constructor(isBusy: () => boolean, began = Date.UTC(2026, 0, 1)) {
    this.#isBusy = isBusy
    this.#began = began
  }

  now(): number {
    return this.#began + this.#elapsed
  }

  monotonic(): number {
    return this.#elapsed
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason)
      let isOver = false
      const onAbort = () => {
        isOver = true
        reject(signal?.reason)
      }
      signal?.addEventListener('abort', onAbort, { once: true })
      const wake = () => {
        if (isOver) return
        signal?.removeEventListener('abort', onAbort)
        resolve()
      }
      this.#push({ due: this.#elapsed + Math.max(0, ms), order: this.#order++, wake })
    })
  }

  /** Lets that much time pass. */
  async advance(ms: number): Promise<void> {
    const end = this.#elapsed + ms
    await this.#settled()
    for (let next = this.#heap[0]; next !== undefined && next.due <= end; next = this.#heap[0]) {
      this.#elapsed = Math.max(this.#elapsed, next.due)
      // Everybody who wakes at this moment wakes together.
      while (this.#heap[0] !== undefined && this.#heap[0].due <= this.#elapsed) this.#pop()?.wake()
      await this.#settled()
    }
    this.#elapsed = end
  }

  /** Until nothing is under way any more that takes real time. */
  async #settled(): Promise<void> {
    for (let quiet = 0; quiet < 3; quiet = this.#isBusy() ? 0 : quiet + 1) await new Promise<void>((resolve) => setImmediate(resolve))
  }

  #push(sleeper: Sleeper): void {
    const heap = this.#heap
    let at = heap.push(sleeper) - 1
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (!isBefore(sleeper, heap[parent])) break
      heap[at] = heap[parent] as Sleeper
      at = parent
    }
    heap[at] = sleeper
  }

  #pop(): Sleeper | undefined {
    const heap = this.#heap
    const [first] = heap
    const last = heap.pop()
    if (last === undefined || heap.length === 0) return first
    let at = 0
    for (;;) {
      const left = 2 * at + 1
      const child = left + 1 < heap.length && isBefore(heap[left + 1] as Sleeper, heap[left]) ? left + 1 : left
      if (child >= heap.length || !isBefore(heap[child] as Sleeper, last)) break
      heap[at] = heap[child] as Sleeper
      at = child
    }
    heap[at] = last
    return first
  }
}

function isBefore(a: Sleeper, b: Sleeper | undefined): boolean {
  return b !== undefined && (a.due < b.due || (a.due === b.due && a.order < b.order))
}
