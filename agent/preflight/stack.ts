/**
 * What the installer brings before Skerry, in its order: where it is, the Deployment by which it is known, and the definition without
 * which that one is of no use. test/deploy/bootstrap.real.test.ts holds it against deploy/bootstrap/components.
 */
export const stack: { name: string; namespace: string; deployment?: string; definition?: string }[] = [
  { name: 'cert-manager', namespace: 'cert-manager', deployment: 'cert-manager', definition: 'certificates.cert-manager.io' },
  { name: 'crate-operator', namespace: 'crate-operator', deployment: 'crate-operator', definition: 'cratedbs.cloud.crate.io' },
  { name: 'prometheus', namespace: 'monitoring', definition: 'prometheuses.monitoring.coreos.com' },
  { name: 'loki', namespace: 'monitoring' },
  { name: 'alloy', namespace: 'monitoring' },
  { name: 'grafana', namespace: 'monitoring' },
  { name: 'flux', namespace: 'flux-system', deployment: 'helm-controller', definition: 'helmreleases.helm.toolkit.fluxcd.io' },
  { name: 'sealed-secrets', namespace: 'sealed-secrets', definition: 'sealedsecrets.bitnami.com' },
  { name: 'skerry', namespace: 'skerry', deployment: 'skerry-agent', definition: 'projects.skerry.dev' },
]

/** Groups of the definitions that come with it. */
export const stackGroups = [
  'cert-manager.io',
  'acme.cert-manager.io',
  'cloud.crate.io',
  'monitoring.coreos.com',
  'toolkit.fluxcd.io',
  'bitnami.com',
  'skerry.dev',
]

/** Whether a group of the API is one of those, or below one. */
export function isOfStack(group: string): boolean {
  return stackGroups.some((own) => group === own || group.endsWith(`.${own}`))
}

/** Cores and memory that the stack takes: with less than `least` it does not start, with `usual` it is at ease. */
export const stackNeeds = {
  least: { millicores: 2_000, bytes: 4n << 30n },
  usual: { millicores: 3_000, bytes: 6n << 30n },
}
