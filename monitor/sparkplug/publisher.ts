import type { Connection } from './connection.ts'
import type { SentType } from './counters.ts'
import type { Encode } from './payload.ts'
import { createSequence } from './sequence.ts'
import type { EndSession, SessionContext } from './session-context.ts'
import { deviceTopic, type NodeAddress, nodeTopic } from './topics.ts'

/** What `createPublisher` returns. */
export type Publisher = ReturnType<typeof createPublisher>

/**
 * The only place where a message of a session is handed to the socket and takes its `seq`. Each method returns false when the message
 * could not be handed over. A replica that is no longer the leader sends nothing, and ends the session.
 */
export function createPublisher(
  { address, counters, clock, isLeader }: Pick<SessionContext, 'address' | 'counters' | 'clock' | 'isLeader'>,
  connection: Connection,
  end: EndSession,
) {
  const sequence = createSequence()
  let isClosed = false

  function publish(type: Exclude<SentType, 'NDEATH' | 'NCMD'>, topic: string, encode: Encode): boolean {
    if (isClosed) return false
    if (!isLeader()) {
      end('not-leader', 'another replica may publish now')
      return false
    }
    const hand = (seq: number) => connection.send(topic, encode({ timestamp: clock.now(), seq }))
    if (!(type === 'NBIRTH' ? sequence.restart(hand) : sequence.next(hand))) return false
    counters.sent[type]++
    return true
  }

  return {
    publishNode: (type: 'NBIRTH' | 'NDATA', encode: Encode) => publish(type, nodeTopic(type, address), encode),
    publishDevice: (type: 'DBIRTH' | 'DDATA' | 'DDEATH', device: string, encode: Encode) =>
      publish(type, deviceTopic(type, address, device), encode),
    /** Sends a command to another node; it has no `seq` [tck-id-payloads-ncmd-seq]. */
    sendCommand(target: NodeAddress, payload: Buffer): boolean {
      if (isClosed || !isLeader() || !connection.send(nodeTopic('NCMD', target), payload)) return false
      counters.sent.NCMD++
      return true
    },
    /** Nothing is sent after this. */
    close(): void {
      isClosed = true
    },
  }
}
