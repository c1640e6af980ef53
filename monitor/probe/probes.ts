import type { Clock } from '../../shared/clock.ts'
import { type Family, family } from '../../shared/prometheus.ts'
import { createAccess } from './access/index.ts'
import type { ProbeConfig } from './config.ts'
import { builtInModules, type ProbeModule, probeModule } from './modules/index.ts'
import { probers } from './probers/index.ts'
import type { Prober } from './probers/prober.ts'
import type { Target } from './probers/target.ts'
import { ProbeRefusal } from './refusal.ts'
import { createResolver, type Lookup, type Resolver } from './resolve.ts'
import { beginAddress, createProbeSeries, type ProbeSeries, setAddress } from './series.ts'

/** A request for a probe, besides its query. */
export type ProbeRequest = {
  /** Header `X-Prometheus-Scrape-Timeout-Seconds`. */
  scrapeTimeout: string | undefined
  /** Aborts when the client disconnects. */
  signal: AbortSignal
}

/** The time left for the answer to reach Prometheus before the scrape times out; the same as blackbox_exporter's. */
const marginSeconds = 0.5
/** The default if neither Prometheus nor the module sets a limit. */
const usualSeconds = 30
const longestSeconds = 120

/** Runs probes on request, by the rules of the configuration. */
export function createProbes(config: ProbeConfig, { clock, lookup }: { clock: Clock; lookup?: Lookup }) {
  const modules = new Map<string, ProbeModule>(Object.entries(builtInModules).map(([name, module]) => [name, probeModule.parse(module)]))
  for (const [name, module] of Object.entries(config.modules)) modules.set(name, module)
  const resolver = createResolver(createAccess(config.allow), lookup)
  const counts = { success: 0, failure: 0, refused: 0, busy: 0 }
  let running = 0

  async function measured(
    module: ProbeModule,
    target: Target,
    request: { hostname: string | undefined; signal: AbortSignal },
  ): Promise<Family[]> {
    const series = createProbeSeries()
    const started = clock.monotonic()
    const isUp = await probe(module, target, { ...request, resolver, series })
    series.set('probe_success', '1 if the probe succeeded.', isUp ? 1 : 0)
    series.set('probe_duration_seconds', 'Duration of the probe.', (clock.monotonic() - started) / 1000)
    counts[isUp ? 'success' : 'failure']++
    return series.families()
  }

  return {
    /**
     * Runs the probe of a query: `target`, `module` (http_2xx by default) and, for HTTP, `hostname`. A probe that fails is a result like
     * any other, with `probe_success` 0.
     * @throws ProbeRefusal if the query is invalid or not allowed, or if too many probes are running
     */
    async run(query: URLSearchParams, { scrapeTimeout, signal }: ProbeRequest): Promise<Family[]> {
      const name = query.get('module') || 'http_2xx'
      const module = modules.get(name)
      if (module === undefined)
        throw new ProbeRefusal(
          'invalid-request',
          `There is no module ${JSON.stringify(name.slice(0, 100))}; the modules are ${[...modules.keys()].join(', ')}.`,
        )
      const target = targetOf(module, query.get('target') ?? '')
      const limit = timeoutOf(module, scrapeTimeout)
      if (running + resolver.lingering >= config.parallelism) {
        counts.busy++
        throw new ProbeRefusal('busy', `${config.parallelism} probes are running, which is the limit.`)
      }
      running++
      const done = new AbortController()
      try {
        const late = AbortSignal.any([signal, done.signal, AbortSignal.timeout(limit * 1000)])
        return await measured(module, target, { hostname: query.get('hostname') || undefined, signal: late })
      } catch (error) {
        if (error instanceof ProbeRefusal) counts.refused++
        throw error
      } finally {
        running--
        done.abort()
      }
    },
    /** How many probes were run and rejected. */
    families: (): Family[] => [
      family(
        'counter',
        'skerry_monitor_probes_total',
        'Probes on request, by outcome.',
        Object.entries(counts).map(([outcome, count]) => [{ outcome }, count]),
      ),
      family('gauge', 'skerry_monitor_probes_running', 'Running probes on request.', running),
    ],
  }
}

type ProbeNeeds = { hostname: string | undefined; signal: AbortSignal; resolver: Resolver; series: ProbeSeries }

/** Whether the probe succeeds. @throws ProbeRefusal if the target is not allowed */
async function probe(module: ProbeModule, target: Target, needs: ProbeNeeds): Promise<boolean> {
  const { signal, resolver, series } = needs
  const prober: Prober = probers[module.prober]
  prober.begin(series)
  try {
    return await prober.probe(module.settings, {
      target,
      async reach(preference) {
        beginAddress(series)
        const resolved = await resolver.resolve(target.host, target.port, preference, signal)
        setAddress(series, resolved)
        return resolved
      },
      ...needs,
    })
  } catch (error) {
    if (error instanceof ProbeRefusal) throw error
    return false
  }
}

/** The target of a query. @throws ProbeRefusal if the text does not suit the module */
function targetOf({ prober }: ProbeModule, text: string): Target {
  if (text === '') throw new ProbeRefusal('invalid-request', 'The parameter target is missing.')
  return probers[prober].targetOf(text)
}

/** The longest duration of a probe, in seconds. @throws ProbeRefusal if the header is not a number */
function timeoutOf(module: ProbeModule, header: string | undefined): number {
  const given = header === undefined || header === '' ? undefined : Number(header)
  if (given !== undefined && !(given > 0 && given < 86_400))
    throw new ProbeRefusal('invalid-request', 'X-Prometheus-Scrape-Timeout-Seconds is not a number of seconds.')
  // A scrape timeout below the margin is halved instead.
  const left = given === undefined ? usualSeconds : Math.max(given - marginSeconds, given / 2)
  return Math.min(left, longestSeconds, module.timeout === undefined ? longestSeconds : module.timeout / 1000)
}
