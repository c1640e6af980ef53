// A life is the node's time on one open connection.
//
//            begin()              close()
//   waiting ─────────▶ live ──────────────▶ closed
//      └────────────────────────────────────▲
//
// | state         | event                                 | publishes                                                    |
// |---------------|---------------------------------------|--------------------------------------------------------------|
// | waiting       | STATE online of the primary host      | nothing; `hostOnline` resolves                               |
// | waiting       | begin(), the host is online or none   | NBIRTH, then the DBIRTH of every device                      |
// | waiting       | begin(), the host has left again      | nothing; it goes on waiting                                  |
// | live          | new values                            | NDATA and DDATA, gathered for `coalesceMs`                   |
// | live          | the node's set of metrics changes     | the gathered data, NBIRTH, all DBIRTHs                       |
// | live          | a device comes, or its set changes    | the gathered data, DBIRTH                                    |
// | live          | a device goes                         | the gathered data, DDEATH; in a flush once its history is out |
// | live          | NCMD Node Control/Rebirth             | NBIRTH, all DBIRTHs; once in `rebirthIntervalMs`, and until  |
// |               |                                       | then no data; what data precedes in this table, they do too  |
// | live          | DCMD Device Control/Rebirth           | DBIRTH; once in `rebirthIntervalMs`                          |
// | waiting, live | NCMD Node Control/Next Server         | nothing; the session ends                                    |
// | waiting, live | STATE offline of the primary host     | nothing; the session ends (while waiting: if it can move on) |
// | live          | another replica leads                 | nothing; the session ends                                    |
// | waiting, live | time for proof                        | PINGREQ; without an answer the connection is cut             |
// | live          | close()                               | the gathered data, if the connection is open and the host    |
// |               |                                       | online                                                       |
//
// NDEATH is the session's to publish (session.ts): on purpose, or as the will of its CONNECT.
import { setImmediate as nextTurn } from 'node:timers/promises'
import { type Births, createBirths } from './births.ts'
import type { Connection } from './connection.ts'
import { createHostWatch } from './host-watch.ts'
import { createInbox } from './inbox.ts'
import { createProof, type Proof } from './proof.ts'
import { createPublisher, type Publisher } from './publisher.ts'
import { createRebirthRequests, type RebirthRequests } from './rebirth-requests.ts'
import { createSender, type Sender, type StepResult } from './sender.ts'
import type { EndSession, SessionContext } from './session-context.ts'
import type { Owner } from './tracked-metric.ts'
import { messageOf } from './waits.ts'

/** How long to wait while the socket is congested or the flush is throttled, in milliseconds. */
const pauseMs = 50

type LifeParts = { connection: Connection; bdSeq: number; end: EndSession; signal: AbortSignal }

/** Births, data, commands and proof on an open connection. Everything that runs in the background ends with the signal. */
export class Life {
  readonly #context: SessionContext
  readonly #parts: LifeParts
  readonly #publisher: Publisher
  readonly #births: Births
  readonly #sender: Sender
  readonly #proof: Proof
  /** From one PINGREQ to the next at most. */
  readonly #pingMs: number
  readonly #rebirths: RebirthRequests
  /** Takes in a message that came on the connection. */
  readonly receive: (topic: string, payload: Buffer, isRetained: boolean) => void
  readonly #host = createHostWatch()
  /** The server has answered a PINGREQ since the births: it has read them. */
  isProven = false
  #state: 'waiting' | 'live' | 'closed' = 'waiting'
  /** Ends the pump's wait for news. */
  #wake: () => void = () => {}

  constructor(context: SessionContext, parts: LifeParts) {
    const { settings, clock, hasNextServer } = context
    const { connection, bdSeq, end, signal } = parts
    this.#context = context
    this.#parts = parts
    const publisher = createPublisher(context, connection, end)
    this.#publisher = publisher
    this.#births = createBirths(context, publisher, { bdSeq, hasNextServer, end })
    this.#sender = createSender(settings, {
      ...context,
      isCongested: connection.isCongested,
      send: ({ id }, encode) => (id === undefined ? publisher.publishNode('NDATA', encode) : publisher.publishDevice('DDATA', id, encode)),
    })
    // From one PINGREQ to the next, and for its answer: a dead link is noticed within 1.5 times the keep-alive.
    const answerMs = settings.keepAliveSeconds * 750
    // The server's own keep-alive replaces the node's [MQTT-3.1.2-21]; 0 is none. It may be too short for the answer on a slow link.
    this.#pingMs = Math.min(answerMs, (connection.terms.keepAliveSeconds || settings.keepAliveSeconds) * 750)
    this.#proof = createProof(connection, { intervalMs: this.#pingMs, answerMs, clock, signal })
    this.#rebirths = createRebirthRequests((device) => this.#rebirth(device), { intervalMs: settings.rebirthIntervalMs, clock, signal })
    this.receive = createInbox(context, {
      isLive: () => this.#isLive,
      host: this.#host,
      rebirth: (device) => this.#rebirths.request(device),
      end,
    })
  }

  /**
   * Resolves when the primary host is online, with whether every node that listens has heard it in the same moment. It may leave before anybody
   * acts: `begin` looks again.
   */
  async hostOnline(): Promise<'known' | 'news'> {
    await this.#host.whenOnline()
    return this.#host.isNews() ? 'news' : 'known'
  }

  /** Proves that the connection is alive, from now on. */
  keepAlive(): void {
    this.#run(this.#prove())
  }

  /**
   * Publishes the births, and data from then on. It is synchronous, so that nothing can change between the births and the moment from
   * which changes are sent. It is no birth if the primary host has left again: what it said last counts at this moment
   * [tck-id-message-flow-edge-node-birth-publish-phid-wait-online]. `lost`: the births could not be handed over.
   */
  begin(): 'born' | 'no-host' | 'lost' {
    if (!this.#hasHost) return 'no-host'
    if (!this.#births.all()) return 'lost'
    this.#state = 'live'
    this.#followModel()
    // At once: the sooner it is known that the births were read, the less the end of the connection looks like their fault.
    this.#run(this.#proveNow())
    this.#run(this.#pump())
    this.#lendToGuests()
    return 'born'
  }

  /**
   * Sends what was gathered while its owners are still born, unless the primary host has left: then it is kept for its return. After that,
   * no change of the model is sent.
   */
  close(): void {
    if (this.#state === 'closed') return
    try {
      if (this.#isLive) this.#context.guests.offline()
      if (this.#parts.connection.isOpen() && this.#hasHost) this.#drain()
    } finally {
      this.#state = 'closed'
      this.#publisher.close()
      this.#context.model.listener = undefined
      this.#births.end()
      this.#wake()
    }
  }

  /** The server has read everything that this life has sent. */
  releaseAll(): void {
    this.#release(this.#sender.cursor)
  }

  get #isLive(): boolean {
    return this.#state === 'live'
  }

  get #hasHost(): boolean {
    return this.#context.host === undefined || this.#host.isOnline()
  }

  /** Runs work in the background. It fails when the connection does, and that ends the session. */
  #run(work: Promise<void>): void {
    work.catch((error: unknown) => {
      if (!this.#parts.signal.aborted && this.#state !== 'closed') this.#parts.end('lost', messageOf(error))
    })
  }

  /** Sends what there is, without waiting for more. A rebirth that was requested goes first. */
  #drain(): void {
    if (!this.#parts.connection.isCongested()) this.#rebirths.serveNow(undefined)
    while (this.#step() === 'sent');
  }

  /**
   * Sends a batch. Nothing between a request for a rebirth and the births [tck-id-operational-behavior-data-commands-rebirth-action-1]:
   * who asks for them cannot read it.
   */
  #step(): StepResult {
    if (!this.#isLive) return 'over'
    if (this.#rebirths.isWaiting(undefined)) return 'idle'
    const result = this.#sender.step()
    if (result !== 'over') this.#buryDeparted()
    return result
  }

  /** The death of devices that are gone, once the last of their changes is sent. */
  #buryDeparted(): void {
    for (const owner of this.#context.model.departed.all())
      if (owner.bornAt !== undefined && this.#sender.cursor > owner.lastIndex) this.#births.death(owner)
  }

  async #pump(): Promise<void> {
    const { settings, clock } = this.#context
    while (this.#isLive) {
      const result = this.#step()
      if (result === 'over') return
      if (result === 'sent') await nextTurn()
      else if (result === 'unproven') await this.#proveNow()
      else if (result === 'idle') {
        await this.#news()
        await clock.sleep(settings.coalesceMs, this.#parts.signal)
      } else await clock.sleep(pauseMs, this.#parts.signal)
    }
  }

  #news(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve
    })
  }

  /** Asks for proof when something was sent, when the births are unproven, and when the keep-alive is due. */
  async #prove(): Promise<void> {
    const { settings, buffer, packets, clock } = this.#context
    while (this.#state !== 'closed') {
      await clock.sleep(Math.min(settings.proofMs, this.#pingMs), this.#parts.signal)
      const isWanted = this.#proof.isDue() || packets.isWondering || (this.#isLive && !this.isProven)
      if (isWanted || this.#sender.cursor > buffer.start) await this.#proveNow()
    }
  }

  #proveNow(): Promise<void> {
    return this.#proof.prove(() => {
      const mark = this.#sender.cursor
      const wasLive = this.#isLive
      const passed = this.#context.packets.ask()
      return () => {
        passed()
        this.isProven ||= wasLive
        if (this.#isLive) this.#release(mark)
      }
    })
  }

  #release(mark: number): void {
    const { buffer, counters } = this.#context
    buffer.release(mark)
    counters.buffer.length = buffer.end - buffer.start
  }

  #rebirth(id: string | undefined): void {
    const { model, counters } = this.#context
    const device = id === undefined ? undefined : model.devices.get(id)
    if (!this.#isLive || (id !== undefined && device === undefined)) return
    // While the socket is congested, more births would only add to its backlog.
    if (device === undefined && this.#parts.connection.isCongested()) {
      this.#rebirths.request(undefined)
      return
    }
    counters.rebirths++
    if (device !== undefined) this.#births.device(device)
    else {
      this.#births.all()
      // In this turn: the next request may be on its way, and a storm of them must not hold data back for ever.
      this.#drain()
    }
    this.#wake()
  }

  #followModel(): void {
    const { model, buffer, counters } = this.#context
    model.listener = {
      reshaping: () => {
        this.#drain()
      },
      reshaped: (owner) => {
        if (!this.#isLive) return
        if (owner.id !== undefined) this.#births.device(owner)
        else {
          counters.rebirths++
          this.#births.all()
        }
      },
      removed: (owner, isRemembered) => this.#bury(owner, isRemembered),
      changed: () => {
        if (buffer.end > this.#sender.cursor) this.#wake()
      },
    }
  }

  #bury(device: Owner, isRemembered: boolean): void {
    if (!this.#isLive || device.bornAt === undefined) return
    this.#drain()
    this.#rebirths.forget(device.id as string)
    // In the midst of a flush some of its history is left: it dies when that is sent.
    if (this.#sender.cursor > device.lastIndex || !isRemembered) this.#births.death(device)
  }

  #lendToGuests(): void {
    const connection = this.#parts.connection
    this.#context.guests.online({
      subscribe: (filters) => {
        for (const some of batches(filters)) connection.subscribe(some, 0).catch(() => {})
      },
      unsubscribe: (filters) => {
        for (const some of batches(filters)) connection.unsubscribe(some)
      },
      sendCommand: (target, payload) => this.#publisher.sendCommand(target, payload),
    })
  }
}

/**
 * AWS IoT Core takes eight filters in one SUBSCRIBE (AWS IoT Core quotas, "Maximum subscriptions per subscribe request"). With that, the
 * packet stays small too.
 */
const filtersAtOnce = 8

function batches(filters: readonly string[]): string[][] {
  return Array.from({ length: Math.ceil(filters.length / filtersAtOnce) }, (_, index) =>
    filters.slice(index * filtersAtOnce, (index + 1) * filtersAtOnce),
  )
}
