import { createHash } from 'node:crypto'

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

const longestId = 200

/** C0, DEL, C1, and what MQTT adds to them. */
function hasControlCharacters(text: string): boolean {
  for (const character of text) if (isControl(character.codePointAt(0) as number)) return true
  return false
}

function isControl(code: number): boolean {
  return code < 0x20 || (code >= 0x7f && code <= 0x9f) || (code & 0xfffe) === 0xfffe || code === 0xfeff
}

/**
 * The device id of a thing: `<kind>:<name>`, such as `host:node-1` or `database:shop.orders`.
 *
 * The same thing always has the same id, and no two things share one. Characters that a topic level must not contain (`+`, `#`, `/`, control
 * characters), and `%`, are percent-encoded. An id that would be longer than 200 bytes is cut and ends with `~` and 16 hexadecimal digits of
 * its SHA-256.
 */
export function deviceId(kind: string, name: string): string {
  if (name === '') throw new TypeError(`a ${kind} without a name cannot be a device`)
  let id = ''
  for (const character of `${kind}:${name}`.toWellFormed()) {
    id += /[%+#/]/.test(character) || isControl(character.codePointAt(0) as number) ? escaped(character) : character
  }
  if (Buffer.byteLength(id) <= longestId) return id
  const hash = createHash('sha256').update(id).digest('hex').slice(0, 16)
  let kept = ''
  for (const character of id) {
    if (Buffer.byteLength(kept + character) > longestId - 17) break
    kept += character
  }
  return `${kept}~${hash}`
}

function escaped(character: string): string {
  return [...Buffer.from(character, 'utf8')].map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`).join('')
}
