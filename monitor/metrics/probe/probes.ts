import { isIP } from 'node:net'
import type { Clock } from '../../../shared/clock.ts'
import { hostOf } from '../../wire/http-exchange.ts'
import type { ProbeRequest } from '../app.ts'
import { type Family, family } from '../exposition.ts'
import { EndpointProblem } from '../problems.ts'
import { createAccess } from './access.ts'
import { builtInModules, type ProbeConfig, type ProbeModule, probeModule } from './config.ts'
import { beginDns, probeDns } from './dns.ts'
import { beginHttp, portOf, probeHttp } from './http.ts'
import { createResolver, type Lookup, preferenceOf, type Resolved, type Resolver } from './resolve.ts'
import { createProbeSeries, type ProbeSeries, tellAddress } from './series.ts'
import { beginTcp, probeTcp } from './tcp.ts'

/** Probes on request. */
export type Probes = {
  /**
   * Runs the probe that the query asks for: `target`, `module` (http_2xx if left out) and, for HTTP, `hostname`. A probe that fails is
   * a result like any other, with `probe_success` 0.
   * @throws EndpointProblem if it cannot be understood, is not allowed, or there are too many at once
   */
  run(query: URLSearchParams, request: ProbeRequest): Promise<Family[]>
  /** How many were run, and turned away. */
  families(): Family[]
}

/** Blackbox_exporter's own: what is left for the answer to travel before Prometheus gives up. */
const marginSeconds = 0.5
/** Without a word from Prometheus or the module. */
const usualSeconds = 30
const longestSeconds = 120

/** Probes by the rules of the configuration. */
export function createProbes(config: ProbeConfig, { clock, lookup }: { clock: Clock; lookup?: Lookup }): Probes {
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
    series.set('probe_duration_seconds', 'How long the probe took.', (clock.monotonic() - started) / 1000)
    counts[isUp ? 'success' : 'failure']++
    return series.families()
  }

  return {
    async run(query, { scrapeTimeout, signal }) {
      const name = query.get('module') || 'http_2xx'
      const module = modules.get(name)
      if (module === undefined)
        throw new EndpointProblem(
          'invalid-request',
          `There is no module ${JSON.stringify(name.slice(0, 100))}; there are ${[...modules.keys()].join(', ')}.`,
        )
      const target = targetOf(module, query.get('target') ?? '')
      const limit = timeoutOf(module, scrapeTimeout)
      if (running + resolver.lingering >= config.parallelism) {
        counts.busy++
        throw new EndpointProblem('busy', `${config.parallelism} probes are under way, as many as there may be.`)
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
    families: () => [
      family(
        'counter',
        'skerry_monitor_probes_total',
        'Probes on request, by how they ended.',
        Object.entries(counts).map(([outcome, count]) => [{ outcome }, count]),
      ),
      family('gauge', 'skerry_monitor_probes_running', 'Probes on request that are under way.', running),
    ],
  }
}

type Target = { host: string; port: number; url: URL | undefined }

type ProbeNeeds = { hostname: string | undefined; signal: AbortSignal; resolver: Resolver; series: ProbeSeries }

/** Whether the probe succeeds. @throws EndpointProblem if it is not allowed */
async function probe(module: ProbeModule, target: Target, { hostname, signal, resolver, series }: ProbeNeeds): Promise<boolean> {
  if (module.prober === 'http') beginHttp(series)
  else if (module.prober === 'tcp') beginTcp(series)
  else beginDns(series)
  for (const [name, help] of addressSeries) series.set(name, help, 0)
  try {
    const resolved: Resolved = await resolver.resolve(target.host, target.port, preferenceOf(module), signal)
    tellAddress(series, resolved)
    if (module.prober === 'http')
      return await probeHttp(module.http, { url: target.url as URL, first: resolved, hostname, resolver, signal }, series)
    return module.prober === 'tcp'
      ? await probeTcp(module.tcp, resolved, signal, series)
      : await probeDns(module.dns, resolved, signal, series)
  } catch (error) {
    if (error instanceof EndpointProblem) throw error
    return false
  }
}

const addressSeries = [
  ['probe_dns_lookup_time_seconds', 'How long the name took to resolve.'],
  ['probe_ip_protocol', 'Version of IP: 4 or 6.'],
  ['probe_ip_addr_hash', 'Hash of the address, which shows when it changes.'],
] as const

/** @throws EndpointProblem if the text is no target of such a module */
function targetOf(module: ProbeModule, text: string): Target {
  if (text === '') throw new EndpointProblem('invalid-request', 'The parameter target is missing.')
  if (module.prober === 'http') {
    const url = URL.parse(/^https?:\/\//i.test(text) ? text : `http://${text}`)
    if (url === null || url.hostname === '' || !/^https?:$/.test(url.protocol))
      throw new EndpointProblem('invalid-request', 'The target is no HTTP address.')
    if (url.username !== '' || url.password !== '')
      throw new EndpointProblem('invalid-request', 'A password in the target is not sent; give the module basic_auth.')
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

/** Seconds that a probe may take. @throws EndpointProblem if the header is no number */
function timeoutOf(module: ProbeModule, header: string | undefined): number {
  const told = header === undefined || header === '' ? undefined : Number(header)
  if (told !== undefined && !(told > 0 && told < 86_400))
    throw new EndpointProblem('invalid-request', 'X-Prometheus-Scrape-Timeout-Seconds is not a number of seconds.')
  // A scrape that is shorter than the margin still gets half of its time.
  const left = told === undefined ? usualSeconds : Math.max(told - marginSeconds, told / 2)
  return Math.min(left, longestSeconds, module.timeout === undefined ? longestSeconds : module.timeout / 1000)
}
