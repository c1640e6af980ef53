import type { KubernetesObject } from './objects.ts'

/** The fields of a Lease's spec (coordination.k8s.io/v1) that an election uses. Times are MicroTime: six decimals. */
export type LeaseSpec = {
  holderIdentity?: string | null
  leaseDurationSeconds?: number | null
  acquireTime?: string | null
  renewTime?: string | null
  leaseTransitions?: number | null
}

/** A Lease. */
export type LeaseObject = KubernetesObject & { spec: LeaseSpec }

/** A Lease as last seen, and the monotonic moment, in milliseconds, at which it was seen to change. */
export type Observation = { object: LeaseObject; at: number }

/**
 * How many times our own setting a holder's duration may be. In a rolling update the two may differ. Beyond that, a holder that vanished
 * would keep everybody waiting: client-go believes a Lease that promises a day.
 */
const mostTimes = 4

/** How long after its last renewal a holder is respected, in milliseconds. `durationMs` is our own setting. */
export function respectedMs({ leaseDurationSeconds }: LeaseSpec, durationMs: number): number {
  const promisedMs = leaseDurationSeconds ? leaseDurationSeconds * 1000 : durationMs
  return Math.min(promisedMs, mostTimes * durationMs)
}

/**
 * Whether `identity` may take the Lease: nobody holds it, it is ours, or its holder has not renewed it within its own duration. That
 * duration counts, not our setting, up to four times our setting.
 */
export function isFree(
  observation: Observation | undefined,
  identity: string,
  { durationMs, now }: { durationMs: number; now: number },
): boolean {
  if (observation === undefined) return true
  const { spec } = observation.object
  if (!spec.holderIdentity || spec.holderIdentity === identity) return true
  return now - observation.at >= respectedMs(spec, durationMs)
}

/** The spec with `identity` as its holder, renewed now. `now` is Unix ms. */
export function takenBy(
  identity: string,
  from: LeaseObject | undefined,
  { durationMs, now }: { durationMs: number; now: number },
): LeaseSpec {
  const before = from?.spec
  const isOurs = before?.holderIdentity === identity
  const time = microTime(now)
  return {
    ...before,
    holderIdentity: identity,
    leaseDurationSeconds: durationMs / 1000,
    acquireTime: isOurs ? (before.acquireTime ?? time) : time,
    renewTime: time,
    leaseTransitions: isOurs || before === undefined ? (before?.leaseTransitions ?? 0) : (before.leaseTransitions ?? 0) + 1,
  }
}

/** The spec without a holder, as client-go releases it: one second, for clients that only check the duration. */
export function releasedBy(from: LeaseObject, now: number): LeaseSpec {
  return { ...from.spec, holderIdentity: '', leaseDurationSeconds: 1, renewTime: microTime(now) }
}

/** A new Lease. */
export function leaseObject({ namespace, name }: { namespace: string; name: string }, spec: LeaseSpec): LeaseObject {
  return {
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: { namespace, name, labels: { 'app.kubernetes.io/managed-by': 'skerry' } },
    spec,
  }
}

/** MicroTime must have exactly six decimals (metav1.RFC3339Micro). */
function microTime(now: number): string {
  return new Date(now).toISOString().replace('Z', '000Z')
}
