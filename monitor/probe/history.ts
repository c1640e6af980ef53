import type { ProbeModule } from './modules/index.ts'

/** A probe that was run. */
export type PastProbe = {
  /** From 1, counting up; lost at a restart. */
  id: number
  /** When it ended: Unix time in milliseconds. */
  at: number
  /** The name of its module. */
  name: string
  /** The target as it was asked for, as it may be shown. */
  target: string
  isUp: boolean
  seconds: number
  /** Why it failed. */
  why: string | undefined
  /** Its dialogue. */
  log: string
  /** Its series, as Prometheus reads them. */
  series: string
  module: ProbeModule
}

/** As many as blackbox_exporter keeps by default (`--history.limit`): recent ones, and failed ones from before. */
const maxProbes = 100
/** Of all texts together. */
const maxChars = 2 * 1024 * 1024

/**
 * The last probes, as blackbox_exporter keeps them (prober/history.go): the last hundred, and of those from before the last hundred that
 * failed, so that a failure can still be read after many successes.
 */
export class ProbeHistory {
  #next = 1
  #chars = 0
  readonly #recent: PastProbe[] = []
  readonly #failed: PastProbe[] = []

  add(given: Omit<PastProbe, 'id'>): PastProbe {
    const past = { id: this.#next++, ...given }
    this.#recent.push(past)
    this.#chars += charsOf(past)
    if (this.#recent.length > maxProbes) this.#retire()
    while (this.#failed.length > maxProbes || (this.#chars > maxChars && this.#failed.length > 0)) this.#forget(this.#failed)
    while (this.#chars > maxChars && this.#recent.length > 1) this.#forget(this.#recent)
    return past
  }

  /** All of them, the newest first. */
  list(): PastProbe[] {
    return [...this.#failed, ...this.#recent].reverse()
  }

  byId(id: number): PastProbe | undefined {
    return this.list().find((past) => past.id === id)
  }

  /** The newest probe of a target. @param name its module; any when left out */
  byTarget(target: string, name: string | undefined): PastProbe | undefined {
    return this.list().find((past) => past.target === target && (name === undefined || past.name === name))
  }

  #retire(): void {
    const [oldest] = this.#recent.splice(0, 1)
    if (oldest === undefined) return
    if (oldest.isUp) this.#chars -= charsOf(oldest)
    else this.#failed.push(oldest)
  }

  #forget(list: PastProbe[]): void {
    const [oldest] = list.splice(0, 1)
    if (oldest !== undefined) this.#chars -= charsOf(oldest)
  }
}

function charsOf({ log, series, target, why = '' }: PastProbe): number {
  return log.length + series.length + target.length + why.length
}
