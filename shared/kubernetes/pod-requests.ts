import { parseBytes, parseMillicores } from './quantity.ts'

type Requesting = { resources?: { requests?: Record<string, unknown> } }
type Container = Requesting & { restartPolicy?: string }

/** The fields of a pod's spec that its requests depend on. */
export type RequestingPod = Requesting & {
  containers?: Container[]
  initContainers?: Container[]
  overhead?: Record<string, unknown>
}

/**
 * The request of a pod for a resource as the scheduler counts it: the sum of its containers and sidecars, or the largest amount during its
 * start if that is more (init containers run one at a time, beside the sidecars that started before them); plus its overhead (KEP-753). A
 * request of the pod as a whole (KEP-2837) takes precedence.
 *
 * @returns millicores of `cpu`; bytes or pieces of any other resource. An invalid quantity counts as 0.
 */
export function podRequest(spec: RequestingPod, resource: string): bigint {
  const asked = ({ resources }: Requesting) => amountOf(resource, resources?.requests?.[resource])
  let sidecars = 0n
  let starting = 0n
  for (const container of spec.initContainers ?? []) {
    if (container.restartPolicy === 'Always') sidecars += asked(container)
    else starting = larger(starting, sidecars + asked(container))
  }
  const running = (spec.containers ?? []).reduce((sum, container) => sum + asked(container), sidecars)
  const whole = spec.resources?.requests?.[resource]
  return (whole === undefined ? larger(running, starting) : asked(spec)) + amountOf(resource, spec.overhead?.[resource])
}

/** A quantity in millicores of `cpu`, in bytes or pieces of any other resource; 0 if it is absent or invalid. */
export function amountOf(resource: string, quantity: unknown): bigint {
  if (typeof quantity !== 'string' && typeof quantity !== 'number') return 0n
  return resource === 'cpu' ? BigInt(parseMillicores(quantity) ?? 0) : (parseBytes(String(quantity)) ?? 0n)
}

function larger(one: bigint, other: bigint): bigint {
  return one > other ? one : other
}
