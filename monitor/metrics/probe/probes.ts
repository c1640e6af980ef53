import { isIP } from 'node:net'
import type { Clock } from '../../../shared/clock.ts'
import { type Family, family } from '../../../shared/prometheus.ts'
import { hostOf } from '../../wire/http-exchange.ts'
import type { ProbeRequest } from '../app.ts'
import { EndpointProblem } from '../problems.ts'
import { createAccess } from './access.ts'
import { builtInModules, type ProbeConfig, type ProbeModule, probeModule } from './config.ts'
import { beginDns, probeDns } from './dns.ts'
import { beginHttp, portOf, probeHttp } from './http.ts'
import { createResolver, type Lookup, preferenceOf, type Resolved, type Resolver } from './resolve.ts'
import { beginAddress, createProbeSeries, type ProbeSeries, setAddress } from './series.ts'
import { beginTcp, probeTcp } from './tcp.ts'

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
     * @throws EndpointProblem if the query is invalid or not allowed, or if too many probes are running
     */
    async run(query: URLSearchParams, { scrapeTimeout, signal }: ProbeRequest): Promise<Family[]> {
      const name = query.get('module') || 'http_2xx'
      const module = modules.get(name)
      if (module === undefined)
        throw new EndpointProblem(
          'invalid-request',
          `There is no module ${JSON.stringify(name.slice(0, 100))}; the modules are ${[...modules.keys()].join(', ')}.`,
        )
      const target = targetOf(module, query.get('target') ?? '')
      const limit = timeoutOf(module, scrapeTimeout)
      if (running + resolver.lingering >= config.parallelism) {
        counts.busy++
        throw new EndpointProblem('busy', `${config.parallelism} probes are running, which is the limit.`)
      }
      running++
      const done = new AbortController()
      try {
        const late = AbortSignal.any([signal, done.signal, AbortSignal.timeout(limit * 1000)])
        return await measured(module, target, { hostname: query.get('hostname') || undefined, signal: late })
      } catch (error) {
        if (error instanceof EndpointProblem) counts.refused++
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

type Target = { host: string; port: number; url: URL | undefined }

type ProbeNeeds = { hostname: string | undefined; signal: AbortSignal; resolver: Resolver; series: ProbeSeries }

const begin: Record<ProbeModule['prober'], (series: ProbeSeries) => void> = { http: beginHttp, tcp: beginTcp, dns: beginDns }

/** Whether the probe succeeds. @throws EndpointProblem if the target is not allowed */
async function probe(module: ProbeModule, target: Target, { hostname, signal, resolver, series }: ProbeNeeds): Promise<boolean> {
  begin[module.prober](series)
  beginAddress(series)
  try {
    const resolved: Resolved = await resolver.resolve(target.host, target.port, preferenceOf(module), signal)
    setAddress(series, resolved)
    switch (module.prober) {
      case 'http':
        return await probeHttp(module.http, { url: target.url as URL, first: resolved, hostname, resolver, signal }, series)
      case 'tcp':
        return await probeTcp(module.tcp, resolved, signal, series)
      case 'dns':
        return await probeDns(module.dns, resolved, signal, series)
    }
  } catch (error) {
    if (error instanceof EndpointProblem) throw error
    return false
  }
}

/** The target that a text names. @throws EndpointProblem if the text does not suit the module */
function targetOf(module: ProbeModule, text: string): Target {
  if (text === '') throw new EndpointProblem('invalid-request', 'The parameter target is missing.')
  if (module.prober === 'http') {
    const url = URL.parse(/^https?:\/\//i.test(text) ? text : `http://${text}`)
    if (url === null || url.hostname === '' || !/^https?:$/.test(url.protocol))
      throw new EndpointProblem('invalid-request', 'The target is not an HTTP address.')
    if (url.username !== '' || url.password !== '')
      throw new EndpointProblem('invalid-request', 'The target must not contain credentials: use basic_auth of the module.')
    return { host: hostOf(url), port: portOf(url), url }
  }
  const [, bracketed, plain, port = module.prober === 'dns' ? '53' : ''] =
    /^(?:\[([0-9A-Fa-f:.]{2,45})\]|([A-Za-z0-9_.-]{1,253}))(?::(\d{1,5}))?$/.exec(text) ?? []
  const host = bracketed ?? plain
  const number = Number(port)
  if (host === undefined || (bracketed !== undefined && isIP(bracketed) !== 6) || number < 1 || number > 65_535)
    throw new EndpointProblem('invalid-request', `The target must be host:port${module.prober === 'dns' ? ', or a host alone' : ''}.`)
  return { host, port: number, url: undefined }
}

/** The longest duration of a probe, in seconds. @throws EndpointProblem if the header is not a number */
function timeoutOf(module: ProbeModule, header: string | undefined): number {
  const given = header === undefined || header === '' ? undefined : Number(header)
  if (given !== undefined && !(given > 0 && given < 86_400))
    throw new EndpointProblem('invalid-request', 'X-Prometheus-Scrape-Timeout-Seconds is not a number of seconds.')
  // A scrape timeout below the margin is halved instead.
  const left = given === undefined ? usualSeconds : Math.max(given - marginSeconds, given / 2)
  return Math.min(left, longestSeconds, module.timeout === undefined ? longestSeconds : module.timeout / 1000)
}
