import { ReasonCodes } from 'mqtt'
import type { IConnackPacket, IDisconnectPacket } from 'mqtt-packet'

/** What a server set in its CONNACK. MQTT 3.1.1 has no such fields; what a server of MQTT 5 left out is undefined. */
export type ServerTerms = {
  /** It replaces the keep-alive of the CONNECT [MQTT-3.1.2-21]. 0: the server does not look. */
  keepAliveSeconds?: number | undefined
  /** The largest packet that it takes, in bytes and with its header [MQTT-3.2.2-15]. */
  maxPacketBytes?: number | undefined
  /** How many PUBLISH above QoS 0 it takes without PUBACK. The node has one at most: its NDEATH. */
  receiveMaximum?: number | undefined
  /** The highest QoS that it takes; left out for 2. */
  maximumQos?: number | undefined
  /** False: it keeps no retained messages. */
  retainAvailable?: boolean | undefined
  /** False: it takes no filters with wildcards. */
  wildcardsAvailable?: boolean | undefined
  /** The client id that it gave, should it give another. */
  assignedClientId?: string | undefined
  /** What it has to say about the connection. */
  reasonString?: string | undefined
}

/** The terms in a CONNACK. Texts are cut and have no control characters: they go into the log. */
export function termsOf({ properties = {} }: Pick<IConnackPacket, 'properties'>): ServerTerms {
  const { maximumPacketSize, receiveMaximum, maximumQoS, assignedClientIdentifier, reasonString } = properties
  return {
    keepAliveSeconds: properties.serverKeepAlive,
    // Zero is a protocol error, and would leave the node nothing to say.
    maxPacketBytes: maximumPacketSize === 0 ? undefined : maximumPacketSize,
    receiveMaximum,
    maximumQos: maximumQoS,
    retainAvailable: properties.retainAvailable,
    wildcardsAvailable: properties.wildcardSubscriptionAvailable,
    assignedClientId: plain(assignedClientIdentifier),
    reasonString: plain(reasonString),
  }
}

/** What to do about some reason codes. */
const advice: Record<number, string> = {
  155: 'Sparkplug needs QoS 1 for the death of the node. Permit QoS 1 on the server (mosquitto: max_qos), or name another one',
  154: 'the node sends nothing retained: see the settings of the server',
  142: 'another client uses the same client id',
}

/** Why the server refuses the connection; undefined if it does not. */
export function refusalOf(packet: IConnackPacket): string | undefined {
  const code = packet.reasonCode ?? packet.returnCode ?? 0
  return code === 0 ? undefined : `the server refuses the connection: ${said(code, packet.properties)}`
}

/** Why the server ends the connection. */
export function farewellOf({ reasonCode, properties }: IDisconnectPacket): string {
  return reasonCode === undefined ? 'the server sent DISCONNECT' : `the server sent DISCONNECT: ${said(reasonCode, properties)}`
}

/** Why the node cannot live with the terms, and what to do; undefined if it can. */
export function termsFault({ maximumQos }: ServerTerms): string | undefined {
  // A server for Sparkplug supports QoS 1 [tck-id-conformance-mqtt-qos1]. Without it there is no death that hosts can rely on.
  return maximumQos === 0 ? `the server permits QoS 0 only: ${advice[0x9b]}` : undefined
}

function said(code: number, properties: IConnackPacket['properties'] | IDisconnectPacket['properties'] = {}): string {
  const name = (ReasonCodes as Record<number, string>)[code] ?? 'unknown reason'
  const reason = plain(properties.reasonString)
  const reference = plain(properties.serverReference)
  const parts = [`${name} (${code})`, reason, reference && `it names another server: ${reference}`, advice[code]]
  return parts.filter((part) => part !== undefined && part !== '').join('; ')
}

/** Foreign text for the log. */
function plain(text: string | undefined): string | undefined {
  return text
    ?.slice(0, 200)
    .replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, ' ')
    .trim()
    .toWellFormed()
}
