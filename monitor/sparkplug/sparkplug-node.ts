import { createHash } from 'node:crypto'
import type { Cached } from '../../shared/kubernetes/cache.ts'
import type { Kind, KubernetesObject } from '../../shared/kubernetes/objects.ts'
import { idFault, type NodeAddress } from './topics.ts'

/** `SparkplugNode`: another edge node whose liveness the monitor watches. */
export const sparkplugNodeKind: Kind = { apiVersion: 'skerry.dev/v1', kind: 'SparkplugNode', plural: 'sparkplugnodes', namespaced: true }

/** The fields that a cache keeps of a SparkplugNode. */
export type SparkplugNode = Cached & {
  /** Undefined where only the UUID is known. */
  address: NodeAddress | undefined
  uuid: string | undefined
  intervalMs: number
  secrets: readonly string[]
  reloadMetric: string
}

/** What a cache keeps of a Secret: enough to see that it changed, not its contents. */
export type SecretView = Cached & { fingerprint: string }

/** Makes the view of a SparkplugNode. The API server has validated the object; an older CRD may have validated less. */
export function sparkplugNodeView({ metadata, spec = {} }: KubernetesObject): SparkplugNode {
  const { address, uuid, interval, secrets, reloadMetric } = spec as Record<string, unknown>
  return {
    metadata,
    address: readAddress(address),
    uuid: typeof uuid === 'string' ? uuid.toLowerCase() : undefined,
    intervalMs: typeof interval === 'number' && interval >= 1 ? interval * 1000 : 60_000,
    secrets: Array.isArray(secrets) ? secrets.map(String) : [],
    reloadMetric: typeof reloadMetric === 'string' && reloadMetric !== '' ? reloadMetric : 'Node Control/Reload Edge Agent Config',
  }
}

/** Makes the view of a Secret. Its contents do not stay in memory. */
export function secretView({ metadata, data }: KubernetesObject): SecretView {
  const sorted = Object.entries((data ?? {}) as Record<string, string>).sort(([a], [b]) => (a < b ? -1 : 1))
  const { name, namespace, resourceVersion } = metadata
  const fingerprint = createHash('sha256').update(JSON.stringify(sorted)).digest('base64')
  return {
    metadata: { name, ...(namespace === undefined ? {} : { namespace }), ...(resourceVersion === undefined ? {} : { resourceVersion }) },
    fingerprint,
  }
}

function readAddress(given: unknown): NodeAddress | undefined {
  const { group, node } = (given ?? {}) as Record<string, unknown>
  if (typeof group !== 'string' || typeof node !== 'string') return undefined
  return (idFault(group, { isGroup: true }) ?? idFault(node)) ? undefined : { group, node }
}
