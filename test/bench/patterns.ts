import { Pattern } from '../../monitor/wire/patterns.ts'
import { heldBy } from '../monitor/wire/turns-in-hand.ts'
import { askGo } from '../peers/go-regexp.ts'
import { type Finding, held, type Measurement, median, ms, timed } from './measurement.ts'

const rounds = 3
const atMostMs = 50

/** As and bs in no order: each byte takes another set of instructions. */
function unordered(bytes: number): Buffer {
  let state = 1
  return Buffer.from(
    Array.from({ length: bytes }, () => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) | 0
      return state & 0x10000 ? 97 : 98
    }),
  )
}

/** Patterns and bodies: what people write, and what is slowest in an engine that keeps a set of instructions. */
const contests = [
  { what: '`"status":.*"green"` in 1 MiB of `"status":`', pattern: '"status":.*"green"', text: Buffer.from('"status":'.repeat(116_509)) },
  { what: 'the slowest pattern of 1,000 instructions, per MiB', pattern: '[ab]*a[ab]{1000}c', text: unordered(32 * 1024) },
  {
    what: 'the slowest pattern of 10,000 instructions, per MiB',
    pattern: `[ab]*a(?:${Array.from({ length: 9 }, (_, index) => `[ab]{${1000 - index}}${index}`).join('|')})`,
    text: unordered(8 * 1024),
  },
]

/** Searches that fail, beside those of Go's regexp, which blackbox_exporter uses; and how long they hold the event loop. */
export const patterns: Measurement = {
  name: 'patterns',
  title: `a search in a body takes at most 2 × as long as Go's, and holds the event loop for ≤ ${atMostMs} ms`,
  async measure(bench) {
    const findings: Finding[] = []
    let longest = 0
    for (const { what, pattern, text } of contests) {
      bench.tell(what)
      const ours: number[] = []
      const compiled = new Pattern(pattern)
      for (let round = 0; round < rounds; round++)
        ours.push(
          await timed(async () => {
            const { heldMs } = await heldBy(() => compiled.test(text, AbortSignal.timeout(600_000)))
            longest = Math.max(longest, heldMs)
          }),
        )
      const theirs = askGo(Array(rounds).fill({ pattern, text, timed: true })).answers.map(({ ns = 0 }) => ns / 1e6)
      const perMiB = (times: number[]) => (median(times) / text.length) * 2 ** 20
      const [mine, go] = [perMiB(ours), perMiB(theirs)]
      findings.push({
        what,
        measured: ms(mine),
        against: `Go's regexp ${ms(go)}`,
        ...held(mine / go, { atMost: 2 }),
        numbers: { ms: mine, goMs: go },
      })
    }
    findings.push({
      what: 'the longest that these searches held the event loop, CPU time',
      measured: ms(longest),
      budget: { text: `≤ ${atMostMs} ms`, met: longest <= atMostMs },
      numbers: { ms: longest },
    })
    return findings
  },
}
