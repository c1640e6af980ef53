import type { Clock } from '../../shared/clock.ts'
import type { Leadership } from '../../shared/kubernetes/lease.ts'
import type { Part } from '../../shared/lifecycle.ts'
import type { LinkProfile, SocketBytes } from '../../shared/link/index.ts'
import type { Log } from '../../shared/log.ts'
import type { BdSeqStore } from './bd-seq.ts'
import type { ChangeBuffer } from './buffer.ts'
import { createConnectNumbers } from './connect-numbers.ts'
import { type Connect, createMqttConnect } from './connection.ts'
import { createCounters, type SparkplugCounters } from './counters.ts'
import type { Deadbands } from './deadbands.ts'
import { type Guest, Guests } from './guests.ts'
import type { ItineraryConfig } from './itinerary.ts'
import { type EdgeNodeModel, TrackedModel } from './model.ts'
import type { ServerConfig } from './mqtt-client.ts'
import { isPortable, type Naming } from './names.ts'
import { PacketLimit } from './packet-limit.ts'
import { createQuietLog } from './quiet-log.ts'
import type { SessionContext, SessionSettings } from './session-context.ts'
import { runSessions } from './session-loop.ts'
import { SmallestLimit } from './smallest-limit.ts'
import { createHostState } from './state.ts'
import { idFault, type NodeAddress } from './topics.ts'

/** The settings of the edge node. `config.ts` has the defaults. */
export type EdgeNodeConfig = NodeAddress & {
  /** In the order in which they are tried; the first one follows the last. */
  servers: readonly ServerConfig[]
  /**
   * The host without which nothing is published. `giveUpMs`: how long to look for it on one server if there are others; `hostPauseMs` has
   * the window of the pause before the next one.
   */
  primaryHost?: { id: string; giveUpMs: number } | undefined
  hasAliases: boolean
  /** Whether births say what each metric means. */
  hasDocumentation: boolean
  /** How device ids and metric names are written. */
  names: Naming
  maxSilenceMs: number
  deadbands: Deadbands
} & ItineraryConfig &
  SessionSettings

/** The Sparkplug edge node that the monitor is. */
export type EdgeNode = Part &
  EdgeNodeModel & {
    /** The present counters, live: read, not written. */
    observe(): Readonly<SparkplugCounters>
    /** The smallest packet limit that is known. */
    readonly packetLimit: SmallestLimit
    /** Lends the node's connections to a guest. Returns how to end that. */
    attach(guest: Guest): () => void
  }

/** What the edge node needs. Without a `lease` it always publishes. */
export type EdgeNodeParts = {
  bdSeq: BdSeqStore
  buffer: ChangeBuffer
  lease?: Leadership | undefined
  connect?: Connect
  /** Counts the bytes of its connections. */
  bytes?: SocketBytes | undefined
  /** What the budget of the link asks for. */
  profile?: (() => LinkProfile) | undefined
  clock: Clock
  log: Log
  random?: () => number
}

/** How often the buffer is saved to disk while the node is offline, in milliseconds. */
const saveEveryMs = 10_000

/**
 * An edge node that is connected to one server at a time, for as long as it runs and leads. Fill the model before the start: kept changes
 * of a device that does not exist when they could be sent are lost.
 */
export function createEdgeNode(config: EdgeNodeConfig, parts: EdgeNodeParts): EdgeNode {
  checkIds(config)
  const { buffer, lease, clock, log, random = Math.random, connect = createMqttConnect({ clock, bytes: parts.bytes }) } = parts
  const counters = createCounters(() => parts.bdSeq.trouble?.() ?? buffer.trouble?.())
  counters.buffer.length = buffer.end - buffer.start
  const model = new TrackedModel(config, { buffer, counters, profile: parts.profile, clock, log })
  const packetLimit = new SmallestLimit(config.servers.map(({ maxPacketSize }) => maxPacketSize))
  const warn = createQuietLog({ log, clock })
  const guests = new Guests()
  const numbers = createConnectNumbers(parts.bdSeq)
  const isLeader = () => lease?.isLeader() ?? true
  const contextFor = createContexts(config, {
    ...{ model, buffer, counters, guests, connect, isLeader, clock, random, log, warn },
    numbers,
    settings: config,
    packetLimit,
  })
  const stopping = new AbortController()
  let running: Promise<unknown> = Promise.resolve()
  model.recorder.isRecording = isLeader()

  async function saveWhileOffline(signal: AbortSignal): Promise<void> {
    for (;;) {
      await clock.sleep(saveEveryMs, signal)
      if (!counters.isOnline) buffer.save()
    }
  }

  return {
    name: 'edge-node',
    deviceId: (kind, thing) => model.deviceId(kind, thing),
    setNode: (metrics) => model.setNode(metrics),
    setDevice: (id, metrics) => model.setDevice(id, metrics),
    removeDevice: (id) => model.removeDevice(id),
    update: (id, samples) => model.update(id, samples),
    setQuality: (id, quality) => model.setQuality(id, quality),
    observe: () => counters,
    packetLimit,
    attach: (guest) => guests.attach(guest),
    async start() {
      warnOfIds(config, log)
      const forget = lease?.onChange((leads) => {
        model.recorder.isRecording = leads
        numbers.forget()
      })
      model.recorder.isRecording = isLeader()
      const { signal } = stopping
      const wasUsed = (signal: AbortSignal) => parts.bdSeq.wasUsed(signal)
      const sessions = runSessions({ ...config, contextFor, lease, wasUsed, counters, clock, log, warn, random }, signal)
      running = Promise.allSettled([sessions, saveWhileOffline(signal)]).finally(() => forget?.())
    },
    async stop() {
      stopping.abort(new Error('stopping'))
      await running
      buffer.save()
    },
  }
}

/** The ids of group and node are used as they are, since other programs are configured with them. */
function warnOfIds({ group, node, names }: EdgeNodeConfig, log: Log): void {
  if (names === 'portable' && !(isPortable(group) && isPortable(node)))
    log.warn({ group, node }, 'the group or node id has characters that Ignition does not take in the names of tags')
}

/** Makes the context of a session on the server with a given index. The primary host and the largest packet are known per server. */
function createContexts(
  { group, node, servers, primaryHost, hostPauseMs }: EdgeNodeConfig,
  common: Omit<SessionContext, 'address' | 'server' | 'hasNextServer' | 'host' | 'packets' | 'notes'>,
): (index: number) => SessionContext {
  const hostStates = servers.map(() => createHostState())
  const limits = servers.map(({ maxPacketSize }) => new PacketLimit(maxPacketSize))
  const noted = new Map<number, string>()
  const hasNextServer = servers.length > 1
  return (index) => {
    const state = hostStates[index]
    return {
      ...common,
      address: { group, node },
      server: servers[index] as ServerConfig,
      hasNextServer,
      packets: limits[index] as PacketLimit,
      notes(terms) {
        const isNews = noted.get(index) !== terms
        noted.set(index, terms)
        return isNews
      },
      host: primaryHost &&
        state && { id: primaryHost.id, state, giveUpMs: hasNextServer ? primaryHost.giveUpMs : undefined, pauseMs: hostPauseMs },
    }
  }
}

function checkIds({ group, node, primaryHost, servers }: EdgeNodeConfig): void {
  const faults = [
    ['group', idFault(group, { isGroup: true })],
    ['node', idFault(node)],
    ['primaryHost.id', primaryHost && idFault(primaryHost.id)],
    ['servers', servers.length === 0 ? 'must not be empty' : undefined],
  ].filter(([, fault]) => fault !== undefined)
  if (faults.length > 0) throw new TypeError(faults.map(([field, fault]) => `${field} ${fault}`).join('; '))
}
