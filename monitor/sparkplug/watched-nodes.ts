import type { Clock } from '../../shared/clock.ts'
import type { Cache } from '../../shared/kubernetes/cache.ts'
import { keyOf } from '../../shared/kubernetes/objects.ts'
import type { Part } from '../../shared/lifecycle.ts'
import type { Log } from '../../shared/log.ts'
import { controls } from './commands.ts'
import type { EdgeNode } from './edge-node.ts'
import type { GuestSession } from './guests.ts'
import { decodeMetrics, encodeData, type ReceivedMetric, UndecodableError } from './payload.ts'
import type { SecretView, SparkplugNode } from './sparkplug-node.ts'
import { deviceId, type NodeAddress, readTopic } from './topics.ts'
import type { SparkplugMetric } from './tracked-metric.ts'

/**
 * `unknown`: nothing was heard yet, or the monitor itself has no connection and cannot know. `silent`: for more than the interval, a
 * rebirth was asked for. `offline`: for three.
 */
export type Liveness = 'unknown' | 'alive' | 'silent' | 'offline'

/** What is known of one watched node. */
export type WatchedState = {
  liveness: Liveness
  address: NodeAddress | undefined
  /** Unix milliseconds of the last sign of life. */
  lastSeen: number | undefined
  /** How long nothing was heard, as far as the monitor could hear; undefined while it cannot. */
  silentMs: number | undefined
  /** It announced its death, or its server did, and nothing came since. */
  isDead: boolean
  rebirthRequests: number
}

/** Watches the edge nodes that `SparkplugNode` resources name. Keys are `namespace/name`. */
export type WatchedNodes = Part & {
  state(key: string): WatchedState | undefined
  keys(): string[]
}

type Watched = {
  key: string
  spec: SparkplugNode
  device: string
  address: NodeAddress | undefined
  /** What is said on its device: undefined as long as it is unknown. */
  isOffline: boolean | undefined
  wasHeard: boolean
  /** The monotonic moment from which silence counts. */
  since: number
  lastSeen: number | undefined
  isDead: boolean
  /** That of its last birth; undefined while none was heard since the monitor is connected. */
  bdSeq: number | undefined
  askAt: number
  requests: number
  isReloadDue: boolean
}

/** How often silences are looked at. */
const tickMs = 1_000
const anyBirth = 'spBv1.0/+/NBIRTH/+'
/** Births of others may be large; larger ones do not come through the connection. */
const birthLimits = { maxBytes: 4 * 1024 * 1024, maxMetrics: 200_000 }
const signsOfLife = new Set(['NBIRTH', 'NDATA', 'DBIRTH', 'DDATA', 'DDEATH'])

/**
 * Each watched node is a device of the monitor's edge node, with `Alerts/Offline`. Whatever it publishes, but for its death and for
 * what a server kept, is a sign of life and clears the alert at once. Silence counts only while the monitor is connected itself.
 *
 * Requests for a rebirth are spread over half an interval, so that a hundred nodes whose link broke together are not all asked, and do
 * not all answer, in the same moment. They are repeated while the silence lasts, once in each interval.
 */
export function createWatchedNodes({
  nodes,
  secrets,
  edgeNode,
  clock,
  log,
  random = Math.random,
}: {
  nodes: Pick<Cache<SparkplugNode>, 'values' | 'subscribe'>
  secrets?: Pick<Cache<SecretView>, 'subscribe'> | undefined
  edgeNode: Pick<EdgeNode, 'attach' | 'setDevice' | 'removeDevice' | 'update'>
  clock: Clock
  log: Log
  random?: () => number
}): WatchedNodes {
  const watched = new Map<string, Watched>()
  const byAddress = new Map<string, Set<Watched>>()
  const ending = new AbortController()
  const forget: (() => void)[] = []
  let session: GuestSession | undefined
  let running = Promise.resolve()

  function add(spec: SparkplugNode): void {
    const key = keyOf(spec.metadata)
    const before = watched.get(key)
    if (before !== undefined && isSame(before.spec, spec)) {
      before.spec = spec
      return
    }
    if (before !== undefined) unlink(before)
    const now = clock.monotonic()
    const entry: Watched = {
      key,
      spec,
      device: deviceId('sparkplug-node', key.replace('/', '.')),
      address: spec.address,
      isOffline: undefined,
      wasHeard: false,
      since: now,
      lastSeen: undefined,
      isDead: false,
      bdSeq: undefined,
      askAt: now + patience(spec),
      requests: 0,
      isReloadDue: false,
    }
    watched.set(key, entry)
    link(entry)
    edgeNode.setDevice(entry.device, metricsOf(entry))
  }

  function remove(key: string): void {
    const entry = watched.get(key)
    if (entry === undefined) return
    unlink(entry)
    watched.delete(key)
    edgeNode.removeDevice(entry.device)
  }

  /** Listens to the node, if it is known where it is. */
  function link(entry: Watched): void {
    if (entry.address === undefined) {
      session?.subscribe([anyBirth])
      return
    }
    const at = addressKey(entry.address)
    const others = byAddress.get(at)
    if (others !== undefined) others.add(entry)
    else {
      byAddress.set(at, new Set([entry]))
      session?.subscribe(filtersOf(entry.address))
    }
  }

  function unlink(entry: Watched): void {
    if (entry.address === undefined) return
    const at = addressKey(entry.address)
    const others = byAddress.get(at)
    others?.delete(entry)
    if (others?.size !== 0) return
    byAddress.delete(at)
    session?.unsubscribe(filtersOf(entry.address))
  }

  function online(given: GuestSession): void {
    session = given
    const now = clock.monotonic()
    const filters = new Set<string>()
    for (const entry of watched.values()) {
      // What happened while nobody could listen is not held against it.
      entry.since = now
      entry.wasHeard = false
      // A birth may have been missed.
      entry.bdSeq = undefined
      entry.askAt = now + patience(entry.spec)
      if (entry.address === undefined || entry.spec.address === undefined) filters.add(anyBirth)
      if (entry.address !== undefined) for (const filter of filtersOf(entry.address)) filters.add(filter)
    }
    given.subscribe([...filters])
  }

  function message(topic: string, payload: Buffer, isRetained: boolean): void {
    const read = readTopic(topic)
    if (read === undefined || isRetained) return
    if (read.verb === 'NBIRTH') learn(read, payload)
    const concerned = byAddress.get(addressKey(read))
    if (concerned === undefined) return
    const bdSeq = read.verb === 'NBIRTH' || read.verb === 'NDEATH' ? bdSeqOf(payload) : undefined
    for (const entry of concerned) {
      if (read.verb === 'NDEATH') die(entry, bdSeq)
      else if (signsOfLife.has(read.verb)) {
        if (read.verb === 'NBIRTH') entry.bdSeq = bdSeq
        hear(entry)
      }
    }
  }

  /** The will of an earlier session may come late, and says nothing about the present one [tck-id-payloads-ndeath-bdseq]. */
  function die(entry: Watched, bdSeq: number | undefined): void {
    const isOfAnother = bdSeq !== undefined && entry.bdSeq !== undefined && bdSeq !== entry.bdSeq
    if (!isOfAnother) entry.isDead = true
  }

  function hear(entry: Watched): void {
    const now = clock.monotonic()
    if (entry.isOffline) log.info({ sparkplugNode: entry.key }, 'watched node is alive again')
    entry.wasHeard = true
    entry.isDead = false
    entry.since = now
    entry.lastSeen = clock.now()
    entry.askAt = now + patience(entry.spec)
    entry.isOffline = false
    tell(entry)
  }

  /** A birth may be that of a node of which only the UUID is known, or of one that moved. */
  function learn({ group, node }: NodeAddress, payload: Buffer): void {
    const sought = [...watched.values()].filter(
      ({ spec, address, isOffline }) =>
        spec.address === undefined && spec.uuid !== undefined && (address === undefined || isOffline === true),
    )
    if (sought.length === 0) return
    const uuid = uuidOf(payload)
    for (const entry of sought) {
      const isThere = entry.address?.group === group && entry.address.node === node
      if (uuid === undefined || entry.spec.uuid !== uuid || isThere) continue
      unlink(entry)
      entry.address = { group, node }
      link(entry)
      log.info({ sparkplugNode: entry.key, group, node }, 'watched node found by its UUID')
    }
  }

  function tick(): void {
    if (session === undefined) return
    const now = clock.monotonic()
    for (const entry of watched.values()) {
      if (entry.isReloadDue && command(entry, entry.spec.reloadMetric)) {
        entry.isReloadDue = false
        log.info({ sparkplugNode: entry.key }, 'watched node asked to reload')
      }
      if (now >= entry.askAt) {
        entry.askAt = now + patience(entry.spec)
        if (command(entry, controls.rebirth)) entry.requests++
        tell(entry)
      }
      if (now - entry.since >= 3 * entry.spec.intervalMs && !entry.isOffline) {
        entry.isOffline = true
        log.warn({ sparkplugNode: entry.key, ...entry.address, lastSeen: entry.lastSeen }, 'watched node is offline')
        tell(entry)
      }
    }
  }

  /** An NCMD has a time and no seq [tck-id-payloads-ncmd-timestamp] [tck-id-payloads-ncmd-seq]. */
  function command({ address }: Watched, name: string): boolean {
    if (address === undefined || session === undefined) return false
    const timestamp = clock.now()
    return session.sendCommand(address, encodeData([{ name, datatype: 'Boolean', value: true, timestamp }], { timestamp }))
  }

  function patience({ intervalMs }: SparkplugNode): number {
    return intervalMs * (1 + random() / 2)
  }

  function tell(entry: Watched): void {
    edgeNode.update(
      entry.device,
      metricsOf(entry).map(({ name, value }) => ({ name, value })),
    )
  }

  function state(key: string): WatchedState | undefined {
    const entry = watched.get(key)
    if (entry === undefined) return undefined
    const silentMs = session === undefined ? undefined : clock.monotonic() - entry.since
    const { address, lastSeen, isDead, requests } = entry
    return { liveness: livenessOf(entry, silentMs), address, lastSeen, silentMs, isDead, rebirthRequests: requests }
  }

  return {
    name: 'watched-nodes',
    state,
    keys: () => [...watched.keys()],
    async start() {
      for (const node of nodes.values()) add(node)
      forget.push(
        nodes.subscribe((change) => (change.type === 'removed' ? remove(change.key) : add(change.object))),
        edgeNode.attach({
          online,
          offline: () => {
            session = undefined
          },
          message,
        }),
      )
      // From now on: the Secrets that are there already are those that the nodes have.
      const ended = secrets?.subscribe((change) => {
        const isNews = change.type === 'added' || (change.type === 'changed' && change.object.fingerprint !== change.previous.fingerprint)
        const { name, namespace } = change.object.metadata
        for (const entry of watched.values()) {
          if (isNews && entry.spec.metadata.namespace === namespace && entry.spec.secrets.includes(name)) entry.isReloadDue = true
        }
      })
      if (ended !== undefined) forget.push(ended)
      running = (async () => {
        for (;;) {
          await clock.sleep(tickMs, ending.signal)
          tick()
        }
      })().catch((error: unknown) => {
        if (!ending.signal.aborted) log.error({ err: error }, 'watched nodes are no longer watched')
      })
    },
    async stop() {
      ending.abort(new Error('told to stop'))
      for (const end of forget.splice(0)) end()
      await running
    },
  }
}

function livenessOf({ isOffline, wasHeard, spec }: Watched, silentMs: number | undefined): Liveness {
  if (silentMs === undefined) return 'unknown'
  if (isOffline) return 'offline'
  if (silentMs >= spec.intervalMs) return 'silent'
  return wasHeard ? 'alive' : 'unknown'
}

function metricsOf({ isOffline, lastSeen, requests, address, spec }: Watched): SparkplugMetric[] {
  return [
    { name: 'Alerts/Offline', datatype: 'Boolean', value: isOffline ?? null, description: 'Nothing was heard of it for three intervals' },
    {
      name: 'Last Seen',
      datatype: 'DateTime',
      value: lastSeen ?? null,
      // Else every message of the node would make one of ours.
      deadband: spec.intervalMs,
      description: 'When it last gave a sign of life',
    },
    { name: 'Rebirth Requests', datatype: 'UInt32', value: requests, description: 'How often it was asked for a rebirth' },
    {
      name: 'Address',
      datatype: 'String',
      value: address === undefined ? null : addressKey(address),
      description: 'Its group and node id',
    },
    { name: 'Interval', datatype: 'UInt32', value: Math.round(spec.intervalMs / 1000), unit: 's', description: 'Silence that is allowed' },
  ]
}

function addressKey({ group, node }: NodeAddress): string {
  return `${group}/${node}`
}

/** Everything that is about it or its devices. Commands to it are among them and are no sign of life. */
function filtersOf({ group, node }: NodeAddress): string[] {
  return [`spBv1.0/${group}/+/${node}`, `spBv1.0/${group}/+/${node}/+`]
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
