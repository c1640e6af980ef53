type Waiting<T> = { work: () => Promise<T>; settle: { resolve: (value: T | 'busy') => void; reject: (error: unknown) => void } }

/**
 * Costly work that anybody can cause, one piece at a time. Those who ask take turns by where they ask from, and of several from one place, chance
 * decides: whoever floods it waits for himself, and others wait for one piece of his. When too many wait, one is turned away, of those from
 * where the most wait.
 */
export class FairQueue<T> {
  readonly #most: number
  readonly #random: () => number
  /** By where they ask from, in the order of turns. */
  readonly #waiting = new Map<string, Waiting<T>[]>()
  #size = 0
  #isWorking = false

  /**
   * @param most how many may wait
   * @param random a number in [0, 1), given so that a test can fix it
   */
  constructor({ most, random = Math.random }: { most: number; random?: () => number }) {
    this.#most = most
    this.#random = random
  }

  /** What the work resolves with, or 'busy' if it was turned away. @param gone aborts when nobody wants the result any more */
  run(from: string, work: () => Promise<T>, gone: AbortSignal): Promise<T | 'busy'> {
    const { promise, ...settle } = Promise.withResolvers<T | 'busy'>()
    const waiting = { work, settle }
    const others = this.#waiting.get(from)
    if (others === undefined) this.#waiting.set(from, [waiting])
    else others.push(waiting)
    this.#size++
    gone.addEventListener('abort', () => this.#drop(from, waiting), { once: true })
    if (this.#size > this.#most) this.#turnOneAway()
    if (!this.#isWorking) void this.#work()
    return promise
  }

  async #work(): Promise<void> {
    this.#isWorking = true
    for (;;) {
      const [next] = this.#waiting
      if (next === undefined) break
      const [from, waiting] = next
      const { work, settle } = this.#take(from, waiting)
      // The others from there have their turn after everybody else.
      if (this.#waiting.delete(from) && waiting.length > 0) this.#waiting.set(from, waiting)
      await work().then(settle.resolve, settle.reject)
    }
    this.#isWorking = false
  }

  #turnOneAway(): void {
    const most = Math.max(...[...this.#waiting.values()].map(({ length }) => length))
    const crowds = [...this.#waiting].filter(([, { length }]) => length === most)
    const [from, waiting] = crowds[Math.floor(this.#random() * crowds.length)] as [string, Waiting<T>[]]
    this.#take(from, waiting).settle.resolve('busy')
  }

  #take(from: string, waiting: Waiting<T>[]): Waiting<T> {
    const taken = waiting[Math.floor(this.#random() * waiting.length)] as Waiting<T>
    this.#remove(from, waiting, taken)
    return taken
  }

  #drop(from: string, waiting: Waiting<T>): void {
    const others = this.#waiting.get(from)
    if (!others?.includes(waiting)) return
    this.#remove(from, others, waiting)
    waiting.settle.resolve('busy')
  }

  #remove(from: string, waiting: Waiting<T>[], one: Waiting<T>): void {
    waiting.splice(waiting.indexOf(one), 1)
    this.#size--
    if (waiting.length === 0) this.#waiting.delete(from)
  }
}
