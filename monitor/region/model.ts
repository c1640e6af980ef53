import type { Clock } from '../../shared/clock.ts'
import type { Part } from '../../shared/lifecycle.ts'
import type { Log } from '../../shared/log.ts'
import type { Prober } from '../prober/check.ts'
import type { EdgeNode } from '../sparkplug/edge-node.ts'
import type { WatchedNodes } from '../sparkplug/watched-nodes.ts'
import { collections, isCurrent, type MonitorCaches } from './caches.ts'
import type { ComponentConfig } from './config.ts'
import { checkDevices } from './devices/check-devices.ts'
import { componentDevices } from './devices/component.ts'
import { databaseDevices } from './devices/database.ts'
import type { Source } from './devices/family.ts'
import { hostDevices } from './devices/host.ts'
import { nodeMetrics, type OwnClock, type RegionFacts } from './devices/node.ts'
import { createPublishedDevices, type PublishedDevices } from './devices/published.ts'
import { createPodTotals, type PodTotals } from './pod-totals.ts'

/** The parts that the model of a region is made from. */
export type RegionModelParts = {
  /** Left out without a cluster: then only the checks are published. */
  caches?: MonitorCaches | undefined
  components?: readonly ComponentConfig[]
  prober: Pick<Prober, 'statuses' | 'status' | 'subscribe' | 'stall'>
  edgeNode: Pick<EdgeNode, 'packetLimit' | 'deviceId' | 'setNode' | 'setDevice' | 'removeDevice' | 'update' | 'setQuality'>
  watched?: Pick<WatchedNodes, 'keys' | 'state'> | undefined
  clocks?: OwnClock | undefined
  facts: RegionFacts
  clock: Clock
  log: Log
}

/** How long changes are gathered, in milliseconds: a pod that starts changes four times within a second. */
const gatherMs = 100
/** How often the model looks whether its sources can be read, in milliseconds. */
const lookMs = 5_000
/** After so many devices in a row the event loop gets a turn, so that a thousand that come together do not block it. */
const devicesAtOnce = 50

/**
 * Publishes the state of the region: metrics of the node for the cluster as a whole, and devices for hosts, databases, components and groups
 * of checks. (Watched edge nodes make their own devices.) Ids are `host:<node>`, `database:<project>:<id>`, `component:<name>` and
 * `checks:<group>`, by the edge node's `deviceId`.
 *
 * Start it after the caches and before the edge node, so that the births of the first connection carry everything that is known. What
 * comes and goes after that becomes DBIRTH and DDEATH. When a source cannot be read (a broken watch, a stalled prober), everything from it
 * becomes stale; the values stay.
 */
export class RegionModel implements Part {
  readonly name = 'region model'
  readonly #parts: RegionModelParts
  readonly #totals: PodTotals | undefined
  readonly #families: readonly PublishedDevices[]
  readonly #ending = new AbortController()
  readonly #forget: (() => void)[] = []
  /** Sources that cannot be read now. */
  #stale: ReadonlySet<Source> = new Set()
  #isNodeRefused = false
  #publishing: Promise<void> | undefined
  #looking: Promise<void> = Promise.resolve()

  constructor(parts: RegionModelParts) {
    const { caches, components = [], prober, edgeNode } = parts
    this.#parts = parts
    const totals = caches && createPodTotals(caches.pods)
    this.#totals = totals
    const ofCluster =
      caches && totals ? [hostDevices(caches, totals), databaseDevices(caches, totals, prober), componentDevices(caches, components)] : []
    this.#families = [...ofCluster, checkDevices(prober, edgeNode.packetLimit)].map((family) => createPublishedDevices(family, parts))
  }

  async start(): Promise<void> {
    const { caches } = this.#parts
    const gather = () => this.#gather()
    this.#lookAtSources()
    for (const family of this.#families) this.#forget.push(family.start(this.#stale, gather))
    // A limit becomes known before the births on a server: what depends on it must be in them.
    this.#forget.push(this.#parts.edgeNode.packetLimit.onChange(() => this.#publishAtOnce()))
    // What changes no device may change the node: a project, or a pod that waits for a host.
    if (caches && this.#totals)
      this.#forget.push(caches.projects.subscribe(gather), caches.registrations.subscribe(gather), this.#totals.subscribe(gather))
    this.#publishNode()
    this.#looking = this.#keepLooking().catch(() => {}) // stopping
  }

  async stop(): Promise<void> {
    this.#ending.abort(new Error('stopping'))
    for (const end of this.#forget.splice(0)) end()
    this.#totals?.close()
    await Promise.all([this.#publishing, this.#looking])
  }

  #lookAtSources(): void {
    const { caches, prober, clock } = this.#parts
    const now = clock.monotonic()
    const stale = new Set<Source>(collections.filter((name) => caches !== undefined && !isCurrent(caches[name], now)))
    if (prober.stall() !== undefined) stale.add('prober')
    this.#stale = stale
  }

  /** Publishes changes after a pause, and repeats that while there are any. */
  #gather(): void {
    const { clock, log } = this.#parts
    const { signal } = this.#ending
    this.#publishing ??= clock
      .sleep(gatherMs, signal)
      .then(() => this.#publishChanges())
      .catch((error: unknown) => {
        if (!signal.aborted) log.error({ err: error }, 'changes of the region cannot be published')
      })
      .finally(() => {
        this.#publishing = undefined
        if (!signal.aborted && this.#families.some(({ hasChanges }) => hasChanges())) this.#gather()
      })
  }

  #publishAtOnce(): void {
    for (const family of this.#families) for (const _ of family.publishChanges());
  }

  async #publishChanges(): Promise<void> {
    let published = 0
    for (const family of this.#families) {
      for (const _ of family.publishChanges()) {
        if (++published % devicesAtOnce === 0) await new Promise(setImmediate)
        if (this.#ending.signal.aborted) return
      }
    }
    this.#publishNode()
  }

  #publishNode(): void {
    const { edgeNode, components = [], log } = this.#parts
    try {
      edgeNode.setNode(nodeMetrics({ ...this.#parts, totals: this.#totals, components }, (source) => this.#stale.has(source)))
      this.#isNodeRefused = false
    } catch (error) {
      // Logged once: it is tried every few seconds.
      if (!this.#isNodeRefused) log.error({ err: error }, 'the node cannot be published as it is')
      this.#isNodeRefused = true
    }
  }

  async #keepLooking(): Promise<void> {
    const { clock, log } = this.#parts
    for (;;) {
      await clock.sleep(lookMs, this.#ending.signal)
      try {
        this.#lookAtSources()
        for (const family of this.#families) family.setQuality(this.#stale)
        // What no watch reports is looked at here: the version of the cluster, and the watched nodes.
        this.#publishNode()
      } catch (error) {
        log.error({ err: error }, 'the quality of devices cannot be published')
      }
    }
  }
}
