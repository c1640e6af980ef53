import { randomBytes } from 'node:crypto'

/** How many past events are kept. */
export type EventLogConfig = {
  /** Events kept for clients that come back. */
  maxRetained: number
  maxRetainedBytes: number
}

/** One serialised event, shared by all subscribers. */
export type RetainedEvent = { sequence: number; kind: string; project: string | undefined; frame: Buffer }

/**
 * The last events, numbered without gaps, bounded in number and bytes.
 *
 * An id consists of a random name of this process and the number. Only this process knows which events a client with that id has missed:
 * another replica, or the next process, has seen the events in a different order.
 */
export class EventLog {
  readonly #config: EventLogConfig
  readonly #process = randomBytes(6).toString('base64url').replaceAll(/[-_]/g, 'x')
  // A list with a moving head: removing from the front of an array moves all of it.
  #events: RetainedEvent[] = []
  #head = 0
  #bytes = 0
  #last = 0

  constructor(config: EventLogConfig) {
    this.#config = config
  }

  /** The id of the newest event. */
  get lastId(): string {
    return `${this.#process}-${this.#last}`
  }

  /** Numbers an event and keeps it. @param data one line of JSON */
  append(event: { type: string; kind: string; project: string | undefined; data: readonly Uint8Array[] }): RetainedEvent {
    this.#last++
    const frame = Buffer.concat([Buffer.from(`id: ${this.lastId}\nevent: ${event.type}\ndata: `), ...event.data, Buffer.from('\n\n')])
    const retained = { sequence: this.#last, kind: event.kind, project: event.project, frame }
    this.#events.push(retained)
    this.#bytes += frame.byteLength
    this.#trim()
    return retained
  }

  /** The events after the one with that id, oldest first; or a text that says why they are unknown. */
  after(id: string): RetainedEvent[] | string {
    const [, process, at] = /^([A-Za-z0-9]{8})-(\d{1,15})$/.exec(id) ?? []
    const sequence = Number(at)
    if (process !== this.#process || sequence > this.#last) return 'This process does not know the event with that id.'
    const missed = this.#last - sequence
    if (missed > this.#events.length - this.#head) return 'The events after that id are no longer kept.'
    return this.#events.slice(this.#events.length - missed)
  }

  #trim(): void {
    const { maxRetained, maxRetainedBytes } = this.#config
    while (this.#events.length - this.#head > maxRetained || this.#bytes > maxRetainedBytes)
      this.#bytes -= (this.#events[this.#head++] as RetainedEvent).frame.byteLength
    // Trimmed events stay in the list until then: never more than are kept.
    if (this.#head * 2 <= this.#events.length) return
    this.#events = this.#events.slice(this.#head)
    this.#head = 0
  }
}
