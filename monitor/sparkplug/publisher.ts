import type { Connection } from './connection.ts'
import { recordSize, type SentType } from './counters.ts'
import type { Encode } from './payload.ts'
import { createSequence } from './sequence.ts'
import type { EndSession, SessionContext, SessionSettings } from './session-context.ts'
import { deviceTopic, type NodeAddress, nodeTopic } from './topics.ts'

/** What `createPublisher` returns. */
export type Publisher = ReturnType<typeof createPublisher>

type PublisherContext = Pick<SessionContext, 'address' | 'packets' | 'counters' | 'clock' | 'isLeader'> & {
  settings: Pick<SessionSettings, 'protocolVersion'>
}

/**
 * The bytes of a PUBLISH beside its payload: the header with the longest length, the topic with its length, and in MQTT 5 the empty
 * properties.
 */
function packetOverhead(topic: string, protocolVersion: 4 | 5): number {
  return 5 + 2 + Buffer.byteLength(topic) + (protocolVersion === 5 ? 1 : 0)
}

/**
 * The only place where a message of a session is handed to the socket and takes its `seq`. Each method returns false when the message
 * could not be handed over, or was not encoded because it is larger than the server takes. A replica that is no longer the leader sends nothing, and ends the session.
 */
export function createPublisher(
  { address, settings, packets, counters, clock, isLeader }: PublisherContext,
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
    const overhead = packetOverhead(topic, settings.protocolVersion)
    let bytes = 0
    const hand = (seq: number): boolean => {
      const payload = encode({ timestamp: clock.now(), seq }, packets.limit.bytes - overhead)
      if (payload === undefined) return false
      bytes = payload.length + overhead
      return connection.send(topic, payload)
    }
    if (!(type === 'NBIRTH' ? sequence.restart(hand) : sequence.next(hand))) return false
    packets.sent(bytes)
    counters.sent[type]++
    if (type === 'NBIRTH' || type === 'DBIRTH') recordSize(counters.birthBytes[type], bytes)
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
