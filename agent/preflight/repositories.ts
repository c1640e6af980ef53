import { listed } from '../region/obstacles/evidence.ts'
import type { ChartSeen, Evidence } from './evidence.ts'
import { type Finding, fail, ok, warn } from './finding.ts'

const ownList =
  'Its project says where it is now: pass install.sh a list with the new location (--components), or the chart itself in a folder (--offline).'
/** The action for each outcome. */
const actions: Record<Exclude<ChartSeen['outcome'], 'there'>, string> = {
  'no-repository': ownList,
  'no-chart': ownList,
  'no-version': 'Pass install.sh a list with an existing version (--components), or the chart itself in a folder (--offline).',
  'no-index': 'Find the device in between, such as a proxy with a login page.',
  unreached: 'Open the firewall for that host too, or set a proxy with --https-proxy.',
  unclear: 'Run this again. If it fails again, download the charts elsewhere, and pass install.sh the folder (--offline).',
}

/** Whether the charts are where the list of components says. One that databases do not need is left out by install.sh. */
export function repositories({ charts }: Evidence): Finding[] {
  if (!charts || charts.length === 0) return []
  const missed = charts.filter(({ outcome }) => outcome !== 'there')
  if (missed.length === 0) return [ok('charts', `charts are in their repositories: all ${charts.length}`)]
  const causes = new Set(missed.map(({ outcome, detail }) => `${outcome} ${detail}`))
  const isOne = causes.size === 1 && missed.length === charts.length && new Set(missed.map(({ repository }) => repository)).size > 1
  if (isOne) return [judge('charts', 'no repository has its charts', missed)]
  return [...Map.groupBy(missed, ({ repository, outcome, detail }) => `${repository} ${outcome} ${detail}`).values()].map((those) => {
    const [{ repository, component, outcome }] = those as [ChartSeen]
    const isOfAll = ['no-repository', 'no-index', 'unreached', 'unclear'].includes(outcome)
    const id = isOfAll ? `chart-repository/${repository}` : `chart/${component}`
    const names = listed(
      those.map(({ component }) => component),
      those.length,
    )
    return judge(id, `${those.length === 1 ? 'the chart' : 'the charts'} of ${names} cannot be downloaded from ${repository}`, those)
  })
}

/** @param missed charts with the same outcome */
function judge(id: string, what: string, missed: ChartSeen[]): Finding {
  const [{ outcome, detail }] = missed as [ChartSeen]
  const needed = missed.flatMap(({ needed, component }) => (needed ? [component] : []))
  const usual = missed.flatMap(({ needed, component }) => (needed ? [] : [component]))
  const leftOut = `install.sh leaves ${listed(usual, usual.length)} out, and installs the rest.`
  const stops = `The installation stops at ${needed[0]}: databases do not run without it.`
  const why = outcome === 'unclear' ? 'It is unknown whether helm can fetch it.' : needed.length === 0 ? leftOut : stops
  // An unclear outcome may be temporary, or different for helm with a password: it is no failure.
  return (needed.length > 0 && outcome !== 'unclear' ? fail : warn)(id, `${what}: ${detail}`, why, actions[outcome as keyof typeof actions])
}
