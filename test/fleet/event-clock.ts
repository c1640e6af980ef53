import type { Clock } from '../../shared/clock.ts'

type Sleeper = { due: number; order: number; wake: () => void }

/** Everybody who is due within so many milliseconds wakes together, which spares turns of the event loop. */
const tickMs = 10

/** Turns of the event loop without anything under way, after which nothing more comes of itself: streams and pumps take one or two. */
const quietTurns = 3

/**
 * A clock for simulations of many: it jumps to the next moment at which anybody wakes. A binary heap holds the sleepers, so that ten thousand
 * cost little more than ten.
 */
export class EventClock implements Clock {
  /** What takes real time, such as WebCrypto in the thread pool. Time stands still until it is 0. */
  underWay = 0
  readonly #began = Date.UTC(2026, 0, 1)
  readonly #heap: Sleeper[] = []
  #elapsed = 0
  #order = 0

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
      const due = Math.ceil((this.#elapsed + Math.max(0, ms)) / tickMs) * tickMs
      this.#push({ due, order: this.#order++, wake })
    })
  }

  /** Counts real work as under way until it ends. */
  async counted<T>(work: Promise<T>): Promise<T> {
    this.underWay++
    try {
      return await work
    } finally {
      this.underWay--
    }
  }

  /** Lets that much time pass. */
  async advance(ms: number): Promise<void> {
    const end = this.#elapsed + ms
    await this.#settled()
    for (let next = this.#heap[0]; next !== undefined && next.due <= end; next = this.#heap[0]) {
      this.#elapsed = Math.max(this.#elapsed, next.due)
      while (this.#heap[0] !== undefined && this.#heap[0].due <= this.#elapsed) this.#pop()?.wake()
      await this.#settled()
    }
    this.#elapsed = end
  }

  /** Lets time pass until that is so, looking each second. @returns milliseconds that it took; undefined if it is not so within `mostMs` */
  async until(isSo: () => boolean, mostMs: number): Promise<number | undefined> {
    const began = this.#elapsed
    await this.#settled()
    while (!isSo()) {
      if (this.#elapsed - began >= mostMs) return undefined
      await this.advance(1_000)
    }
    return this.#elapsed - began
  }

  async #settled(): Promise<void> {
    for (let quiet = 0; quiet < quietTurns; quiet = this.underWay > 0 ? 0 : quiet + 1) {
      await new Promise<void>((resolve) => setImmediate(resolve))
    }
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
