import type { Cache } from '../../../shared/kubernetes/cache.ts'
import type { LeaseStanding } from '../../../shared/kubernetes/lease.ts'
import type { KubernetesObject } from '../../../shared/kubernetes/objects.ts'
import { version } from '../../../shared/version.ts'
import { readBackupState } from '../../backups/state.ts'
import { type AgedSource, agesOf } from '../../region/age.ts'
import { amrcHostsOf, capacityOf, hostsOf, isSameHost, operatorStateOf, storageClassesOf } from '../../region/status.ts'
import { isFollowed } from '../../region/where-served.ts'
import { hasIdleBackups } from '../../resources/backup-image.ts'
import { readDatabase } from '../../resources/cratedb.ts'
import { projectOf, projectOfTarget } from '../../resources/kind.ts'
import { label } from '../../resources/labels.ts'
import type { RetainedDatabase } from '../../resources/retained-database.ts'
import { shownRetained } from '../../resources/retained-keeping.ts'
import { type TunnelInUse, tunnelStateOf } from '../../tunnel/state.ts'
import { operatorAt, type ResourceParts } from '../resource.ts'
import { clockShown } from './clock.ts'
import { DatabaseStates } from './database-states.ts'
import { exportShown } from './export.ts'
import { linkShown } from './link.ts'
import { regionBlockers } from './region-blockers.ts'
import { type Bounded, bounds, withinBytes } from './region-bounds.ts'
import { platformOf } from './region-platform.ts'
import type { RegionDocument } from './region-schema.ts'
import { noneRetained } from './retained-sum.ts'

type RegionDocumentParts = Pick<
  ResourceParts,
  | 'config'
  | 'caches'
  | 'operator'
  | 'kubernetes'
  | 'clocks'
  | 'lease'
  | 'tunnel'
  | 'meter'
  | 'stack'
  | 'recovery'
  | 'views'
  | 'accepted'
  | 'actions'
  | 'journal'
  | 'clock'
>

/** Whose projects count; undefined for everybody who sees the whole region. */
type Bound = ReadonlySet<string> | undefined

/** The document of the region, for the API and for the cloud. */
export class RegionDocumentMaker {
  readonly #parts: RegionDocumentParts
  readonly #states: DatabaseStates
  /** What the fields are made from; absent ones are made from what this process itself knows. */
  readonly #sources: Record<string, AgedSource[]>
  // biome-ignore lint/suspicious/noExplicitAny: each has objects of its own type
  readonly #caches: readonly Cache<any>[]

  constructor(parts: RegionDocumentParts) {
    const { caches, operator, tunnel, stack, clocks, recovery } = parts
    const { nodes, storageClasses, databases, projects, statefulSets, pods, services, operations, ledger } = caches
    const { workloads, ingressClasses, csiDrivers, sealing } = stack
    this.#parts = parts
    this.#states = new DatabaseStates({ accepted: parts.accepted, views: parts.views.databases })
    this.#sources = {
      hosts: [nodes],
      amrc: [nodes],
      storageClasses: [storageClasses],
      capacity: [nodes, databases, projects],
      databases: [databases],
      databaseStates: [databases, statefulSets, pods, operations],
      backups: [databases],
      projects: [projects],
      retained: [caches.retained],
      operator: [operator],
      components: [...workloads],
      platform: [nodes, storageClasses, ingressClasses, csiDrivers],
      sealing: [sealing],
      blockers: [operations, projects],
      ledger: [operations, ledger],
      clock: [clocks.nodesFrom],
      ...(recovery.cache && { export: [recovery.cache] }),
      ...(tunnel && { tunnel: [tunnel.caches.deployment, tunnel.caches.configuration] }),
    }
    const ofTunnel = tunnel ? Object.values(tunnel.caches) : []
    const ofStack = [...workloads, ingressClasses, csiDrivers]
    const ofDatabases = [databases, statefulSets, pods, services, operations]
    const ofExport = recovery.cache ? [recovery.cache] : []
    this.#caches = [
      nodes,
      storageClasses,
      projects,
      caches.retained,
      operator,
      ledger,
      ...ofDatabases,
      ...ofStack,
      ...ofTunnel,
      ...ofExport,
    ]
  }

  /** Calls the listener when the document may have changed. Returns the functions that unsubscribe. */
  subscribe(changed: () => void): (() => void)[] {
    const { caches, stack } = this.#parts
    const others = this.#caches.filter((cache) => cache !== caches.nodes)
    return [
      caches.nodes.subscribe(({ object, previous }) => {
        if (previous === undefined || !isSameHost(object, previous)) changed()
      }),
      ...others.map((cache) => cache.subscribe(changed)),
      ...this.#caches.map((cache) => cache.onTrouble(changed)),
      stack.sealing.subscribe(changed),
    ]
  }

  /** The same as long as the document is. */
  madeFrom(): string {
    const { kubernetes, lease, clock, clocks, stack, meter } = this.#parts
    const versions = this.#caches.map(({ version, synced }) => `${version}${synced}`)
    const { current } = stack.sealing
    const others = [
      kubernetes.current,
      leaderShown(lease.standing()),
      current?.fingerprint,
      clockShown(clocks.shown()),
      meter && linkShown(meter.standing()),
      agesOf(this.#sources, clock),
    ]
    return [...versions, JSON.stringify(others)].join(' ')
  }

  /** @param bound the only projects that count; undefined for all */
  shown(bound: Bound): RegionDocument {
    const { config, caches, operator, kubernetes, clocks, lease } = this.#parts
    const { nodes, storageClasses, databases, projects, operations } = caches
    const counts = (project: string | undefined) => bound === undefined || (project !== undefined && bound.has(project))
    const seen = {
      databases: [...databases.values()].filter(({ metadata }) => counts(projectOf(metadata.namespace ?? ''))),
      projects: [...projects.values()].filter(({ metadata }) => counts(metadata.name)),
    }
    const seenOperations = [...operations.values()].filter(({ spec }) => counts(projectOfTarget(spec.target)))
    const document: Omit<RegionDocument, 'parts'> & Bounded = {
      id: config.region.id,
      name: config.region.name ?? null,
      ...(config.cloud && { tags: config.cloud.tags }),
      agent: { version },
      kubernetes: { version: kubernetes.current ?? null },
      hosts: hostsOf(nodes.values()),
      storageClasses: storageClassesOf(storageClasses.values()),
      capacity: capacityOf({ nodes: nodes.values(), ...seen }),
      databases: seen.databases.length,
      databaseStates: Object.fromEntries(this.#states.all(this.#around(), counts)),
      backups: backupsShown(seen.databases),
      projects: seen.projects.length,
      ...(isFollowed(caches.retained) && { retained: retainedShown(caches.retained.values(), counts) }),
      leader: leaderShown(lease.standing()),
      operator: operatorStateOf(operator, operatorAt(config)),
      tunnel: null,
      clock: clockShown(clocks.shown()),
      blockers: regionBlockers(seenOperations, seen.projects),
      ...(bound === undefined && this.#ofTheWhole()),
    }
    return withinBytes({ ...document, parts: this.#ages(document) })
  }

  /** Who sees some projects only is not told how the region itself is. */
  #ofTheWhole(): Partial<RegionDocument> {
    const { caches, tunnel, stack, journal, meter, recovery } = this.#parts
    const { nodes } = caches
    const { current: sealing } = stack.sealing
    const isKnown = (sources: readonly AgedSource[] = []) => sources.every(({ heardAt }) => heardAt !== undefined)
    return {
      tunnel: tunnel === undefined ? null : tunnelShown(tunnel),
      ...(recovery.cache && { export: exportShown(recovery.places, recovery.state()) }),
      ...(meter && { link: linkShown(meter.standing()) }),
      ...(isKnown(this.#sources.components) && { components: stack.components() }),
      ...(isKnown(this.#sources.platform) && { platform: platformOf(caches, stack) }),
      ...(sealing && { sealing }),
      ...(isKnown(this.#sources.ledger) && { ledger: journal.head() }),
      ...(nodes.size <= bounds.amrcHosts && {
        amrc: { hosts: amrcHostsOf(nodes.values()), ...(sealing && { kubeseal_cert: sealing.certificate }) },
      }),
    }
  }

  #around() {
    const { operator, config, caches, actions } = this.#parts
    return { operator: operatorStateOf(operator, operatorAt(config)), trouble: caches.databases.trouble, actions }
  }

  /** Of the fields that are shown. */
  #ages(document: object): RegionDocument['parts'] {
    const shown = Object.entries(this.#sources).filter(([field]) => (document as Record<string, unknown>)[field] != null)
    return agesOf(Object.fromEntries(shown), this.#parts.clock)
  }
}

function backupsShown(all: readonly KubernetesObject[]): RegionDocument['backups'] {
  // What a rehearsal made is gone in a moment, and nobody misses a backup of it.
  const databases = all.filter(({ metadata }) => metadata.labels?.[label.rehearsal] === undefined)
  const scheduled = databases.filter(isBackedUp).length
  const failing = databases.filter((object) => (readBackupState(object).failures ?? 0) > 0).length
  return { scheduled, unscheduled: databases.length - scheduled, failing }
}

/** By Skerry, or by the Crate Operator, which may have made no job for it. */
function isBackedUp(cratedb: KubernetesObject): boolean {
  const { snapshots } = readDatabase(cratedb)
  return snapshots?.schedule !== undefined || (cratedb.spec?.backups !== undefined && !hasIdleBackups(cratedb))
}

function retainedShown(records: Iterable<RetainedDatabase>, counts: (project: string) => boolean): RegionDocument['retained'] {
  const seen = [...records].filter(({ spec }) => counts(spec.project))
  return { ...noneRetained, ...shownRetained(seen) }
}

function leaderShown({ state, holder, trouble }: LeaseStanding): RegionDocument['leader'] {
  return { state, holder: holder ?? null, trouble: trouble ?? null }
}

function tunnelShown({ tunnel, caches }: TunnelInUse): NonNullable<RegionDocument['tunnel']> {
  const { exposed, cloudflared, onDemand, configuration, lastError } = tunnelStateOf(tunnel, caches)
  const alsoExposed = exposed.filter(({ what }) => what !== 'agent').map(({ hostname }) => hostname)
  return { hostname: tunnel.agent.hostname, alsoExposed, cloudflared, onDemand, configuration, lastError }
}
