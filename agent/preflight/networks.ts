import { listed } from '../region/obstacles/evidence.ts'
import { cidrsOverlap } from '../resources/cidr.ts'
import type { Evidence } from './evidence.ts'
import { type Finding, fail, ok, warn } from './finding.ts'

type Network = { whose: string; cidr: string }

/** Whether the networks of pods, Services, nodes and the site are disjoint: an address in two networks is reached in only one of them. */
export function networks({ nodes, serviceCidrs, siteCidrs }: Evidence): Finding[] {
  if (!nodes) return []
  const pods = uniqueNetworks(
    nodes.flatMap(({ spec }) => spec?.podCIDRs ?? spec?.podCIDR ?? []),
    'pods',
  )
  const services = uniqueNetworks(serviceCidrs ?? [], 'Services')
  const hosts = nodes.flatMap(({ metadata, status }) => {
    const addresses: { type: string; address: string }[] = status?.addresses ?? []
    return addresses
      .filter(({ type }) => type === 'InternalIP')
      .map(({ address }) => ({ whose: `the node ${metadata.name}`, cidr: `${address}/${address.includes(':') ? 128 : 32}` }))
  })
  const site = siteCidrs.map((cidr) => ({ whose: 'the site', cidr }))

  const within = [...crossing(pods, services), ...crossing(hosts, pods), ...crossing(hosts, services)]
  const outside = [...crossing(site, pods), ...crossing(site, services)]
  const findings: Finding[] = []
  if (within.length > 0) {
    const why = 'Some addresses exist twice: connections reach the wrong one.'
    findings.push(
      fail(
        'cidr-overlap/cluster',
        listed(within),
        why,
        'Create the cluster again with networks that do not overlap: they cannot be changed in a running cluster.',
      ),
    )
  }
  if (outside.length > 0) {
    const why = 'Pods cannot reach these machines of the site: clients, brokers or registries there get no answer.'
    findings.push(
      warn(
        'cidr-overlap/site',
        listed(outside),
        why,
        'Move these machines, put a gateway in front of them, or create the cluster again with other networks.',
      ),
    )
  }
  if (findings.length > 0) return findings
  const known = [...pods, ...services]
  if (known.length === 0) return site.length === 0 ? [] : [unknownNetworks()]
  const beside = site.length > 0 ? `, and apart from ${listed(siteCidrs)}` : ''
  return [ok('cidr-overlap', `the networks of ${summary(pods, services)} are apart${beside}`)]
}

function unknownNetworks(): Finding {
  const why = 'It is unknown whether the networks of the site overlap with them.'
  return warn(
    'cidr-overlap',
    'the networks of pods and Services are unknown',
    why,
    'Compare them by hand with the settings of the network plugin.',
  )
}

function summary(pods: Network[], services: Network[]): string {
  const named = [...pods.slice(0, 3), ...services].map(({ cidr, whose }) => `${whose} (${cidr})`)
  return listed(named)
}

function uniqueNetworks(cidrs: string[], whose: string): Network[] {
  return [...new Set(cidrs)].map((cidr) => ({ whose, cidr }))
}

function crossing(some: Network[], others: Network[]): string[] {
  return some.flatMap((one) =>
    others
      .filter(({ cidr }) => cidrsOverlap(one.cidr, cidr))
      .map((other) => `${one.cidr} of ${one.whose} overlaps ${other.cidr} of ${other.whose}`),
  )
}
