import type { Clock } from '../../shared/clock.ts'
import type { Log } from '../../shared/log.ts'
import type { BdSeqStore } from './bd-seq.ts'
import { encodeNodeDeath } from './birth.ts'
import type { ChangeBuffer } from './buffer.ts'
import type { Connect, Connection, ServerConfig } from './connection.ts'
import type { SparkplugCounters } from './counters.ts'
import { createLife, type Life } from './life.ts'
import type { TrackedModel } from './model.ts'
import type { QuietLog } from './quiet-log.ts'
import type { SenderLimits } from './sender.ts'
import type { HostState } from './state.ts'
import { deviceTopic, type NodeAddress, nodeTopic, stateTopic } from './topics.ts'
import { messageOf, until, within } from './waits.ts'

/** How long things may take, in milliseconds where the name does not say otherwise. Every wait on the server has its limit here. */
export type SessionSettings = SenderLimits & {
  protocolVersion: 4 | 5
  clientId: string
  /** A silent loss is noticed after 1.5 times this. */
  keepAliveSeconds: number
  connectTimeoutMs: number
  /** For a SUBACK. */
  subscribeTimeoutMs: number
  /** For the PUBACK of an NDEATH. */
  deathTimeoutMs: number
  /** Changes are gathered for so long. */
  coalesceMs: number
  /** Data that was sent is proven to be read about so often. */
  proofMs: number
  /** Rebirths are so far apart. */
  rebirthIntervalMs: number
  maxPacketBytes: number
}

/** What one session works with. */
export type SessionContext = {
  address: NodeAddress
  server: ServerConfig
  hasNextServer: boolean
  settings: SessionSettings
  /** The primary host, as it was heard of on this server. `giveUpMs`: how long to wait for it before the next server is tried. */
  host: { id: string; state: HostState; giveUpMs: number | undefined } | undefined
  model: TrackedModel
  buffer: ChangeBuffer
  counters: SparkplugCounters
  bdSeq: BdSeqStore
  connect: Connect
  /** Whether this process may act, asked before each message. */
  isLeader: () => boolean
  /** Others that use the connection: they hear of its beginning and end, and of messages on topics that are not ours. */
  guests: { online(session: GuestSession): void; offline(): void; message(topic: string, payload: Buffer, isRetained: boolean): void }
  clock: Clock
  log: Log
  warn: QuietLog
}

/** What others may do with the connection of a session. */
export type GuestSession = {
  /** Listens to further topics at QoS 0, until the connection ends. */
  subscribe(filters: readonly string[]): void
  unsubscribe(filters: readonly string[]): void
  /** Sends a command to another node; false when it could not be handed over. */
  sendCommand(address: NodeAddress, payload: Buffer): boolean
}

/** Why a session ended. All but `lost` and `refused` left on purpose, and have published their death. */
export type SessionEnd = {
  reason: 'lost' | 'refused' | 'host-offline' | 'host-silent' | 'next-server' | 'stopped' | 'not-leader'
  detail: string
  /** How long births were out. */
  onlineMs: number
  /** The births were read, as far as that can be known: else the next attempt may end as this one did. */
  isProven: boolean
}

/**
 * One life of the node: CONNECT with a new bdSeq and its will, subscriptions, the host, births, data, death. Resolves with its end, and
 * leaves nothing behind: no timer, no connection, no listener. It ends when the signal aborts.
 *
 * @throws what the store of bdSeq throws; then nothing was sent
 */
export async function runSession(context: SessionContext, signal: AbortSignal): Promise<SessionEnd> {
  const { address, server, settings, counters, clock, log } = context
  const over = new AbortController()
  const ended = Promise.withResolvers<Omit<SessionEnd, 'onlineMs' | 'isProven'>>()
  const end = (reason: SessionEnd['reason'], detail = ''): void => ended.resolve({ reason, detail })
  const onAbort = () => end('stopped', 'told to stop')
  let connection: Connection | undefined
  let life: Life | undefined
  let onlineAt: number | undefined

  const bdSeq = await context.bdSeq.next(signal)
  signal.addEventListener('abort', onAbort, { once: true })
  const onMessage = (topic: string, payload: Buffer, isRetained: boolean) => life?.receive(topic, payload, isRetained)
  try {
    if (!context.isLeader()) return { reason: 'not-leader', detail: 'before CONNECT', onlineMs: 0, isProven: false }
    connection = await context.connect(
      {
        server,
        protocolVersion: settings.protocolVersion,
        clientId: settings.clientId,
        keepAliveSeconds: settings.keepAliveSeconds,
        will: { topic: nodeTopic('NDEATH', address), payload: encodeNodeDeath(bdSeq, clock.now()) },
        timeoutMs: settings.connectTimeoutMs,
        maxPacketBytes: settings.maxPacketBytes,
        onOversized: (bytes) => {
          counters.dropped['too-large']++
          context.warn('too-large', { bytes }, 'message dropped')
        },
        onMessage,
      },
      signal,
    )
    counters.isConnected = true
    connection.closed.then((why) => end('lost', why))
    life = createLife({ ...context, connection, bdSeq, end, signal: over.signal })
    const alive = life
    establish(context, connection, alive).then(
      () => {
        // In one go, so that nothing can change between the births and the moment from which changes are sent.
        if (!alive.bear()) return end('lost', 'the births could not be handed over')
        onlineAt = clock.monotonic()
        counters.isOnline = true
        alive.live()
        log.info({ server: serverName(server), bdSeq, devices: context.model.devices.size }, 'edge node is born')
      },
      (error: unknown) => end(error instanceof Leave ? error.reason : 'refused', messageOf(error)),
    )
    const result = await ended.promise
    alive.close()
    if (result.reason !== 'lost') await leave(context, connection, bdSeq, alive, result.reason === 'stopped')
    if (onlineAt === undefined) return { ...result, onlineMs: 0, isProven: false }
    // Who leaves on purpose was not thrown out by its births.
    return { ...result, onlineMs: clock.monotonic() - onlineAt, isProven: alive.isProven || result.reason !== 'lost' }
  } catch (error) {
    return { reason: signal.aborted ? 'stopped' : 'refused', detail: messageOf(error), onlineMs: 0, isProven: false }
  } finally {
    // What may throw comes last: no connection may outlive its session.
    connection?.destroy('the session is over')
    counters.isConnected = false
    counters.isOnline = false
    over.abort(new Error('the session is over'))
    signal.removeEventListener('abort', onAbort)
    life?.close()
  }
}

/** The establishment gives this server up on purpose. */
class Leave extends Error {
  readonly reason: 'host-silent'
  constructor(reason: 'host-silent', message: string) {
    super(message)
    this.reason = reason
  }
}

/** Steps 2 and 3 of the order of establishment. Each step begins only when the one before it has been answered. */
async function establish(context: SessionContext, connection: Connection, life: Life): Promise<void> {
  const { address, host, settings, clock } = context
  // Before any birth, and answered: a command that comes right behind the birth must find us listening.
  const filters = [
    nodeTopic('NCMD', address), // [tck-id-message-flow-edge-node-ncmd-subscribe]
    deviceTopic('DCMD', address, '+'), // [tck-id-message-flow-device-dcmd-subscribe]
    ...(host === undefined ? [] : [stateTopic(host.id)]),
  ]
  const granted = await within(connection.subscribe(filters, 1), settings.subscribeTimeoutMs, 'no SUBACK', clock, life.signal)
  for (const [index, code] of granted.entries()) {
    if (code >= 0x80) throw new Error(`the server refuses the subscription to ${filters[index]}: see its access rules`)
    if (code < 1) context.warn('qos', { topic: filters[index], granted: code }, 'subscription granted with less than was asked for')
  }
  if (host !== undefined) {
    const { giveUpMs } = host
    if (giveUpMs === undefined) await until(life.hostOnline, life.signal)
    else
      await within(life.hostOnline, giveUpMs, 'the primary host was not heard of', clock, life.signal).catch((error: unknown) => {
        throw new Leave('host-silent', messageOf(error))
      })
  }
}

/** An intentional end: NDEATH, then DISCONNECT [tck-id-operational-behavior-edge-node-intentional-disconnect-ndeath]. */
async function leave(context: SessionContext, connection: Connection, bdSeq: number, life: Life, isStopping: boolean): Promise<void> {
  const { address, settings, counters, clock } = context
  if (!connection.isOpen()) return
  const mark = life.sender.cursor
  try {
    const death = connection.sendAcknowledged(nodeTopic('NDEATH', address), encodeNodeDeath(bdSeq, clock.now()))
    counters.sent.NDEATH++
    await within(death, settings.deathTimeoutMs, 'no PUBACK of the NDEATH', clock)
    life.release(mark) // what was sent before it has been read too
    connection.disconnect()
    await within(connection.closed, settings.deathTimeoutMs, 'the server does not close', clock)
  } catch (error) {
    // Without DISCONNECT the server sends the will.
    context.log.debug({ err: error, isStopping }, 'death was not acknowledged')
  }
}

/** A server as it may be shown: without what is secret in its address. */
export function serverName({ url }: ServerConfig): string {
  const { protocol, host, pathname } = new URL(url)
  return `${protocol}//${host}${pathname === '/' ? '' : pathname}`
}
