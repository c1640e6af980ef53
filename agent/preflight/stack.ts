import type { Component } from './components.ts'
import type { Requests } from './evidence.ts'

/** The Deployments that identify a component: those that install.sh waits for. */
export function deploymentsOf({ wait }: Component): string[] {
  return wait.flatMap((target) => /^deployment\/([^?]+)/.exec(target)?.[1] ?? [])
}

/** Whether an API group belongs to one of the components, or is a subgroup of such a group. */
export function isOfStack(group: string, components: readonly Component[]): boolean {
  return components.some(({ definition }) => {
    if (definition === undefined) return false
    // certificates.cert-manager.io stands for all of cert-manager.io, helmreleases.helm.toolkit.fluxcd.io for all of toolkit.fluxcd.io.
    const own = definition.split('.').slice(1).slice(-3).join('.')
    return group === own || group.endsWith(`.${own}`)
  })
}

/** Memory in GiB or parts of it. */
const gib = (count: number) => BigInt(count * 2 ** 30)

/**
 * The estimated share of each component in the 2 to 3 cores and 4 to 6 GiB that the whole stack takes on three nodes, as measured: with less
 * than `least` it does not start, `usual` is comfortable.
 */
const needs: Record<string, { least: Requests; usual: Requests }> = {
  'cert-manager': { least: { millicores: 200, bytes: gib(0.25) }, usual: { millicores: 300, bytes: gib(0.5) } },
  'crate-operator': { least: { millicores: 200, bytes: gib(0.25) }, usual: { millicores: 300, bytes: gib(0.5) } },
  prometheus: { least: { millicores: 700, bytes: gib(2) }, usual: { millicores: 1_000, bytes: gib(2.5) } },
  loki: { least: { millicores: 250, bytes: gib(0.5) }, usual: { millicores: 400, bytes: gib(0.75) } },
  alloy: { least: { millicores: 100, bytes: gib(0.125) }, usual: { millicores: 200, bytes: gib(0.25) } },
  grafana: { least: { millicores: 150, bytes: gib(0.25) }, usual: { millicores: 250, bytes: gib(0.5) } },
  flux: { least: { millicores: 200, bytes: gib(0.25) }, usual: { millicores: 250, bytes: gib(0.5) } },
  'sealed-secrets': { least: { millicores: 50, bytes: gib(0.125) }, usual: { millicores: 100, bytes: gib(0.125) } },
  skerry: { least: { millicores: 150, bytes: gib(0.25) }, usual: { millicores: 200, bytes: gib(0.375) } },
}

/** The cores and memory that these components need: with less than `least` they do not start, `usual` is comfortable. */
export function stackNeeds(components: readonly Component[]): { least: Requests; usual: Requests } {
  const sum = (which: 'least' | 'usual') =>
    components.reduce<Requests>(
      ({ millicores, bytes }, { name }) => ({
        millicores: millicores + (needs[name]?.[which].millicores ?? 0),
        bytes: bytes + (needs[name]?.[which].bytes ?? 0n),
      }),
      { millicores: 0, bytes: 0n },
    )
  return { least: sum('least'), usual: sum('usual') }
}
