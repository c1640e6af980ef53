import { listed } from '../region/obstacles/evidence.ts'
import { askCharts } from './charts.ts'
import type { Component } from './components.ts'
import type { ChartSeen, Reached } from './evidence.ts'
import { type Outside, type ReachOptions, reachHosts } from './reach.ts'

/** What there is outside besides charts: by host the components that need it, and what for if not for images. */
const others: { host: string; port?: number; components: string[]; what?: string }[] = [
  { host: 'ghcr.io', components: ['prometheus', 'flux', 'skerry'] },
  // The operator's: those of databases too.
  { host: 'registry-1.docker.io', components: ['crate-operator', 'loki', 'alloy', 'grafana', 'sealed-secrets', 'skerry'] },
  { host: 'quay.io', components: ['cert-manager', 'prometheus', 'alloy', 'grafana'] },
  { host: 'registry.k8s.io', components: ['prometheus'] },
  { host: 'repo1.maven.org', components: ['crate-operator'], what: 'the JMX exporter, which each CrateDB pod fetches when it starts' },
  { host: 'region1.v2.argotunnel.com', port: 7844, components: ['skerry'], what: 'the tunnel to the cloud' },
]

export type OutsideOptions = ReachOptions & {
  /** Components whose charts are at hand, so that nobody is asked for them. */
  atHand?: readonly string[]
}

/** Tries the hosts that these components come from and live on, and asks those that are reached for the charts. */
export async function lookOutside(
  components: readonly Component[],
  { atHand = [], ...options }: OutsideOptions,
): Promise<{ reached: Reached[]; charts: ChartSeen[] }> {
  const fetched = components.filter(({ name, repository = '' }) => !atHand.includes(name) && /^(https|oci):/.test(repository))
  const reached = await reachHosts(hostsOf(components, fetched), options)
  const there = new Set(reached.flatMap(({ host, port, outcome }) => (outcome === 'reached' ? [`${host}:${port}`] : [])))
  const asked = fetched.filter(({ repository = '' }) => {
    const { host, port } = hostOf(repository)
    return there.has(`${host}:${port}`)
  })
  return { reached, charts: await askCharts(asked, options) }
}

/** Every host once, with all that it is needed for. */
export function hostsOf(components: readonly Component[], fetched: readonly Component[]): Outside[] {
  const names = components.map(({ name }) => name)
  const ofCharts = [...Map.groupBy(fetched, ({ repository = '' }) => `${hostOf(repository).host}:${hostOf(repository).port}`).values()].map(
    (those) => ({
      ...hostOf(those[0]?.repository ?? ''),
      neededFor: `${those.length === 1 ? 'the chart' : 'the charts'} of ${listed(
        those.map(({ name }) => name),
        those.length,
      )}`,
      vital: those.some(({ role }) => role === 'needed'),
    }),
  )
  const ofOthers = others.flatMap(({ host, port = 443, components: all, what }) => {
    const those = all.filter((name) => names.includes(name))
    return those.length === 0 ? [] : [{ host, port, neededFor: what ?? `images of ${listed(those, those.length)}`, vital: false }]
  })
  return [...Map.groupBy([...ofCharts, ...ofOthers], ({ host, port }) => `${host}:${port}`).values()].map((those) => {
    const [{ host, port }] = those as [(typeof those)[0]]
    const neededFor = those.map((each) => each.neededFor).join('; ')
    return { host, port, tls: port !== 7844, neededFor, vital: those.some(({ vital }) => vital) }
  })
}

function hostOf(repository: string): { host: string; port: number } {
  const { hostname, port } = new URL(repository.replace(/^oci:/, 'https:'))
  return { host: hostname.replace(/^\[|\]$/g, ''), port: Number(port || 443) }
}
