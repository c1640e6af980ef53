import type { Clock } from '../../shared/clock.ts'
import { secretTexts } from '../../shared/config/shown.ts'
import { queryShown, secretsIn } from '../../shared/discretion.ts'
import { type Family, pageTypeFor, renderPage } from '../../shared/prometheus.ts'
import { messageOf, reasonOf } from '../wire/reasons.ts'
import { shorten } from '../wire/wording.ts'
import { Dialogue } from './dialogue.ts'
import type { PastProbe } from './history.ts'
import type { ProbeModule } from './modules/index.ts'
import { environmentProxies } from './modules/proxy.ts'
import { probers } from './probers/index.ts'
import type { ProbeRun, Prober } from './probers/prober.ts'
import type { Target } from './probers/target.ts'
import { ProbeRefusal } from './refusal.ts'
import { type Resolver, resolveFor } from './resolve.ts'
import { beginAddress, createProbeSeries, setAddress } from './series.ts'

/** A probe to run. */
export type RecordedRequest = {
  /** The name of the module. */
  name: string
  module: ProbeModule
  /** The target as it was asked for, and what it means. */
  text: string
  target: Target
  hostname: string | undefined
  /** The time limit, in seconds, with which the signal aborts. */
  limit: number
  signal: AbortSignal
}

/**
 * Runs a probe, and records what it did and heard. A probe that fails is a result like any other.
 * @throws ProbeRefusal if the target is not allowed
 */
export async function runRecorded(
  request: RecordedRequest,
  { clock, resolver }: { clock: Clock; resolver: Resolver },
): Promise<Omit<PastProbe, 'id'> & { families: Family[] }> {
  const { name, module, hostname, limit } = request
  const target = targetShown(request.text)
  const series = createProbeSeries()
  const about = { module: shorten(name, 100), target }
  const dialogue = new Dialogue({ now: clock.now, about, secrets: secretsOf(module, request.target) })
  dialogue.say('Beginning probe', { probe: module.prober, timeout_seconds: limit, hostname })
  const started = clock.monotonic()
  const isUp = await probe(module, { ...request, resolver, series, dialogue })
  const seconds = (clock.monotonic() - started) / 1000
  series.set('probe_success', '1 if the probe succeeded.', isUp ? 1 : 0)
  series.set('probe_duration_seconds', 'Duration of the probe.', seconds)
  const why = isUp ? undefined : dialogue.why
  if (isUp) dialogue.say('Probe succeeded', { duration_seconds: seconds })
  else dialogue.fail('Probe failed', { duration_seconds: seconds })
  const families = series.families()
  const text = dialogue.hide([...renderPage(families, pageTypeFor())].join(''))
  return { at: clock.now(), name, target, isUp, seconds, why, log: dialogue.text(), series: text, module, families }
}

/** @throws ProbeRefusal if the target is not allowed */
async function probe(module: ProbeModule, needs: Omit<ProbeRun, 'reach'>): Promise<boolean> {
  const { target, series, dialogue } = needs
  const prober: Prober = probers[module.prober]
  prober.begin(series)
  try {
    return await prober.probe(module.settings, {
      ...needs,
      async reach(preference) {
        beginAddress(series)
        const resolved = await resolveFor(needs, target, preference)
        setAddress(series, resolved)
        return resolved
      },
    })
  } catch (error) {
    if (error instanceof ProbeRefusal) throw error
    dialogue.fail('Probe ended with an error', { reason: reasonOf(error), err: messageOf(error) })
    return false
  }
}

/** The texts that the dialogue hides: the secrets of the module, also as they are sent, and the values of the target's query. */
function secretsOf({ prober, settings }: ProbeModule, { url }: Target): string[] {
  const secrets = secretTexts(probers[prober].settings, settings)
  const { basic_auth: user, proxy_from_environment: hasProxies } = settings as {
    basic_auth?: { username?: string }
    proxy_from_environment?: boolean
  }
  const ofProxies = hasProxies ? environmentProxies().flatMap((each) => secretsIn('url', each)) : []
  const sent = secrets.map((secret) => Buffer.from(`${user?.username ?? ''}:${secret}`).toString('base64'))
  const asked = [...(url?.searchParams ?? [])].map(([key, value]) => value || key)
  return [...secrets, ...sent, ...ofProxies, ...asked]
}

/** A target as it may be shown: without the values of its query, which may be keys. */
export function targetShown(text: string): string {
  const start = text.indexOf('?')
  return shorten(start === -1 ? text : text.slice(0, start) + queryShown(text.slice(start)), 200)
}
