/** What is measured, with a name for `--only`. It cleans up after itself, however it ends. */
export type Measurement = {
  name: string
  /** A budget as a sentence: what is compared with what. */
  title: string
  measure(bench: Bench): Promise<Finding[]>
}

/** What measurements share. */
export type Bench = {
  /** The bundled agent. */
  bundle: string
  /** The bundled monitor. */
  monitorBundle: string
  /** A line about what is going on; it goes to standard error, and only on a terminal. */
  tell(text: string): void
  /** A line that belongs to the results, such as which control plane stood in for the real one. */
  note(text: string): void
}

/** One line of the table: what was measured, and what it is held against in the same run. */
export type Finding = {
  what: string
  measured: string
  /** The peer or the floor, measured side by side; missing where the budget is a number. */
  against?: string | undefined
  ratio?: number | undefined
  /** Without a budget the line is for orientation. */
  budget?: { text: string; met: boolean } | undefined
  /** As numbers, for programs: milliseconds, MiB, requests per second. */
  numbers: Record<string, number>
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5)
}

/** @param share from 0 to 1; the value that this share of the values does not exceed */
export function quantile(values: readonly number[], share: number): number {
  if (values.length === 0) throw new Error('nothing was measured')
  const sorted = values.toSorted((a, b) => a - b)
  const at = (sorted.length - 1) * share
  const [low, high] = [sorted[Math.floor(at)] as number, sorted[Math.ceil(at)] as number]
  return low + (high - low) * (at - Math.floor(at))
}

/** Milliseconds that it takes. */
export async function timed(work: () => Promise<unknown>): Promise<number> {
  const started = performance.now()
  await work()
  return performance.now() - started
}

/**
 * Runs two contenders by turns, each first every other time, so that what else the machine does meets both alike.
 * @returns what each call gave, after the warm-up
 */
export async function sideBySide<A, B>(
  { rounds, warmUp }: { rounds: number; warmUp: number },
  one: (round: number) => Promise<A>,
  other: (round: number) => Promise<B>,
): Promise<{ one: A[]; other: B[] }> {
  const results: { one: A[]; other: B[] } = { one: [], other: [] }
  for (let round = 0; round < warmUp + rounds; round++) {
    const keep = round >= warmUp
    const steps = [async () => keepIf(keep, results.one, await one(round)), async () => keepIf(keep, results.other, await other(round))]
    for (const step of round % 2 === 0 ? steps : steps.reverse()) await step()
  }
  return results
}

function keepIf<T>(keep: boolean, results: T[], value: T): void {
  if (keep) results.push(value)
}

export function ms(value: number): string {
  return `${value < 10 ? value.toFixed(2) : value.toFixed(0)} ms`
}

export function mib(value: number): string {
  return `${value.toFixed(0)} MiB`
}

export function perSecond(value: number): string {
  return `${Math.round(value).toLocaleString('en')}/s`
}
