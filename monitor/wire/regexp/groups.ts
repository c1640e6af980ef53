import { conditions } from './position.ts'
import { op, type Program } from './program.ts'
import { decodeRune } from './rune.ts'
import { kind } from './rune-classes.ts'

/** Where groups begin and end: 2 slots for each, in bytes; -1 for a group that took no part. */
type Slots = Int32Array

/** How many instructions there are between two yields: less than 1 ms. */
const workBetweenYields = 8 * 1024

/** Threads in the order of their priority: where each goes on, and its groups so far. */
type Threads = { pcs: number[]; slots: Slots[] }

/**
 * Finds the leftmost match, and of several the first in the order of the pattern's alternatives, with its groups. It is Pike's machine, as
 * in Go's regexp/exec.go: slower than the automaton, but still in proportion to the length of the text.
 */
export class GroupFinder {
  readonly #program: Program
  readonly #visited: Float64Array
  readonly #reached: Float64Array
  #steps = 0

  constructor(program: Program) {
    this.#program = program
    this.#visited = new Float64Array(program.ops.length)
    this.#reached = new Float64Array(program.ops.length)
  }

  /** The slots of the match; undefined if there is none. It yields often, and other searches may run between. */
  *search(bytes: Uint8Array): Generator<void, Slots | undefined> {
    const { classes, anchored, start, slots } = this.#program
    const none = new Int32Array(slots).fill(-1)
    let threads: Threads = { pcs: [], slots: [] }
    let found: Slots | undefined
    let before: number = kind.begin
    let work = 0
    for (let at = 0; ; ) {
      if (found === undefined && (at === 0 || !anchored)) {
        threads.pcs.push(start)
        threads.slots.push(none.with(0, at))
      }
      if (threads.pcs.length === 0) return found
      const isEnd = at >= bytes.length
      const code = isEnd ? 0 : decodeRune(bytes, at)
      const runeClass = isEnd ? classes.count : classes.of(code >> 3)
      const behind = isEnd ? kind.end : (classes.kinds[runeClass] as number)
      const next: Threads = { pcs: [], slots: [] }
      const match = this.#step(threads, conditions(before, behind), isEnd ? -1 : runeClass, next, at)
      if (match !== undefined) found = match.with(1, at)
      if (isEnd) return found
      work += 20 + threads.pcs.length + next.pcs.length
      if (work > workBetweenYields) {
        work = 0
        yield
      }
      threads = next
      before = behind
      at += code & 7
    }
  }

  /** Takes each thread past one rune, in order. A match ends all threads that come after it. Returns the slots of a match before the rune. */
  #step(threads: Threads, holds: number, runeClass: number, next: Threads, at: number): Slots | undefined {
    const { ops, out, arg, classes } = this.#program
    const step = ++this.#steps
    const pcs: number[] = []
    const slots: Slots[] = []
    for (let index = 0; index < threads.pcs.length; index++) {
      pcs.push(threads.pcs[index] as number)
      slots.push(threads.slots[index] as Slots)
      while (pcs.length > 0) {
        const pc = pcs.pop() as number
        const groups = slots.pop() as Slots
        if (this.#visited[pc] === step) continue
        this.#visited[pc] = step
        const argument = arg[pc] as number
        const following = out[pc] as number
        switch (ops[pc]) {
          case op.alt:
            pcs.push(argument, following)
            slots.push(groups, groups)
            break
          case op.emptyWidth:
            if ((argument & ~holds) !== 0) break
            pcs.push(following)
            slots.push(groups)
            break
          case op.capture:
            pcs.push(following)
            slots.push(argument < groups.length ? groups.with(argument, at) : groups)
            break
          case op.nop:
            pcs.push(following)
            slots.push(groups)
            break
          case op.rune:
            if (runeClass < 0 || classes.table[argument + runeClass] === 0 || this.#reached[following] === step) break
            this.#reached[following] = step
            next.pcs.push(following)
            next.slots.push(groups)
            break
          case op.match:
            return groups
        }
      }
    }
    return undefined
  }
}
