import type { Clock } from '../../shared/clock.ts'
import type { Cache, Change } from '../../shared/kubernetes/cache.ts'
import { keyOf } from '../../shared/kubernetes/objects.ts'
import type { Part } from '../../shared/lifecycle.ts'
import type { Log } from '../../shared/log.ts'
import { controls } from './commands.ts'
import type { EdgeNode } from './edge-node.ts'
import type { GuestSession } from './guests.ts'
import { decodeMetrics, encodeData, type ReceivedMetric, UndecodableError } from './payload.ts'
import type { SecretView, SparkplugNode } from './sparkplug-node.ts'
import { type NodeAddress, readTopic } from './topics.ts'
import { WatchedAddresses } from './watched-addresses.ts'
import { WatchedNode, type WatchedState } from './watched-node.ts'

/** How often the silence of each node is looked at, in milliseconds. */
const tickMs = 1_000
/** Births of others may be large; larger ones do not come through the connection. */
const birthLimits = { maxBytes: 4 * 1024 * 1024, maxMetrics: 200_000 }
/** Everything that a node publishes, except its death. */
const signsOfLife = new Set(['NBIRTH', 'NDATA', 'DBIRTH', 'DDATA', 'DDEATH'])

type Parts = {
  nodes: Pick<Cache<SparkplugNode>, 'values' | 'subscribe'>
  secrets?: Pick<Cache<SecretView>, 'subscribe'> | undefined
  edgeNode: Pick<EdgeNode, 'attach' | 'deviceId' | 'setDevice' | 'removeDevice' | 'update'>
  clock: Clock
  log: Log
  random?: () => number
}

/**
 * Watches the edge nodes that `SparkplugNode` resources name. Keys are `namespace/name`.
 *
 * Each watched node is a device of the monitor's edge node, with `Alerts/Offline`. A sign of life clears the alert at once; retained
 * messages are not one. Silence counts only while the monitor itself is connected. The monitor requests a rebirth of a silent node once
 * per interval.
 */
export class WatchedNodes implements Part {
  readonly name = 'watched-nodes'
  readonly #parts: Parts
  readonly #watched = new Map<string, WatchedNode>()
  readonly #addresses = new WatchedAddresses()
  readonly #ending = new AbortController()
  readonly #forget: (() => void)[] = []
  #running: Promise<void> = Promise.resolve()

  constructor(parts: Parts) {
    this.#parts = parts
  }

  state(key: string): WatchedState | undefined {
    return this.#watched.get(key)?.state(this.#addresses.session !== undefined)
  }

  keys(): string[] {
    return [...this.#watched.keys()]
  }

  async start(): Promise<void> {
    const { nodes, secrets, edgeNode, log } = this.#parts
    for (const node of nodes.values()) this.#add(node)
    this.#forget.push(
      nodes.subscribe((change) => (change.type === 'removed' ? this.#remove(change.key) : this.#add(change.object))),
      edgeNode.attach({
        online: (session) => this.#connected(session),
        offline: () => {
          this.#addresses.session = undefined
        },
        message: (topic, payload, isRetained) => this.#receive(topic, payload, isRetained),
      }),
    )
    // Only later changes count: the nodes know the Secrets that exist already.
    if (secrets) this.#forget.push(secrets.subscribe((change) => this.#noteSecret(change)))
    this.#running = this.#keepTicking().catch((error: unknown) => {
      if (!this.#ending.signal.aborted) log.error({ err: error }, 'watched nodes are no longer watched')
    })
  }

  async stop(): Promise<void> {
    this.#ending.abort(new Error('stopping'))
    for (const end of this.#forget.splice(0)) end()
    await this.#running
  }

  #add(spec: SparkplugNode): void {
    const key = keyOf(spec.metadata)
    const before = this.#watched.get(key)
    if (before !== undefined && isSame(before.spec, spec)) {
      before.spec = spec
      return
    }
    if (before !== undefined) this.#addresses.remove(before)
    const node = new WatchedNode({ key, device: this.#parts.edgeNode.deviceId('sparkplug-node', key.replace('/', '.')) }, spec, this.#parts)
    this.#watched.set(key, node)
    this.#addresses.add(node)
    this.#parts.edgeNode.setDevice(node.device, node.metrics())
  }

  #remove(key: string): void {
    const node = this.#watched.get(key)
    if (node === undefined) return
    this.#addresses.remove(node)
    this.#watched.delete(key)
    this.#parts.edgeNode.removeDevice(node.device)
  }

  #connected(session: GuestSession): void {
    for (const node of this.#watched.values()) node.connected()
    this.#addresses.connected(session, this.#watched.values())
  }

  #receive(topic: string, payload: Buffer, isRetained: boolean): void {
    const read = readTopic(topic)
    if (read === undefined || isRetained) return
    const { verb } = read
    if (verb === 'NBIRTH') this.#find(read, payload)
    const bdSeq = verb === 'NBIRTH' || verb === 'NDEATH' ? bdSeqOf(payload) : undefined
    for (const node of this.#addresses.at(read)) {
      if (verb === 'NDEATH') node.die(bdSeq)
      else if (signsOfLife.has(verb)) {
        if (node.isOffline) this.#parts.log.info({ sparkplugNode: node.key }, 'watched node is alive again')
        if (verb === 'NBIRTH') node.born(bdSeq)
        else node.hear()
        this.#publish(node)
      }
    }
  }

  /** Finds nodes by the UUID in a birth: those whose address is not known, or has changed. */
  #find({ group, node: id }: NodeAddress, payload: Buffer): void {
    const sought = [...this.#watched.values()].filter(({ isSought }) => isSought)
    if (sought.length === 0) return
    const uuid = uuidOf(payload)
    for (const node of sought) {
      const isThere = node.address?.group === group && node.address.node === id
      if (uuid === undefined || node.spec.uuid !== uuid || isThere) continue
      this.#addresses.remove(node)
      node.address = { group, node: id }
      this.#addresses.add(node)
      this.#parts.log.info({ sparkplugNode: node.key, group, node: id }, 'watched node found by its UUID')
    }
  }

  #noteSecret(change: Change<SecretView>): void {
    const { name, namespace } = change.object.metadata
    const isNews = change.type === 'added' || (change.type === 'changed' && change.object.fingerprint !== change.previous.fingerprint)
    for (const node of this.#watched.values()) {
      if (isNews && node.spec.metadata.namespace === namespace && node.spec.secrets.includes(name)) node.isReloadDue = true
    }
  }

  async #keepTicking(): Promise<void> {
    for (;;) {
      await this.#parts.clock.sleep(tickMs, this.#ending.signal)
      if (this.#addresses.session !== undefined) for (const node of this.#watched.values()) this.#tick(node)
    }
  }

  #tick(node: WatchedNode): void {
    const { log } = this.#parts
    if (node.isReloadDue && this.#command(node, node.spec.reloadMetric)) {
      node.isReloadDue = false
      log.info({ sparkplugNode: node.key }, 'watched node asked to reload')
    }
    if (node.isRebirthDue) {
      node.rebirthRequested(this.#command(node, controls.rebirth))
      this.#publish(node)
    }
    if (node.turnOffline()) {
      log.warn({ sparkplugNode: node.key, ...node.address, lastSeen: node.lastSeen }, 'watched node is offline')
      this.#publish(node)
    }
  }

  /** An NCMD has a time and no seq [tck-id-payloads-ncmd-timestamp] [tck-id-payloads-ncmd-seq]. */
  #command({ address }: WatchedNode, name: string): boolean {
    const { session } = this.#addresses
    if (address === undefined || session === undefined) return false
    const timestamp = this.#parts.clock.now()
    return session.sendCommand(address, encodeData([{ name, datatype: 'Boolean', value: true, timestamp }], { timestamp }))
  }

  #publish(node: WatchedNode): void {
    this.#parts.edgeNode.update(
      node.device,
      node.metrics().map(({ name, value }) => ({ name, value })),
    )
  }
}

function uuidOf(payload: Buffer): string | undefined {
  const value = metricValue(payload, 'Instance_UUID')
  return typeof value === 'string' ? value.toLowerCase() : undefined
}

function bdSeqOf(payload: Buffer): number | undefined {
  const value = metricValue(payload, 'bdSeq')
  return typeof value === 'bigint' || typeof value === 'number' ? Number(value) : undefined
}

function metricValue(payload: Buffer, sought: string): ReceivedMetric['value'] {
  try {
    return decodeMetrics(payload, birthLimits).find(({ name }) => name === sought)?.value
  } catch (error) {
    if (error instanceof UndecodableError) return undefined
    throw error
  }
}

function isSame(a: SparkplugNode, b: SparkplugNode): boolean {
  const essence = ({ address, uuid, intervalMs, secrets, reloadMetric }: SparkplugNode) =>
    JSON.stringify([address, uuid, intervalMs, secrets, reloadMetric])
  return essence(a) === essence(b)
}
