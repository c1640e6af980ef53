import type { Clock } from '../../shared/clock.ts'
import type { Log } from '../../shared/log.ts'
import { type Family, family } from '../../shared/prometheus.ts'
import { someOf } from '../wire/wording.ts'
import { createAccess } from './access/index.ts'
import type { ProbeConfig } from './config.ts'
import { type PastProbe, ProbeHistory } from './history.ts'
import type { FollowedModules } from './modules/follow.ts'
import { builtInModules, type ProbeModule, probeModule } from './modules/index.ts'
import { probers } from './probers/index.ts'
import type { Prober } from './probers/prober.ts'
import type { Target } from './probers/target.ts'
import { type RecordedRequest, runRecorded, targetShown } from './recorded.ts'
import { ProbeRefusal } from './refusal.ts'
import { createResolver, type Lookup } from './resolve.ts'

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

/** The series of a probe, and the record of it that is kept. */
export type ProbeAnswer = { families: Family[]; past: PastProbe }

/** What probes need besides the configuration. */
type ProbesNeeds = {
  clock: Clock
  log: Log
  /** The modules of a file, as they are now. */
  file?: Pick<FollowedModules, 'modules' | 'last'> | undefined
  /** The system's resolver, or a test's. */
  lookup?: Lookup
}

const parsedBuiltIn = new Map<string, ProbeModule>()

/** A built-in module. It is parsed when it is asked for: their patterns load the engine of regular expressions, which takes 6 MiB. */
function builtInNamed(name: string): ProbeModule | undefined {
  const known = parsedBuiltIn.get(name)
  if (known !== undefined || !Object.hasOwn(builtInModules, name)) return known
  const module = probeModule.parse(builtInModules[name])
  parsedBuiltIn.set(name, module)
  return module
}

/** What `createProbes` returns. */
export type Probes = ReturnType<typeof createProbes>

/** Runs probes on request, by the rules of the configuration, and keeps the last ones. */
export function createProbes(config: ProbeConfig, { clock, log, file, lookup }: ProbesNeeds) {
  const own = new Map(Object.entries(config.modules))
  const resolver = createResolver(createAccess(config.allow), lookup)
  const history = new ProbeHistory()
  const counts = { success: 0, failure: 0, refused: 0, module_unknown: 0, module_refused: 0, busy: 0 }
  let running = 0

  async function measured(request: RecordedRequest): Promise<ProbeAnswer> {
    const { families, ...probe } = await runRecorded(request, { clock, resolver })
    const past = history.add(probe)
    const { id, isUp, name, target, why } = past
    counts[isUp ? 'success' : 'failure']++
    if (!isUp) log.debug({ probe: id, module: name, target, why }, 'probe failed')
    return { families, past }
  }

  /** The module of that name: of the configuration, of the file, or built in. @throws ProbeRefusal */
  function moduleNamed(name: string): ProbeModule {
    const read = own.has(name) ? undefined : file?.modules().get(name)
    if (read !== undefined && 'refused' in read) {
      counts.module_refused++
      throw new ProbeRefusal('module-refused', `Module ${JSON.stringify(name)} is refused: ${read.refused.join('; ')}`)
    }
    const module = own.get(name) ?? read?.module ?? builtInNamed(name)
    if (module !== undefined) return module
    counts.module_unknown++
    const known = new Set([...own.keys(), ...(file?.modules().keys() ?? []), ...Object.keys(builtInModules)])
    const said = JSON.stringify(name.slice(0, 100))
    throw new ProbeRefusal('invalid-request', `There is no module ${said}; the modules are ${someOf([...known], 30)}.`)
  }

  const moduleNames = () => namesInEffect(own, file)

  return {
    /**
     * Runs the probe of a query: `target`, `module` (http_2xx by default) and, for HTTP, `hostname`. A probe that fails is a result like
     * any other, with `probe_success` 0.
     * @throws ProbeRefusal if the query is invalid or not allowed, or if too many probes are running
     */
    async run(query: URLSearchParams, { scrapeTimeout, signal }: ProbeRequest): Promise<ProbeAnswer> {
      const name = query.get('module') || 'http_2xx'
      const module = moduleNamed(name)
      const text = query.get('target') ?? ''
      const target = targetOf(module, text)
      const limit = timeoutOf(module, scrapeTimeout)
      if (running + resolver.lingering >= config.parallelism) {
        counts.busy++
        throw new ProbeRefusal('busy', `${config.parallelism} probes are running, which is the limit.`)
      }
      running++
      const done = new AbortController()
      try {
        const late = AbortSignal.any([signal, done.signal, AbortSignal.timeout(Math.ceil(limit * 1000))])
        return await measured({ name, module, text, target, hostname: query.get('hostname') || undefined, signal: late, limit })
      } catch (error) {
        if (error instanceof ProbeRefusal) counts.refused++
        throw error
      } finally {
        running--
        done.abort()
      }
    },
    /** The last probes. */
    past: {
      /** All of them, the newest first. */
      list: (): PastProbe[] => history.list(),
      byId: (id: number): PastProbe | undefined => history.byId(id),
      /** The newest one of a target, as a request names it. @param name its module; any when left out */
      byTarget: (target: string, name?: string): PastProbe | undefined => history.byTarget(targetShown(target), name),
    },
    /** The modules in effect, by name: without those that are refused. */
    modules: (): ReadonlyMap<string, ProbeModule> => new Map([...moduleNames().keys()].map((name) => [name, moduleNamed(name)])),
    /** The names of the modules in effect, each with that of its prober. */
    moduleNames,
    /** The modules of the file that are refused, with the reasons. */
    refusedModules: (): [name: string, reasons: readonly string[]][] =>
      [...(file?.modules() ?? [])].flatMap(([name, read]) => ('refused' in read && !own.has(name) ? [[name, read.refused]] : [])),
    /** How many probes were run and rejected. */
    families: (): Family[] => [
      family(
        'counter',
        'skerry_monitor_probes_total',
        'Probes on request, by outcome.',
        Object.entries(counts).map(([outcome, count]) => [{ outcome }, count]),
      ),
      family('gauge', 'skerry_monitor_probes_running', 'Running probes on request.', running),
      ...moduleFamilies(file),
    ],
  }
}

function namesInEffect(own: ReadonlyMap<string, ProbeModule>, file: ProbesNeeds['file']): Map<string, string> {
  const names = new Map<string, string>(Object.entries(builtInModules).map(([name, { prober }]) => [name, prober]))
  for (const [name, read] of file?.modules() ?? []) {
    if ('refused' in read) names.delete(name)
    else names.set(name, read.module.prober)
  }
  for (const [name, { prober }] of own) names.set(name, prober)
  return names
}

/** What became of the modules file; nothing if there is none. */
function moduleFamilies(file: ProbesNeeds['file']): Family[] {
  const last = file?.last()
  if (file === undefined || last === undefined) return []
  const counts = { works: 0, differs: 0, refused: 0 }
  for (const module of file.modules().values())
    counts['refused' in module ? 'refused' : module.differences.length > 0 ? 'differs' : 'works']++
  return [
    family(
      'gauge',
      'skerry_monitor_probe_modules',
      'Modules of the modules file: those that work, work with a difference, or are refused.',
      Object.entries(counts).map(([state, count]) => [{ state }, count]),
    ),
    family(
      'gauge',
      'skerry_monitor_probe_modules_reload_successful',
      '1 if the modules file was valid when it was last read.',
      last.ok ? 1 : 0,
    ),
    family('gauge', 'skerry_monitor_probe_modules_reload_timestamp_seconds', 'When the modules file was last read.', last.at / 1000),
  ]
}

/** The target of a query. @throws ProbeRefusal if the text does not suit the module */
function targetOf({ prober, settings }: ProbeModule, text: string): Target {
  if (text === '') throw new ProbeRefusal('invalid-request', 'The parameter target is missing.')
  const { targetOf }: Prober = probers[prober]
  return targetOf(text, settings)
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
