import { conditions } from './position.ts'
import { op, type Program } from './program.ts'
import { decodeRune } from './rune.ts'
import { kind } from './rune-classes.ts'

/**
 * Where a search stands between two runes: the instructions that it goes on with, the kind of the rune before, and for each class of the
 * next rune the state behind it, once that was needed.
 */
type State = { readonly roots: readonly number[]; readonly before: number; readonly next: (State | undefined)[] }

const matched: State = { roots: [], before: 0, next: [] }
const dead: State = { roots: [], before: 0, next: [] }

/** The most bytes that the states of a pattern may take. A hostile body can require a new one for each of its bytes. */
const maxBytes = 512 * 1024

/** The most bytes that they may take between two searches. Most patterns need less. */
const maxIdleBytes = 32 * 1024

/** States do not help when they serve for fewer runes than this, as in RE2. */
const leastRunesPerState = 10

/** For how many runes a search then goes on without states. Each further time it is twice as long. */
const leastPatience = 4096

/** How many instructions or cached transitions there are between two yields: less than 1 ms. */
const workBetweenYields = 32 * 1024

/** What a new transition costs beside its instructions, in the same unit. */
const workOfTransition = 50

/**
 * Tells whether texts match, in time proportional to their length. It is a deterministic automaton whose states are found while it runs,
 * with a bound; a search that needs too many computes its steps one by one.
 */
export class Automaton {
  readonly #program: Program
  /** `out`, behind instructions that do nothing here. */
  readonly #next: Int32Array
  readonly #start: number
  /** The class of the end of the text. */
  readonly #end: number
  /** For each instruction, the last step that came by, or that reached it. */
  readonly #visited: Int32Array
  readonly #reached: Int32Array
  readonly #stack: Int32Array
  readonly #into: Int32Array
  #steps = 0
  #states = new Map<string, State>()
  #bytes = 0
  #followedTo = 0

  constructor(program: Program) {
    const { ops, out } = program
    const behind = (pc: number) => {
      let found = pc
      while (ops[found] === op.nop || ops[found] === op.capture) found = out[found] as number
      return found
    }
    this.#program = program
    this.#next = out.map(behind)
    this.#start = behind(program.start)
    this.#end = program.classes.count
    this.#visited = new Int32Array(ops.length)
    this.#reached = new Int32Array(ops.length)
    this.#into = new Int32Array(ops.length)
    this.#stack = new Int32Array(2 * ops.length + 2)
  }

  /** Whether any part of the text matches. It yields often, and other searches may run between. */
  *search(bytes: Uint8Array): Generator<void, boolean> {
    const { classes } = this.#program
    let state = this.#stateOf(new Int32Array(0), kind.begin)
    let forgotAt = 0
    let patience = leastPatience
    let work = 0
    for (let at = 0; ; ) {
      const from = at
      state = this.#follow(state, bytes, from, from + workBetweenYields - work)
      at = this.#followedTo
      if (state === matched || state === dead) return state === matched
      work += at - from + workOfTransition + state.roots.length
      if (work >= workBetweenYields) {
        work = 0
        yield
      }
      if (this.#bytes > maxBytes) {
        const areUseful = at - forgotAt >= leastRunesPerState * this.#states.size
        this.#forget()
        if (!areUseful) {
          const end = yield* this.#simulate(bytes, at, state, patience)
          if (typeof end.state === 'boolean') return end.state
          ;({ state, at } = end)
          patience *= 2
        }
        forgotAt = at
      }
      const runeClass = at >= bytes.length ? this.#end : classes.of(decodeRune(bytes, at) >> 3)
      state.next[runeClass] ??= this.#transition(state, runeClass)
      if (at >= bytes.length) return state.next[runeClass] === matched
    }
  }

  /** Follows the transitions that are known, up to about the given position. Sets `#followedTo`. Most time goes here. */
  #follow(from: State, bytes: Uint8Array, start: number, until: number): State {
    const { classes } = this.#program
    const ascii = classes.ofAscii
    const end = Math.min(until, bytes.length)
    let state = from
    let at = start
    while (at < end) {
      const byte = bytes[at] as number
      let next: State | undefined
      let width = 1
      if (byte < 128) next = state.next[ascii[byte] as number]
      else {
        const code = decodeRune(bytes, at)
        next = state.next[classes.of(code >> 3)]
        width = code & 7
      }
      if (next === undefined) break
      state = next
      at += width
    }
    this.#followedTo = at
    return state
  }

  /** Frees what only the last search needed. */
  rest(): void {
    if (this.#bytes > maxIdleBytes) this.#forget()
  }

  #transition({ roots, before }: State, runeClass: number): State {
    const count = this.#step(roots, roots.length, before, runeClass, this.#into)
    return count < 0 ? matched : this.#stateOf(this.#into.subarray(0, count).sort(), this.#kindOf(runeClass))
  }

  #stateOf(roots: Int32Array, before: number): State {
    if (roots.length === 0 && this.#program.anchored && before !== kind.begin) return dead
    const key = String.fromCharCode(before, ...roots)
    let state = this.#states.get(key)
    if (state === undefined) {
      state = { roots: [...roots], before, next: new Array(this.#end + 1).fill(undefined) }
      this.#states.set(key, state)
      this.#bytes += 200 + 8 * (this.#end + 1) + 10 * roots.length
    }
    return state
  }

  #kindOf(runeClass: number): number {
    return this.#program.looksAround ? (this.#program.classes.kinds[runeClass] as number) : kind.begin
  }

  #forget(): void {
    this.#states = new Map()
    this.#bytes = 0
  }

  /** Goes on without states for some runes. The answer is a state, or whether the text matches. */
  *#simulate(bytes: Uint8Array, from: number, { roots, before }: State, runes: number) {
    const { classes } = this.#program
    let current = Int32Array.from({ length: this.#next.length }, (_, index) => roots[index] ?? 0)
    let following = new Int32Array(this.#next.length)
    let count = roots.length
    let last = before
    let work = 0
    let at = from
    for (let left = runes; left > 0; left--) {
      const isEnd = at >= bytes.length
      const code = isEnd ? 0 : decodeRune(bytes, at)
      const runeClass = isEnd ? this.#end : classes.of(code >> 3)
      const reached = this.#step(current, count, last, runeClass, following)
      if (reached < 0 || isEnd) return { at, state: reached < 0 }
      work += count + reached + 10
      if (work >= workBetweenYields) {
        work = 0
        yield
      }
      ;[current, following] = [following, current]
      count = reached
      last = this.#kindOf(runeClass)
      at += code & 7
    }
    return { at, state: this.#stateOf(current.subarray(0, count).sort(), last) }
  }

  /**
   * Goes from a set of instructions past one rune, or past the end, and tries the start of the pattern there, too.
   * @returns how many instructions it reached, which are in `into`; -1 if there is a match before the rune
   */
  #step(roots: ArrayLike<number>, count: number, before: number, runeClass: number, into: Int32Array): number {
    const { ops, arg, anchored, looksAround, classes } = this.#program
    const { table, count: end } = classes
    const next = this.#next
    const visited = this.#visited
    const reachedIn = this.#reached
    const stack = this.#stack
    const behind = runeClass === end ? kind.end : (classes.kinds[runeClass] as number)
    const holds = looksAround ? conditions(before, behind) : 0
    const step = this.#nextStep()
    let reached = 0
    for (let index = anchored && before !== kind.begin ? 0 : -1; index < count; index++) {
      stack[0] = index < 0 ? this.#start : (roots[index] as number)
      for (let top = 1; top > 0; ) {
        const pc = stack[--top] as number
        if (visited[pc] === step) continue
        visited[pc] = step
        const code = ops[pc] as number
        const following = next[pc] as number
        if (code === op.rune) {
          if (runeClass === end || table[(arg[pc] as number) + runeClass] === 0 || reachedIn[following] === step) continue
          reachedIn[following] = step
          into[reached++] = following
        } else if (code === op.alt) {
          stack[top++] = arg[pc] as number
          stack[top++] = following
        } else if (code === op.match) return -1
        else if (code !== op.fail && (code !== op.emptyWidth || ((arg[pc] as number) & ~holds) === 0)) stack[top++] = following
      }
    }
    return reached
  }

  #nextStep(): number {
    if (this.#steps === 2 ** 31 - 1) {
      this.#steps = 0
      this.#visited.fill(0)
      this.#reached.fill(0)
    }
    return ++this.#steps
  }
}
