// A session is one connection of the node, from the transport to its end.
//
//   transport ─▶ next bdSeq ─▶ connecting ─▶ subscribing ─▶ waiting for the host ─▶ online ─▶ leaving ─▶ over
//       │             │             │             │                 │                 │                  ▲
//       └─ refused ───┴── refused ──┴── refused ──┴── refused, host-silent ───────────┴─ lost ───────────┘
//
// | state                | event                                      | publishes or sends                          | next      |
// |----------------------|--------------------------------------------|---------------------------------------------|-----------|
// | transport            | TCP, TLS, WebSocket are established        |                                             | next bdSeq |
// | next bdSeq           | the store has kept it                      | CONNECT, with the NDEATH as its will        | connecting |
// | connecting           | CONNACK                                    | SUBSCRIBE: NCMD, DCMD, STATE                | subscribing |
// | subscribing          | SUBACK                                     |                                             | waiting   |
// | waiting for the host | STATE online, or no primary host is set    | NBIRTH and DBIRTHs: the life begins         | online    |
// |                      | STATE online that is not retained          | the same, after a random part of its window | online    |
// | online               | whatever happens on the connection         | births, data and deaths of devices: life.ts | online    |
// | any, connected       | stopped, deposed, next-server,             | the gathered data, NDEATH, DISCONNECT       | leaving   |
// |                      | host-offline, host-silent, refused         |                                             |           |
// | leaving              | PUBACK of the NDEATH, or no time left      |                                             | over      |
// | any, connected       | the connection is lost                     | nothing; the server publishes the will      | over      |
import { nodeDeath } from './births.ts'
import type { Connection } from './connection.ts'
import { Life } from './life.ts'
import { serverName } from './mqtt-client.ts'
import type { EndSession, SessionContext, SessionEnd } from './session-context.ts'
import { deviceTopic, nodeTopic, stateTopic } from './topics.ts'
import { messageOf, until, within } from './waits.ts'

/**
 * Runs one session, and resolves with how it ended. It ends when the signal aborts at the latest, and leaves nothing behind: no timer, no
 * connection, no listener.
 */
export async function runSession(context: SessionContext, signal: AbortSignal): Promise<SessionEnd> {
  if (!context.isLeader()) return neverOnline('not-leader', 'before CONNECT')
  const session = new Session(context)
  const onAbort = () => session.end('stopped', 'stopping')
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    return await session.run(signal)
  } catch (error) {
    return neverOnline(signal.aborted ? 'stopped' : error instanceof Deposed ? 'not-leader' : 'refused', messageOf(error))
  } finally {
    signal.removeEventListener('abort', onAbort)
    session.close()
  }
}

function neverOnline(reason: SessionEnd['reason'], detail: string): SessionEnd {
  return { reason, detail, onlineMs: 0, isProven: false, endedBy: undefined }
}

class Session {
  readonly #context: SessionContext
  readonly #over = new AbortController()
  readonly #ended = Promise.withResolvers<Pick<SessionEnd, 'reason' | 'detail'>>()
  #connection: Connection | undefined
  #life: Life | undefined
  #onlineAt: number | undefined
  #isEnding = false
  /** That of the will. It is there before the connection is. */
  #bdSeq = 0

  constructor(context: SessionContext) {
    this.#context = context
  }

  readonly end: EndSession = (reason, detail = '') => {
    this.#isEnding = true
    this.#ended.resolve({ reason, detail })
  }

  /** @throws why there is no connection */
  async run(signal: AbortSignal): Promise<SessionEnd> {
    const { counters, clock } = this.#context
    const connection = await this.#connect(signal)
    this.#connection = connection
    counters.isConnected = true
    this.#agree(connection)
    void connection.closed.then((why) => this.end('lost', why))
    const life = new Life(this.#context, { connection, bdSeq: this.#bdSeq, end: this.end, signal: this.#over.signal })
    this.#life = life
    life.keepAlive()
    this.#establish(connection, life).catch((error: unknown) =>
      this.end(error instanceof HostSilent ? 'host-silent' : 'refused', messageOf(error)),
    )
    const result = await this.#ended.promise
    life.close()
    if (result.reason === 'lost') this.#learn(connection)
    const isOnPurpose = result.reason !== 'lost'
    if (isOnPurpose) await this.#leave(connection, life)
    if (this.#onlineAt === undefined) return neverOnline(result.reason, result.detail)
    // If the node leaves on purpose, the server did not disconnect it because of its births.
    return {
      ...result,
      onlineMs: clock.monotonic() - this.#onlineAt,
      isProven: life.isProven || isOnPurpose,
      endedBy: connection.endedBy(),
    }
  }

  /** Ends everything that is left. The connection comes first: it must not outlive its session, and what follows may throw. */
  close(): void {
    const { counters } = this.#context
    this.#connection?.destroy('the session is over')
    counters.isConnected = false
    counters.isOnline = false
    counters.packetLimitBytes = undefined
    counters.keepAliveSeconds = undefined
    this.#over.abort(new Error('the session is over'))
    this.#life?.close()
  }

  /** Takes what the server set in its CONNACK, and says what the node runs with on this server, when that is news. */
  #agree({ terms }: Connection): void {
    const { server, settings, host, packets, packetLimit, notes, counters, log, warn } = this.#context
    packets.open(terms.maxPacketBytes)
    const { bytes, source } = packets.limit
    counters.packetLimitBytes = source && bytes
    if (source !== undefined) packetLimit.meet(bytes)
    counters.keepAliveSeconds = terms.keepAliveSeconds ?? settings.keepAliveSeconds
    const runsWith = {
      server: serverName(server),
      protocol: settings.protocolVersion === 5 ? '5' : '3.1.1',
      ...terms,
      keepAliveSeconds: counters.keepAliveSeconds,
      maxPacketBytes: counters.packetLimitBytes,
      ...(source && { maxPacketFrom: source }),
    }
    if (notes(JSON.stringify(runsWith))) log.info(runsWith, 'connected to the MQTT server')
    if (host !== undefined && terms.retainAvailable === false)
      warn(
        'no-retain',
        { server: runsWith.server },
        'the server keeps no retained messages: the primary host is heard only when it publishes its STATE',
      )
  }

  /** The server ended the connection: perhaps because of the size of a packet. */
  #learn(connection: Connection): void {
    const { server, packets, log } = this.#context
    const lesson = packets.closed(connection.endedBy())
    if (lesson === undefined) return
    const message =
      'the server closes the connection before it has read a large packet: from now on packets are smaller. Set maxPacketSize if its limit is known'
    log.warn({ server: serverName(server), ...lesson }, message)
  }

  #connect(signal: AbortSignal): Promise<Connection> {
    const { address, server, settings, counters, clock, connect, isLeader, numbers, warn } = this.#context
    const { protocolVersion, clientId, keepAliveSeconds, connectTimeoutMs, maxPacketBytes } = settings
    return connect(
      {
        ...{ server, protocolVersion, clientId, keepAliveSeconds, maxPacketBytes, timeoutMs: connectTimeoutMs },
        will: async (signal) => {
          this.#bdSeq = await numbers.take(signal)
          if (!isLeader()) throw new Deposed('another replica leads')
          return { topic: nodeTopic('NDEATH', address), payload: nodeDeath(this.#bdSeq, clock.now()) }
        },
        onConnect: () => numbers.sent(),
        onOversized: (bytes) => {
          counters.dropped['too-large']++
          warn('too-large', { bytes }, 'message dropped')
        },
        onMessage: (topic, payload, isRetained) => this.#life?.receive(topic, payload, isRetained),
      },
      signal,
    )
  }

  /** Subscribes, waits for the primary host, and is born. Each step begins only when the one before it has been answered. */
  async #establish(connection: Connection, life: Life): Promise<void> {
    const { address, host, settings, clock, warn } = this.#context
    const { signal } = this.#over
    // Answered before any birth: a command that comes right behind the birth must find the node subscribed.
    const filters = [
      nodeTopic('NCMD', address), // [tck-id-message-flow-edge-node-ncmd-subscribe]
      deviceTopic('DCMD', address, '+'), // [tck-id-message-flow-device-dcmd-subscribe]
      ...(host === undefined ? [] : [stateTopic(host.id)]),
    ]
    const granted = await within(connection.subscribe(filters, 1), settings.subscribeTimeoutMs, 'no SUBACK', clock, signal)
    for (const [index, code] of granted.entries()) {
      if (code >= 0x80) throw new Error(`the server refuses the subscription to ${filters[index]}: see its access rules`)
      if (code < 1) warn('qos', { topic: filters[index], granted: code }, 'subscription granted with a lower QoS than requested')
    }
    do await this.#hostOnline(life)
    while (!this.#isEnding && !this.#goOnline(life))
  }

  async #hostOnline(life: Life): Promise<void> {
    const { host, clock, random } = this.#context
    const { signal } = this.#over
    if (host === undefined) return
    const how = await (host.giveUpMs === undefined
      ? until(life.hostOnline(), signal)
      : within(life.hostOnline(), host.giveUpMs, 'the primary host was not heard of', clock, signal).catch((error: unknown): never => {
          throw new HostSilent(messageOf(error))
        }))
    // Ten thousand nodes may have waited for this moment: their births are spread, as their connections are when it leaves.
    if (how === 'news') await clock.sleep(Math.floor(random() * host.pauseMs), signal)
  }

  /** @returns false if the primary host has left again */
  #goOnline(life: Life): boolean {
    const { server, counters, clock, model, log } = this.#context
    const birth = life.begin()
    if (birth === 'no-host') return false
    if (birth === 'lost') {
      this.end('lost', 'the births could not be handed over')
      return true
    }
    this.#onlineAt = clock.monotonic()
    counters.isOnline = true
    log.info({ server: serverName(server), bdSeq: this.#bdSeq, devices: model.devices.size }, 'edge node is born')
    return true
  }

  /** An intentional end: NDEATH, then DISCONNECT [tck-id-operational-behavior-edge-node-intentional-disconnect-ndeath]. */
  async #leave(connection: Connection, life: Life): Promise<void> {
    const { address, settings, counters, clock, log } = this.#context
    if (!connection.isOpen()) return
    try {
      const death = connection.sendAcknowledged(nodeTopic('NDEATH', address), nodeDeath(this.#bdSeq, clock.now()))
      counters.sent.NDEATH++
      await within(death, settings.deathTimeoutMs, 'no PUBACK of the NDEATH', clock)
      life.releaseAll() // the server has read what was sent before the NDEATH too
      connection.disconnect()
      await within(connection.closed, settings.deathTimeoutMs, 'the server does not close', clock)
    } catch (error) {
      // Without a DISCONNECT the server publishes the will.
      log.debug({ err: error }, 'death was not acknowledged')
    }
  }
}

/** The primary host did not come online in time on this server; it may be on another. */
class HostSilent extends Error {}

/** This process may not connect any more. */
class Deposed extends Error {}
