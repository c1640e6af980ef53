import type { Connection } from './connection.ts'
import type { SentType } from './counters.ts'
import type { Encode } from './payload.ts'
import { createSequence } from './sequence.ts'
import type { EndSession, SessionContext } from './session-context.ts'
import { deviceTopic, type NodeAddress, nodeTopic } from './topics.ts'

/**
 * The only place where a message of a session is handed to the socket and takes its `seq`. Each method returns false when the message
 * could not be handed over. A replica that is no longer the leader sends nothing, and ends the session.
 */
export class Publisher {
  readonly #context: Pick<SessionContext, 'address' | 'counters' | 'clock' | 'isLeader'>
  readonly #connection: Connection
  readonly #end: EndSession
  readonly #sequence = createSequence()
  #isClosed = false

  constructor(context: Pick<SessionContext, 'address' | 'counters' | 'clock' | 'isLeader'>, connection: Connection, end: EndSession) {
    this.#context = context
    this.#connection = connection
    this.#end = end
  }

  publishNode(type: 'NBIRTH' | 'NDATA', encode: Encode): boolean {
    return this.#publish(type, nodeTopic(type, this.#context.address), encode)
  }

  publishDevice(type: 'DBIRTH' | 'DDATA' | 'DDEATH', device: string, encode: Encode): boolean {
    return this.#publish(type, deviceTopic(type, this.#context.address, device), encode)
  }

  /** Sends a command to another node; it has no `seq` [tck-id-payloads-ncmd-seq]. */
  sendCommand(target: NodeAddress, payload: Buffer): boolean {
    const { counters, isLeader } = this.#context
    if (this.#isClosed || !isLeader() || !this.#connection.send(nodeTopic('NCMD', target), payload)) return false
    counters.sent.NCMD++
    return true
  }

  /** Nothing is sent after this. */
  close(): void {
    this.#isClosed = true
  }

  #publish(type: Exclude<SentType, 'NDEATH' | 'NCMD'>, topic: string, encode: Encode): boolean {
    const { counters, clock, isLeader } = this.#context
    if (this.#isClosed) return false
    if (!isLeader()) {
      this.#end('not-leader', 'another replica may publish now')
      return false
    }
    const hand = (seq: number) => this.#connection.send(topic, encode({ timestamp: clock.now(), seq }))
    if (!(type === 'NBIRTH' ? this.#sequence.restart(hand) : this.#sequence.next(hand))) return false
    counters.sent[type]++
    return true
  }
}
