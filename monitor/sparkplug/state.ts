/** What a STATE message means to the node. */
export type HostVerdict = 'online' | 'offline' | 'outdated' | 'invalid'

/** What was heard of the primary host on one server. A host keeps its times per server, so each server has one of these. */
export type HostState = {
  /**
   * Judges the payload of a STATE message of the primary host.
   *
   * | online | timestamp                                    | verdict  |
   * |--------|----------------------------------------------|----------|
   * | true   | not older than that of any STATE before      | online   |
   * | true   | older                                        | outdated |
   * | false  | not older than that of the last online STATE | offline  |
   * | false  | older: left behind by an earlier connection  | outdated |
   * | anything else: no JSON, other types, empty, the old bare words | invalid |
   */
  observe(payload: Uint8Array, now: number): HostVerdict
}

/** A STATE is less than 100 bytes; JSON may be written with much space. */
const maxBytes = 4096
/** A host whose time is further ahead of ours than this is taken for none: one such message would shut the true host out for ever. */
const maxAheadMs = 24 * 3600_000
/** A clock that shows an earlier year was never set, and judges nobody. */
const plausible = Date.UTC(2024, 0, 1)

/** A server on which nothing was heard of the host yet. */
export function createHostState(): HostState {
  let last: number | undefined
  let lastOnline: number | undefined
  return {
    observe(payload, now) {
      const state = readState(payload)
      if (state === undefined || (now > plausible && state.timestamp > now + maxAheadMs)) return 'invalid'
      const { online, timestamp } = state
      // Equal is current: a host has the time of its CONNECT in its will and in its birth.
      // [tck-id-message-flow-edge-node-birth-publish-phid-wait-timestamp] [tck-id-operational-behavior-edge-node-termination-host-offline-timestamp]
      const isOutdated = online ? last !== undefined && timestamp < last : lastOnline !== undefined && timestamp < lastOnline
      if (isOutdated) return 'outdated'
      last = Math.max(timestamp, last ?? timestamp)
      if (online) lastOnline = timestamp
      return online ? 'online' : 'offline'
    },
  }
}

function readState(payload: Uint8Array): { online: boolean; timestamp: number } | undefined {
  if (payload.length > maxBytes) return undefined
  try {
    const parsed: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(payload))
    if (typeof parsed !== 'object' || parsed === null) return undefined
    const { online, timestamp } = parsed as { online?: unknown; timestamp?: unknown }
    if (typeof online !== 'boolean' || !Number.isSafeInteger(timestamp) || (timestamp as number) < 0) return undefined
    return { online, timestamp: timestamp as number }
  } catch {
    return undefined
  }
}
