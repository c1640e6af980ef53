/** What a STATE message means to the node. */
type HostVerdict = 'online' | 'offline' | 'outdated' | 'invalid'

/** What `createHostState` returns. */
export type HostState = ReturnType<typeof createHostState>

/** A STATE has less than 100 bytes; JSON may contain white space. */
const maxBytes = 4096
/** A timestamp further ahead than this is invalid: one such message would make every later STATE of the host outdated. */
const maxAheadMs = 24 * 3600_000
/** A clock that shows an earlier time was never set, so timestamps are not compared with it. */
const plausible = Date.UTC(2024, 0, 1)

/** The primary host as known on one server, before it was heard there. A host keeps its timestamps per server, so each server has one. */
export function createHostState() {
  let last: number | undefined
  let lastOnline: number | undefined
  return {
    /**
     * Judges the payload of a STATE message of the primary host.
     *
     * | online | timestamp                                    | verdict  |
     * |--------|----------------------------------------------|----------|
     * | true   | not older than that of any STATE before      | online   |
     * | true   | older                                        | outdated |
     * | false  | not older than that of the last online STATE | offline  |
     * | false  | older: left behind by an earlier connection  | outdated |
     * | anything else: not JSON, other types, empty, the old bare words | invalid |
     */
    observe(payload: Uint8Array, now: number): HostVerdict {
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
