import { isIP } from 'node:net'
import type { KubernetesObject } from '../../shared/kubernetes/objects.ts'

/**
 * The networks inside the cluster, as far as they are known: those that the site names, those of each node's pods, and the address at which
 * the agent reaches the API server, which is a Service. Network plugins with an address management of their own tell Kubernetes no network
 * of pods, and before version 1.33 it has no resource with those of Services.
 */
export function clusterNetworksNow(
  configured: readonly string[],
  { nodes, server }: { nodes: Iterable<KubernetesObject>; server: URL },
): string[] {
  const ofPods = [...nodes].flatMap(({ spec }): string[] => spec?.podCIDRs ?? spec?.podCIDR ?? [])
  const host = server.hostname.replace(/^\[|\]$/g, '')
  const family = isIP(host)
  return [...configured, ...ofPods, ...(family === 0 ? [] : [`${host}/${family === 4 ? 32 : 128}`])]
}
