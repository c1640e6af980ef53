/** One measurement, with a name for `--only`. It cleans up after itself, however it ends. */
export type Measurement = {
  name: string
  /** The budget as a sentence: ours, and the peer or floor beside it. */
  title: string
  measure(bench: Bench): Promise<Finding[]>
}

/** The programs under test, and two ways to say something. */
export type Bench = {
  /** The bundled agent. */
  bundle: string
  /** The bundled monitor. */
  monitorBundle: string
  /** A line about the progress: on standard error, and only on a terminal. */
  tell(text: string): void
  /** A line that belongs to the results, for example which control plane took the place of the real one. */
  note(text: string): void
}

/** One row of the table: ours, and the peer or floor that the same run measured beside it. */
export type Finding = {
  what: string
  measured: string
  against?: string | undefined
  ratio?: number | undefined
  /** Only a ratio has a budget: the same machine is three times slower at another hour. A row without one is for orientation. */
  budget?: { text: string; met: boolean } | undefined
  /** As numbers, for programs: milliseconds, MiB, requests per second. */
  numbers: Record<string, number>
}

/** A ratio with its verdict, for a finding. */
export function held(ratio: number, budget: { atMost: number } | { atLeast: number }): Pick<Finding, 'ratio' | 'budget'> {
  const [sign, limit, met] =
    'atMost' in budget ? ['≤', budget.atMost, ratio <= budget.atMost] : ['≥', budget.atLeast, ratio >= budget.atLeast]
  return { ratio, budget: { text: `${sign} ${limit} ×`, met } }
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5)
}

/** The value that `share` of the values (0 to 1) does not exceed. */
export function quantile(values: readonly number[], share: number): number {
  if (values.length === 0) throw new Error('nothing was measured')
  const sorted = values.toSorted((a, b) => a - b)
  const at = (sorted.length - 1) * share
  const [low, high] = [sorted[Math.floor(at)] as number, sorted[Math.ceil(at)] as number]
  return low + (high - low) * (at - Math.floor(at))
}

/** The milliseconds that the work takes. */
export async function timed(work: () => Promise<unknown>): Promise<number> {
  const started = performance.now()
  await work()
  return performance.now() - started
}

/**
 * Runs two contenders by turns, and swaps their order every round, so that other load on the machine meets both alike.
 * @returns the results of each after the warm-up
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
