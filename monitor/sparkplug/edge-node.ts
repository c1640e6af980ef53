import { backoff, type Clock } from '../../shared/clock.ts'
import type { Part } from '../../shared/lifecycle.ts'
import type { Log } from '../../shared/log.ts'
import type { BdSeqStore } from './bd-seq.ts'
import type { ChangeBuffer } from './buffer.ts'
import { type Connect, createMqttConnect, type ServerConfig } from './connection.ts'
import { createCounters, type SparkplugCounters } from './counters.ts'
import { createModel, type EdgeNodeModel } from './model.ts'
import { createQuietLog } from './quiet-log.ts'
import { type GuestSession, runSession, type SessionContext, type SessionEnd, type SessionSettings, serverName } from './session.ts'
import { createHostState } from './state.ts'
import { idFault, type NodeAddress } from './topics.ts'

/** What the edge node is told. `config.ts` has the defaults. */
export type EdgeNodeConfig = NodeAddress & {
  /** In the order in which they are tried; after the last the first one again. */
  servers: readonly ServerConfig[]
  /** The host without which nothing is published. `giveUpMs` is how long one server is given to show it, if there are others. */
  primaryHost?: { id: string; giveUpMs: number } | undefined
  hasAliases: boolean
  maxSilenceMs: number
  /** The window of the first pause before a new connection, and the longest. */
  reconnect: { baseMs: number; capMs: number }
} & SessionSettings

/** Who else uses the node's connection. */
export type Guest = {
  /** Births are out. Called again for each connection. */
  online(session: GuestSession): void
  offline(): void
  /** A message on a topic that is not the node's own. */
  message(topic: string, payload: Buffer, isRetained: boolean): void
}

/** The Sparkplug edge node that the monitor is. */
export type EdgeNode = Part &
  EdgeNodeModel & {
    /** The present numbers, live: read, not written. */
    observe(): Readonly<SparkplugCounters>
    /** Lets somebody use the connections of the node. Returns how to end that. */
    attach(guest: Guest): () => void
  }

/** What the edge node needs. Without a `lease` it always acts. */
export type EdgeNodeParts = {
  bdSeq: BdSeqStore
  buffer: ChangeBuffer
  lease?: { isLeader(): boolean; onChange(listener: (leads: boolean) => void): () => void } | undefined
  connect?: Connect
  clock: Clock
  log: Log
  random?: () => number
}

/** How often what piles up is brought to disk while nothing is connected. */
const saveEveryMs = 10_000

/**
 * An edge node that is connected to one server at a time, for as long as it runs and leads. Fill the model before it is started: kept
 * changes of a device that does not exist when they could be sent are lost.
 *
 * Between two connections it waits for a moment of a window that doubles with each failure (full jitter): 10,000 monitors that lose one
 * server come back spread over the window. Only the first connection, and that of a new leader, is made at once.
 */
export function createEdgeNode(config: EdgeNodeConfig, parts: EdgeNodeParts): EdgeNode {
  const { buffer, lease, clock, log, random = Math.random, connect = createMqttConnect({ clock }) } = parts
  checkIds(config)
  const counters = createCounters()
  counters.buffer.length = buffer.end - buffer.start
  const warn = createQuietLog({ log, clock })
  const model = createModel(config, { buffer, counters, clock, log })
  const hosts = config.servers.map(() => createHostState())
  const guests = new Set<Guest>()
  const stopping = new AbortController()
  let session: GuestSession | undefined
  let running: Promise<unknown> = Promise.resolve()

  const isLeader = () => lease?.isLeader() ?? true
  model.isRecording = isLeader()

  function contextFor(at: number): SessionContext {
    const { primaryHost, servers } = config
    const hasNextServer = servers.length > 1
    const state = hosts[at]
    return {
      address: { group: config.group, node: config.node },
      server: servers[at] as ServerConfig,
      hasNextServer,
      settings: config,
      host: primaryHost && state && { id: primaryHost.id, state, giveUpMs: hasNextServer ? primaryHost.giveUpMs : undefined },
      model,
      buffer,
      counters,
      bdSeq: parts.bdSeq,
      connect,
      isLeader,
      guests: {
        online(given) {
          session = given
          for (const guest of guests) guest.online(given)
        },
        offline() {
          session = undefined
          for (const guest of guests) guest.offline()
        },
        message: (topic, payload, isRetained) => {
          for (const guest of guests) guest.message(topic, payload, isRetained)
        },
      },
      clock,
      log,
      warn,
    }
  }

  /** One connection after the other, until told to stop. */
  async function run(signal: AbortSignal): Promise<void> {
    let at = 0
    let failures = 0
    for (let lives = 0; !signal.aborted; ) {
      if (!(await whenLeading(signal))) return
      if (lives > 0) counters.reconnects++
      lives++
      const end = await live(at, signal)
      counters.server = undefined
      if (signal.aborted) return
      // To be deposed is no failure: the next time it leads, which may be now, it connects at once.
      if (end.reason === 'stopped' || end.reason === 'not-leader') continue
      tellEnd(end, at)
      at = (at + 1) % config.servers.length
      failures = end.isProven ? 0 : failures + 1
      // A first failure has the first window too.
      await clock.sleep(backoff(config.reconnect, Math.max(0, failures - 1), random()), signal).catch(() => {})
    }
  }

  async function live(at: number, signal: AbortSignal): Promise<SessionEnd> {
    const context = contextFor(at)
    counters.server = serverName(context.server)
    const deposed = new AbortController()
    const forget = lease?.onChange((leads) => {
      if (!leads) deposed.abort(new Error('another replica leads'))
    })
    try {
      return await runSession(context, AbortSignal.any([signal, deposed.signal]))
    } catch (error) {
      return { reason: 'refused', detail: error instanceof Error ? error.message : String(error), onlineMs: 0, isProven: false }
    } finally {
      forget?.()
    }
  }

  function tellEnd({ reason, detail, onlineMs }: SessionEnd, at: number): void {
    const server = serverName(config.servers[at] as ServerConfig)
    if (onlineMs > 0) log.warn({ server, reason, detail }, 'edge node is offline, changes are kept')
    // Failing again for the same reason is no news.
    else warn(`${server} ${reason}`, { server, reason, detail }, 'edge node cannot be born on this server')
  }

  /** Resolves with false when told to stop. */
  async function whenLeading(signal: AbortSignal): Promise<boolean> {
    while (!signal.aborted) {
      if (isLeader()) return true
      const changed = Promise.withResolvers<void>()
      const forget = lease?.onChange(() => changed.resolve())
      const done = new AbortController()
      // Judged by the clock too: a Lease can run out without anybody saying so.
      const limit = clock.sleep(1_000, AbortSignal.any([signal, done.signal])).catch(() => {})
      await Promise.race([changed.promise, limit])
      done.abort()
      forget?.()
    }
    return false
  }

  async function saveNowAndThen(signal: AbortSignal): Promise<void> {
    for (;;) {
      await clock.sleep(saveEveryMs, signal)
      if (!counters.isOnline) buffer.save()
    }
  }

  return {
    name: 'edge-node',
    setNode: model.setNode,
    setDevice: model.setDevice,
    removeDevice: model.removeDevice,
    update: model.update,
    setQuality: model.setQuality,
    observe: () => counters,
    attach(guest) {
      guests.add(guest)
      if (session !== undefined) guest.online(session)
      return () => guests.delete(guest)
    },
    async start() {
      const forget = lease?.onChange((leads) => {
        model.isRecording = leads
      })
      model.isRecording = isLeader()
      running = Promise.allSettled([run(stopping.signal), saveNowAndThen(stopping.signal)]).finally(() => forget?.())
    },
    async stop() {
      stopping.abort(new Error('told to stop'))
      await running
      buffer.save()
    },
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
