import type * as z from 'zod'
import type { Dialogue } from '../dialogue.ts'
import type { IpPreference } from '../modules/fields.ts'
import type { Left } from '../modules/left.ts'
import type { Resolved, Resolver } from '../resolve.ts'
import type { ProbeSeries } from '../series.ts'
import type { Target } from './target.ts'

/** One probe under way. */
export type ProbeRun = {
  target: Target
  /** The parameter `hostname` of the request. */
  hostname: string | undefined
  /**
   * Resolves the target's host by the rules, and sets the series about its address.
   * @throws ProbeRefusal `probe-not-allowed`; CheckFailure `dns`; the signal's reason
   */
  reach(preference: IpPreference): Promise<Resolved>
  /** For further hosts, such as that of a redirect. */
  resolver: Resolver
  series: ProbeSeries
  /** Where the probe records its steps, and by `fail` why it fails. It hides the secrets of the module in whatever it is given. */
  dialogue: Dialogue
  /** Aborts when the time is up, or the client disconnects. The probe closes what it opened. */
  signal: AbortSignal
}

/** One prober of blackbox_exporter. Time limits, rules and the common series belong to the caller. */
export type Prober<S extends z.ZodType = z.ZodType> = {
  /** The section of a module that is named after the prober; a strict object with blackbox_exporter's names. */
  settings: S
  /** What of blackbox_exporter's prober there is not, or is in another way. */
  left: readonly Left[]
  /** The target that the request names. @throws ProbeRefusal if the text does not suit the prober */
  targetOf(text: string, settings: z.output<S>): Target
  /** Sets the series to 0 that exist however the probe ends. */
  begin(series: ProbeSeries): void
  /** Whether the probe succeeds. An error means that it fails. @throws ProbeRefusal if the target is not allowed */
  probe(settings: z.output<S>, run: ProbeRun): Promise<boolean>
}
