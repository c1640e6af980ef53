import { listed } from '../region/obstacles/evidence.ts'
import { askCharts } from './charts.ts'
import type { Component } from './components.ts'
import type { ChartSeen, Reached } from './evidence.ts'
import { type Outside, type ReachOptions, reachHosts } from './reach.ts'

/** The hosts outside, except those of charts, each with the components that need it, and the purpose if that is not images. */
const others: { host: string; port?: number; components: string[]; what?: string }[] = [
  { host: 'ghcr.io', components: ['prometheus', 'flux', 'skerry'] },
  // For the operator: also the images of databases.
  { host: 'registry-1.docker.io', components: ['crate-operator', 'loki', 'alloy', 'grafana', 'sealed-secrets', 'skerry'] },
  { host: 'quay.io', components: ['cert-manager', 'prometheus', 'grafana'] },
  { host: 'registry.k8s.io', components: ['prometheus'] },
  { host: 'repo1.maven.org', components: ['crate-operator'], what: 'the JMX exporter, which each CrateDB pod fetches when it starts' },
  { host: 'region1.v2.argotunnel.com', port: 7844, components: ['skerry'], what: 'the tunnel to the cloud' },
]

/** The cloud that the region is to join. */
export type Cloud = {
  host: string
  port: number
  /** Whether the region knows its CA by the pin in the installation token, so that nobody else has to trust its certificate. */
  isPinned: boolean
}

export type OutsideOptions = ReachOptions & {
  cloud?: Cloud | undefined
  /** Components whose charts are available locally. */
  atHand?: readonly string[]
}

/** Tries the hosts that these components need, and asks those that are reached for the charts. */
export async function lookOutside(
  components: readonly Component[],
  { atHand = [], cloud, ...options }: OutsideOptions,
): Promise<{ reached: Reached[]; charts: ChartSeen[] }> {
  const fetched = components.filter(({ name, repository = '' }) => !atHand.includes(name) && /^(https|oci):/.test(repository))
  const reached = await reachHosts(hostsOf(components, fetched, cloud), options)
  const there = new Set(reached.filter(({ outcome }) => outcome === 'reached').map(addressOf))
  const asked = fetched.filter(({ repository = '' }) => there.has(addressOf(hostOf(repository))))
  return { reached, charts: await askCharts(asked, options) }
}

/** Each host once, with all its purposes. @param fetched the components whose charts are fetched */
export function hostsOf(components: readonly Component[], fetched: readonly Component[], cloud?: Cloud): Outside[] {
  const needs = [...chartHosts(fetched), ...otherHosts(components)]
  const usual = [...Map.groupBy(needs, addressOf).values()].map((those) => {
    const [{ host, port }] = those as [Need]
    const neededFor = those.map((each) => each.neededFor).join('; ')
    return { host, port, tls: port !== 7844, neededFor, vital: those.some(({ vital }) => vital) }
  })
  if (cloud === undefined) return usual
  const { isPinned, ...at } = cloud
  return [...usual, { ...at, tls: true, anyCertificate: isPinned, neededFor: 'the cloud that the region joins', vital: false }]
}

type Need = Omit<Outside, 'tls'>

function chartHosts(fetched: readonly Component[]): Need[] {
  return [...Map.groupBy(fetched, ({ repository = '' }) => addressOf(hostOf(repository))).values()].map((those) => {
    const [{ repository = '' }] = those as [Component]
    const names = those.map(({ name }) => name)
    const neededFor = `the chart${those.length === 1 ? '' : 's'} of ${listed(names, names.length)}`
    return { ...hostOf(repository), neededFor, vital: those.some(({ role }) => role === 'needed') }
  })
}

function otherHosts(components: readonly Component[]): Need[] {
  return others.flatMap(({ host, port = 443, components: all, what }) => {
    const names = all.filter((name) => components.some((component) => component.name === name))
    return names.length === 0 ? [] : [{ host, port, neededFor: what ?? `images of ${listed(names, names.length)}`, vital: false }]
  })
}

function addressOf({ host, port }: { host: string; port: number }): string {
  return `${host}:${port}`
}

function hostOf(repository: string): { host: string; port: number } {
  const { hostname, port } = new URL(repository.replace(/^oci:/, 'https:'))
  return { host: hostname.replace(/^\[|\]$/g, ''), port: Number(port || 443) }
}
