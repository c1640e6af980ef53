import { createRequire } from 'node:module'
import { RuneClasses } from './rune-classes.ts'

/** Instructions of a program, with the numbers of Go's regexp/syntax that re2js has taken over (`Inst` in its source). */
export const op = {
  alt: 1,
  altMatch: 2,
  capture: 3,
  emptyWidth: 4,
  fail: 5,
  match: 6,
  nop: 7,
  rune: 8,
  rune1: 9,
  runeAny: 10,
  runeAnyNotNl: 11,
} as const

/** Conditions of an `emptyWidth` instruction, as bits (Go: syntax.EmptyOp). */
export const empty = { beginLine: 1, endLine: 2, beginText: 4, endText: 8, wordBoundary: 16, noWordBoundary: 32 } as const

/** `op.rune` stands for all instructions that read a rune. */
export type Program = {
  /** One of `op` for each instruction. */
  ops: Uint8Array
  /** The next instruction. */
  out: Int32Array
  /** `alt`: the second choice; `capture`: the slot; `emptyWidth`: the conditions; `rune`: the row of `classes`. */
  arg: Int32Array
  start: number
  /** Whether it can match at the begin of the text alone. */
  anchored: boolean
  /** Whether it asks what stands before or behind a position. */
  looksAround: boolean
  /** Twice the number of groups, the whole match among them. */
  slots: number
  /** The numbers of groups that have a name. */
  names: Readonly<Record<string, number>>
  classes: RuneClasses
}

/** What stands in a text that is no regular expression, in the words of Go's regexp/syntax. */
export class PatternError extends Error {}

/**
 * The most instructions of a program. Go allows 3.3 million, and each byte of a body may meet all of them: with 10,000, the slowest pattern
 * still gets through 64 KiB in seconds. `.{1000}` has 1,000 of them, `(a|b)` has 5.
 */
const maxInstructions = 10_000

/** Only the parser and the compiler of re2js are used. Its machines run to the end of a text, however long that takes. */
type Instruction = { op: number; out: number; arg: number; runes: Int32Array }

/**
 * Compiles a regular expression with RE2's syntax, as Go's regexp.Compile does.
 * @throws PatternError
 */
export function compileProgram(source: string): Program {
  if (expandedSize(source) > maxInstructions) throw new PatternError(tooLarge)
  const { inst, start, groups, names } = parsed(source)
  if (inst.length > maxInstructions) throw new PatternError(tooLarge)
  const rows = inst.map((each) => (isRune(each) ? rangesOf(each) : undefined))
  const looksAround = inst.some((each) => each.op === op.emptyWidth)
  const classes = new RuneClasses(
    rows.filter((ranges) => ranges !== undefined),
    { splitLinesAndWords: looksAround },
  )
  let row = 0
  const arg = Int32Array.from(inst, (each, index) => (rows[index] === undefined ? each.arg : classes.rowOf(row++)))
  return {
    ops: Uint8Array.from(inst, (each) => (isRune(each) ? op.rune : each.op === op.altMatch ? op.alt : each.op)),
    out: Int32Array.from(inst, (each) => each.out),
    arg,
    start,
    anchored: isAnchored(inst, start),
    looksAround,
    slots: 2 * groups,
    names,
    classes,
  }
}

/**
 * Loaded when the first pattern is compiled: that takes 5 ms of processor time, and a pattern is compiled in the middle of a schema, which
 * cannot wait for `import()`. In a bundle, esbuild puts the package in place of `require`; elsewhere, a module has none.
 */
function engine(): typeof import('re2js') {
  return typeof require === 'undefined' ? createRequire(import.meta.url)('re2js') : require('re2js')
}

const tooLarge = 'expression too large'

function parsed(source: string): { inst: Instruction[]; start: number; groups: number; names: Record<string, number> } {
  try {
    const compiled = engine().RE2JS.compile(source)
    const { inst, start } = compiled.re2().prog
    return { inst, start, groups: compiled.groupCount() + 1, names: compiled.namedGroups() }
  } catch (error) {
    if (!(error instanceof engine().RE2JSException)) throw error
    // The engine takes a lookbehind for the name of a group, since it also reads (?<name>…), as Go does since 1.22.
    throw new PatternError(
      error.message
        .replace(/^error parsing regexp: /, '')
        .replace(/^invalid named capture: `\(\?<[=!].*/s, 'invalid or unsupported Perl syntax: `(?<`'),
    )
  }
}

function isRune({ op: code }: Instruction): boolean {
  return code >= op.rune && code <= op.runeAnyNotNl
}

const maxRune = 0x10_ff_ff
const any = [0, maxRune]
const anyNotNl = [0, 9, 11, maxRune]

/** Pairs of the first and the last rune that an instruction reads, in order. */
function rangesOf(instruction: Instruction): readonly number[] {
  if (instruction.op === op.runeAny) return any
  if (instruction.op === op.runeAnyNotNl) return anyNotNl
  const [first] = instruction.runes
  if (instruction.runes.length !== 1 || first === undefined) return [...instruction.runes]
  const foldsCase = (instruction.arg & 1) !== 0
  return foldsCase ? foldsOf(first) : [first, first]
}

const folds = new Map<number, readonly number[]>()

/** The runes that equal one without regard to case: K, k and the Kelvin sign. A class spells them out, if it is not such a set itself. */
function foldsOf(rune: number): readonly number[] {
  let ranges = folds.get(rune)
  if (ranges === undefined) {
    const { inst } = parsed(`(?i)[\\x{${rune.toString(16)}}\\x{10FFFE}]`)
    const runes = inst.find(isRune)?.runes ?? []
    ranges = [...runes].filter((each) => each !== 0x10_ff_fe)
    if (folds.size > 1000) folds.clear()
    folds.set(rune, ranges)
  }
  return ranges
}

function isAnchored(inst: readonly Instruction[], start: number): boolean {
  let each = inst[start]
  while (each !== undefined && (each.op === op.nop || each.op === op.capture || each.op === op.emptyWidth)) {
    if (each.op === op.emptyWidth && (each.arg & empty.beginText) !== 0) return true
    each = inst[each.out]
  }
  return false
}

const tokens = /\\Q.*?(?:\\E|$)|\\[pPx]\{[^}]*\}|\\.|\[\^?\]?(?:\[:[^\]]*:\]|\\.|[^\]\\])*\]?|\{\d+(?:,\d*)?\}|./gs

/** A part of a pattern: its instructions, and how often a repetition within it is written out. */
type Part = { size: number; times: number }

/**
 * About the size of the program, without compiling it: repetitions such as `(abc){1000}` are written out in a program. It is 0 if the parser
 * refuses the repetitions anyway, and need not be right for a text that is no regular expression.
 */
function expandedSize(source: string): number {
  const outer: Part[] = []
  let sum: Part = { size: 0, times: 1 }
  let last: Part = sum
  for (const [token] of source.matchAll(tokens)) {
    if (token === '(') {
      outer.push(sum)
      sum = { size: 2, times: 1 }
      continue
    }
    let part = { size: token.startsWith('\\Q') ? token.length : 1, times: 1 }
    if (token === ')') {
      part = sum
      sum = outer.pop() ?? { size: 0, times: 1 }
    } else if (/^\{\d/.test(token)) {
      const times = Math.max(1, ...(token.match(/\d+/g) ?? []).map(Number))
      if (times * last.times > maxRepetitions) return 0
      part = { size: last.size * times, times: last.times * times }
      sum = { ...sum, size: sum.size - last.size }
    }
    sum = { size: sum.size + part.size, times: Math.max(sum.times, part.times) }
    last = part
  }
  return outer.reduce((total, { size }) => total + size, sum.size)
}

/** As in Go and RE2, nested repetitions count by their product. */
const maxRepetitions = 1000
