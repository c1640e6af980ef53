import type { Clock } from '../../shared/clock.ts'
import type { Part } from '../../shared/lifecycle.ts'
import type { Log } from '../../shared/log.ts'
import type { Prober } from '../prober/check.ts'
import type { EdgeNode } from '../sparkplug/edge-node.ts'
import { quality } from '../sparkplug/payload.ts'
import { deviceId } from '../sparkplug/topics.ts'
import type { WatchedNodes } from '../sparkplug/watched-nodes.ts'
import { collections, isCurrent, type MonitorCaches } from './caches.ts'
import type { ComponentConfig } from './config.ts'
import { checkDevices } from './devices/checks.ts'
import { componentDevices } from './devices/component.ts'
import { databaseDevices } from './devices/database.ts'
import type { DeviceFamily, Source } from './devices/family.ts'
import { hostDevices } from './devices/host.ts'
import { nodeMetrics, type RegionFacts } from './devices/node.ts'
import { createPodTotals } from './pod-totals.ts'

export type { RegionFacts } from './devices/node.ts'

/** What the model of a region is made from. */
export type RegionModelParts = {
  /** Left out where there is no cluster: only the checks are published then. */
  caches?: MonitorCaches | undefined
  components?: readonly ComponentConfig[]
  prober: Pick<Prober, 'statuses' | 'status' | 'subscribe' | 'stall'>
  edgeNode: Pick<EdgeNode, 'setNode' | 'setDevice' | 'removeDevice' | 'update' | 'setQuality'>
  watched?: Pick<WatchedNodes, 'keys' | 'state'> | undefined
  facts: RegionFacts
  clock: Clock
  log: Log
}

/** Changes are gathered for so long, in milliseconds: a pod that starts changes four times within a second. */
const gatherMs = 100
/** How often it is looked whether the sources can be read, in milliseconds. */
const lookMs = 5_000
/** Devices that are told of in one go, so that a thousand that come together hold nothing up. */
const devicesAtOnce = 50

/** What changed of a device: some parts, or all of it. */
type Change = Set<string> | 'all'

/** A family, its devices that were published, and those that changed since. */
type Row = { family: DeviceFamily; published: Set<string>; changed: Map<string, Change>; isStale: boolean }

/**
 * Tells the edge node what the region is: metrics of the node for the cluster as a whole, and devices for hosts, databases, components
 * and groups of checks. (Watched edge nodes make their own devices.) Ids are `host:<node>`, `database:<project>.<id>`,
 * `component:<name>` and `checks:<group>`, by `deviceId`.
 *
 * Start it after the caches and before the edge node, so that the births of the first connection carry everything that is known. What
 * comes and goes after that becomes DBIRTH and DDEATH. A source that cannot be read, be it a watch or a prober that stalls, makes what
 * was learnt from it stale, values kept.
 */
export function createRegionModel(parts: RegionModelParts): Part {
  const { caches, components = [], prober, edgeNode, clock, log } = parts
  const totals = caches && createPodTotals(caches.pods)
  const families = [
    ...(caches && totals
      ? [hostDevices(caches, totals), databaseDevices(caches, totals, prober), componentDevices(caches, components)]
      : []),
    checkDevices(prober),
  ]
  const rows: Row[] = families.map((family) => ({ family, published: new Set(), changed: new Map(), isStale: false }))
  const ending = new AbortController()
  const forget: (() => void)[] = []
  let telling: Promise<void> | undefined
  let looking = Promise.resolve()
  let stale = new Set<Source>()
  let isNodeRefused = false

  function lookAtSources(): void {
    const now = clock.monotonic()
    stale = new Set<Source>(collections.filter((name) => caches !== undefined && !isCurrent(caches[name], now)))
    if (prober.stall() !== undefined) stale.add('prober')
  }

  function touch(row: Row, key: string, part: string | undefined): void {
    const known = row.changed.get(key)
    if (part === undefined || known === 'all') row.changed.set(key, 'all')
    else if (known) known.add(part)
    else row.changed.set(key, new Set([part]))
    gather()
  }

  function gather(): void {
    telling ??= clock
      .sleep(gatherMs, ending.signal)
      .then(tellChanges)
      .catch((error: unknown) => {
        if (!ending.signal.aborted) log.error({ err: error }, 'the region could not be told of')
      })
      .finally(() => {
        telling = undefined
        if (!ending.signal.aborted && rows.some(({ changed }) => changed.size > 0)) gather()
      })
  }

  async function tellChanges(): Promise<void> {
    let told = 0
    for (const row of rows) {
      for (const [key, change] of row.changed) {
        row.changed.delete(key)
        tellDevice(row, key, change)
        if (++told % devicesAtOnce === 0) await new Promise(setImmediate)
        if (ending.signal.aborted) return
      }
    }
    tellNode()
  }

  function tellDevice({ family, published, isStale }: Row, key: string, change: Change): void {
    const id = deviceId(family.kind, key)
    const withQuality = { quality: isStale ? quality.stale : quality.good }
    try {
      if (change !== 'all' && published.has(id) && family.part !== undefined) {
        for (const part of change) {
          const metrics = family.part(key, part)
          edgeNode.update(
            id,
            metrics.map(({ name, value }) => ({ name, value, ...withQuality })),
          )
        }
        return
      }
      const metrics = family.metrics(key)
      if (metrics !== undefined) {
        edgeNode.setDevice(
          id,
          metrics.map((metric) => ({ ...metric, ...withQuality })),
        )
        published.add(id)
      } else if (published.delete(id)) edgeNode.removeDevice(id)
    } catch (error) {
      log.error({ err: error, device: id }, 'a device cannot be published as it is')
    }
  }

  function tellNode(): void {
    try {
      edgeNode.setNode(nodeMetrics({ ...parts, totals, components }, (source) => stale.has(source)))
      isNodeRefused = false
    } catch (error) {
      // Said once: it is tried every few seconds.
      if (!isNodeRefused) log.error({ err: error }, 'the node cannot be published as it is')
      isNodeRefused = true
    }
  }

  /** Tells of sources that broke or came back. */
  function tellQualities(): void {
    lookAtSources()
    for (const row of rows) {
      const isStale = row.family.sources.some((source) => stale.has(source))
      if (isStale === row.isStale) continue
      row.isStale = isStale
      const { kind, sources } = row.family
      if (isStale) log.warn({ devices: kind, sources: sources.filter((source) => stale.has(source)) }, 'devices are stale')
      else log.info({ devices: kind }, 'devices are current again')
      for (const id of row.published) edgeNode.setQuality(id, isStale ? quality.stale : quality.good)
    }
    // What no watch tells of is looked at here: the version of the cluster, and the watched nodes.
    tellNode()
  }

  return {
    name: 'region model',
    async start() {
      lookAtSources()
      for (const row of rows) {
        row.isStale = row.family.sources.some((source) => stale.has(source))
        for (const key of row.family.keys()) tellDevice(row, key, 'all')
        forget.push(row.family.follow((key, part) => touch(row, key, part)))
      }
      // What makes no difference to a device may make one to the node: a project, or a pod that waits for a host.
      if (caches && totals) forget.push(caches.projects.subscribe(gather), totals.subscribe(gather))
      tellNode()
      looking = (async () => {
        for (;;) {
          await clock.sleep(lookMs, ending.signal)
          try {
            tellQualities()
          } catch (error) {
            log.error({ err: error }, 'what is stale could not be told')
          }
        }
      })().catch(() => {}) // told to stop
    },
    async stop() {
      ending.abort(new Error('told to stop'))
      for (const end of forget.splice(0)) end()
      totals?.close()
      await Promise.all([telling, looking])
    },
  }
}
