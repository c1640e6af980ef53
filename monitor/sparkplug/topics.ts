/** Literal and case-sensitive [tck-id-topic-structure-namespace-a]. */
const namespace = 'spBv1.0'

/** Verbs of messages about a node, and about a device of it. */
export type NodeVerb = 'NBIRTH' | 'NDATA' | 'NDEATH' | 'NCMD'
export type DeviceVerb = 'DBIRTH' | 'DDATA' | 'DDEATH' | 'DCMD'

/** Group and edge node id: unique together in the whole infrastructure. */
export type NodeAddress = { group: string; node: string }

/** The topic of a message about a node. It never has a device level [tck-id-topic-structure-namespace-device-id-non-associated-message-types]. */
export function nodeTopic(verb: NodeVerb, { group, node }: NodeAddress): string {
  return `${namespace}/${group}/${verb}/${node}`
}

/** The topic of a message about a device [tck-id-topic-structure-namespace-device-id-associated-message-types]. `+` as the device is a filter. */
export function deviceTopic(verb: DeviceVerb, { group, node }: NodeAddress, device: string): string {
  return `${namespace}/${group}/${verb}/${node}/${device}`
}

/** The topic of the STATE of a host application. */
export function stateTopic(hostId: string): string {
  return `${namespace}/STATE/${hostId}`
}

/** The parts of a topic of this namespace; undefined for STATE and for all other topics. */
export function readTopic(topic: string): { group: string; verb: string; node: string; device: string | undefined } | undefined {
  const [space, group, verb, node, device, ...more] = topic.split('/')
  if (space !== namespace || !group || group === 'STATE' || !verb || !node || more.length > 0) return undefined
  return { group, verb, node, device }
}

/** Why a group, node or device id is illegal in a topic, as a predicate; undefined when it is legal. */
export function idFault(id: string, { isGroup = false }: { isGroup?: boolean } = {}): string | undefined {
  if (id === '') return 'must not be empty'
  if (Buffer.byteLength(id) > longestId) return `must not be longer than ${longestId} bytes`
  if (/[+#/]/.test(id)) return 'must not contain "+", "#" or "/"'
  if (hasControlCharacters(id)) return 'must not contain control characters'
  if (!id.isWellFormed()) return 'must be well-formed Unicode'
  // It would collide with the topics of hosts.
  if (isGroup && id === 'STATE') return 'must not be STATE, which is where hosts announce themselves'
  return undefined
}

/** The greatest length of an id, in bytes. */
export const longestId = 200

/** Whether a text has a control character: C0, DEL, C1, and what MQTT adds to them. */
export function hasControlCharacters(text: string): boolean {
  for (const character of text) if (isControl(character.codePointAt(0) as number)) return true
  return false
}

function isControl(code: number): boolean {
  return code < 0x20 || (code >= 0x7f && code <= 0x9f) || (code & 0xfffe) === 0xfffe || code === 0xfeff
}
