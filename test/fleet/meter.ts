/** How the amounts of a window are spread over it. Rates are per second. */
export type Spread = {
  mean: number
  peak: number /** The peak as a multiple of the mean. */
  ratio: number /** Seconds after the start of the window. */
  peakAt: number
}

/** Counts something over time, second by second. */
export class Meter {
  readonly #perSecond: number[] = []
  total = 0

  /** @param atMs monotonic milliseconds */
  add(atMs: number, amount = 1): void {
    const second = Math.floor(atMs / 1_000)
    this.#perSecond[second] = (this.#perSecond[second] ?? 0) + amount
    this.total += amount
  }

  /** The rate in each step of a window. @param stepS seconds */
  rates(fromMs: number, toMs: number, stepS: number): number[] {
    const from = Math.floor(fromMs / 1_000)
    const steps = Math.max(1, Math.ceil((toMs - fromMs) / 1_000 / stepS))
    return Array.from({ length: steps }, (_, step) => {
      let sum = 0
      for (let second = 0; second < stepS; second++) sum += this.#perSecond[from + step * stepS + second] ?? 0
      return sum / stepS
    })
  }

  /** @param stepS the seconds over which a peak is measured: with a small fleet, chance alone makes one second many times the mean */
  spread(fromMs: number, toMs: number, stepS = 1): Spread {
    const rates = this.rates(fromMs, toMs, stepS)
    const mean = rates.reduce((sum, each) => sum + each, 0) / rates.length
    const peak = Math.max(...rates)
    return { mean, peak, ratio: mean === 0 ? 0 : peak / mean, peakAt: rates.indexOf(peak) * stepS }
  }
}
