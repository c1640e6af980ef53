import type { Clock } from '../../shared/clock.ts'
import type { Log } from '../../shared/log.ts'
import type { ChangeBuffer } from './buffer.ts'
import type { ConnectNumbers } from './connect-numbers.ts'
import type { Connect, EndedBy } from './connection.ts'
import type { SparkplugCounters } from './counters.ts'
import type { Guests } from './guests.ts'
import type { TrackedModel } from './model.ts'
import type { ServerConfig } from './mqtt-client.ts'
import type { PacketLimit } from './packet-limit.ts'
import type { QuietLog } from './quiet-log.ts'
import type { SenderSettings } from './sender.ts'
import type { SmallestLimit } from './smallest-limit.ts'
import type { HostState } from './state.ts'
import type { NodeAddress } from './topics.ts'

/** Limits of a session, in milliseconds where the name does not say otherwise. Every wait for the server has its limit here. */
export type SessionSettings = SenderSettings & {
  protocolVersion: 4 | 5
  clientId: string
  /** A link that is silently lost is noticed after 1.5 times this. */
  keepAliveSeconds: number
  connectTimeoutMs: number
  /** For a SUBACK. */
  subscribeTimeoutMs: number
  /** For the PUBACK of an NDEATH. */
  deathTimeoutMs: number
  /** How long changes are gathered into one message. */
  coalesceMs: number
  /** How often the node asks for proof that the server has read the data it was sent. */
  proofMs: number
  /** The shortest time between two rebirths. */
  rebirthIntervalMs: number
  /** For messages from outside. */
  maxPacketBytes: number
}

/** The parts that a session works with. */
export type SessionContext = {
  address: NodeAddress
  server: ServerConfig
  hasNextServer: boolean
  settings: SessionSettings
  /**
   * The primary host, as known on this server. `giveUpMs`: how long to wait for it before the next server is tried. `pauseMs`: the window over
   * which nodes spread that have waited for it.
   */
  host: { id: string; state: HostState; giveUpMs: number | undefined; pauseMs: number } | undefined
  /** The largest packet that this server takes. */
  packets: PacketLimit
  /** The smallest limit of all servers. */
  packetLimit: SmallestLimit
  /** Notes what the node runs with on this server. @returns whether that is news */
  notes: (terms: string) => boolean
  model: TrackedModel
  buffer: ChangeBuffer
  counters: SparkplugCounters
  numbers: ConnectNumbers
  connect: Connect
  /** Whether this process may publish; asked before each message. */
  isLeader: () => boolean
  guests: Guests
  clock: Clock
  /** A number in [0, 1). */
  random: () => number
  log: Log
  warn: QuietLog
}

/** Why a session ended. Except for `lost` and `refused`, the node left on purpose and published its NDEATH. */
export type SessionEnd = {
  reason: 'lost' | 'refused' | 'host-offline' | 'host-silent' | 'next-server' | 'stopped' | 'not-leader'
  detail: string
  /** How long the node was online. */
  onlineMs: number
  /** Whether the server is known to have read the births. If not, they may be the reason, and the next session may end the same way. */
  isProven: boolean
  /** Who ended the connection; undefined if there was none, or it was open. */
  endedBy: EndedBy | undefined
}

/** Ends the session. Only the first call counts. */
export type EndSession = (reason: SessionEnd['reason'], detail?: string) => void
