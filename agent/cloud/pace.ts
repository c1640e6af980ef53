import type { LinkProfile } from '../../shared/link/index.ts'

/** How fast the region tells its cloud what is new. Milliseconds. */
export type Pace = {
  /** Between two heartbeats. @param asked what the cloud asks for, or what is configured */
  heartbeatMs(asked: number): number
  /** How long changes are gathered. @param configured as long as nothing slows it */
  gatherMs(configured: number): number
  /** Calls when the pace has changed. */
  subscribe(changed: () => void): () => void
}

/** The shortest times that a profile allows, in milliseconds. */
const shortest: Record<LinkProfile, { heartbeatMs: number; gatherMs: number }> = {
  normal: { heartbeatMs: 0, gatherMs: 0 },
  metered: { heartbeatMs: 300_000, gatherMs: 60_000 },
  critical: { heartbeatMs: 900_000, gatherMs: 300_000 },
}

/** The seconds between two heartbeats at the least; null if the profile slows nothing. */
export function heartbeatFloorOf(profile: LinkProfile): number | null {
  return shortest[profile].heartbeatMs / 1000 || null
}

/** The pace that a meter's profile allows. */
export function paceOf(meter: { profile: LinkProfile; subscribe: Pace['subscribe'] }): Pace {
  return {
    heartbeatMs: (asked) => Math.max(asked, shortest[meter.profile].heartbeatMs),
    gatherMs: (configured) => Math.max(configured, shortest[meter.profile].gatherMs),
    subscribe: (changed) => meter.subscribe(changed),
  }
}

/** Nothing slows it. */
export const fullPace: Pace = { heartbeatMs: (asked) => asked, gatherMs: (configured) => configured, subscribe: () => () => {} }
