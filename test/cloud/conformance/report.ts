import { CloudFault } from '../../../agent/cloud/fault.ts'
import { type Point, points } from '../points.ts'
import type { Answer } from './asking.ts'

/** What was found about one point. */
export type Verdict = { result: 'pass' } | { result: 'fail'; expected: string; got: string } | { result: 'not tried'; why: string }

/** Something else than what the page says. */
class Unexpected extends Error {
  readonly expected: string
  readonly got: string

  constructor(expected: string, got: string) {
    super(`expected ${expected}, got ${got}`)
    this.expected = expected
    this.got = got
  }
}

/** @throws Unexpected */
export function expect(holds: unknown, expected: string, got: string): asserts holds {
  if (!holds) throw new Unexpected(expected, got)
}

/** Expects that something works. @param expected what it is that should work */
export async function expectWorks<T>(work: Promise<T>, expected: string): Promise<T> {
  try {
    return await work
  } catch (error) {
    if (error instanceof CloudFault) throw new Unexpected(expected, error.message)
    throw error
  }
}

/** Expects a refusal of that class. @param what was sent */
export function expectRefusal(answer: Answer, what: string, ...classes: Answer['failure'][]): void {
  expect(answer.failure !== undefined && classes.includes(answer.failure), `${classes.join(' or ')} for ${what}`, answer.text)
}

/** The verdicts about a cloud. */
export class Report {
  readonly #verdicts = new Map<Point, Verdict>()
  #brokenOff: string | undefined

  /** Tries a point. What was found counts for this point alone. @returns whether the cloud keeps it */
  async try(point: Point, trial: () => Promise<void> | void): Promise<boolean> {
    try {
      await trial()
      this.#verdicts.set(point, { result: 'pass' })
      return true
    } catch (error) {
      if (error instanceof Unexpected) this.#verdicts.set(point, { result: 'fail', expected: error.expected, got: error.got })
      else if (error instanceof CloudFault) this.#verdicts.set(point, { result: 'fail', expected: 'an answer', got: error.message })
      else throw error
      return false
    }
  }

  /** Leaves points out. One that has a verdict keeps it. */
  leave(why: string, ...left: Point[]): void {
    for (const point of left) if (!this.#verdicts.has(point)) this.#verdicts.set(point, { result: 'not tried', why })
  }

  /** Whether a point was tried, and the cloud keeps it. */
  keeps(point: Point): boolean {
    return this.#verdicts.get(point)?.result === 'pass'
  }

  /** Notes why the trial could not go on. What was found so far stays. */
  breakOff(why: string): void {
    this.#brokenOff ??= why
  }

  /** Why the trial could not go on; undefined if it came to its end. */
  get brokenOff(): string | undefined {
    return this.#brokenOff
  }

  /** Whether any point has failed, or the trial could not go on. */
  get hasFailed(): boolean {
    return this.#brokenOff !== undefined || [...this.#verdicts.values()].some(({ result }) => result === 'fail')
  }

  /** What was found, in the order of the page. */
  get verdicts(): (readonly [Point, Verdict])[] {
    return points.map((point) => [point, this.#verdicts.get(point) ?? { result: 'not tried', why: 'the region did not come so far' }])
  }
}
