import type { Component } from './components.ts'
import type { Requests } from './evidence.ts'

/** The Deployments by which a component is known: those that install.sh waits for. */
export function deploymentsOf({ wait }: Component): string[] {
  return wait.flatMap((target) => /^deployment\/([^?]+)/.exec(target)?.[1] ?? [])
}

/** Whether a group of the API comes with one of the components, or is below one that does. */
export function isOfStack(group: string, components: readonly Component[]): boolean {
  return components.some(({ definition }) => {
    if (definition === undefined) return false
    // Of certificates.cert-manager.io all of cert-manager.io, and of helmreleases.helm.toolkit.fluxcd.io all of toolkit.fluxcd.io.
    const own = definition.split('.').slice(1).slice(-3).join('.')
    return group === own || group.endsWith(`.${own}`)
  })
}

/** Memory in GiB or parts of it. */
const gib = (count: number) => BigInt(count * 2 ** 30)

/**
 * What each component takes of the 2 to 3 cores and 4 to 6 GiB that the whole stack was found to take on three nodes: an estimate of its
 * share. With less it does not start, with more it is at ease.
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

/** Cores and memory that these components take: with less than `least` they do not start, with `usual` they are at ease. */
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
