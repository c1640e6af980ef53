import type { Clock } from '../../shared/clock.ts'
import { isProblem, Problem } from '../../shared/errors.ts'
import type { Cache } from '../../shared/kubernetes/cache.ts'
import type { Cluster } from '../../shared/kubernetes/connection.ts'
import { type KubernetesObject, keyOf, kinds, pathOf } from '../../shared/kubernetes/objects.ts'
import { readObject } from '../../shared/kubernetes/read.ts'
import { version } from '../../shared/version.ts'
import type { Clocks } from '../clock/index.ts'
import type { AcceptedResource, AcceptedState } from '../operations/accepted.ts'
import type { Journal } from '../operations/journal.ts'
import type { Caches } from '../region/caches.ts'
import type { Stack } from '../region/stack.ts'
import { unsupportedParts } from '../resources/adopted.ts'
import type { StoredDatabaseSpec } from '../resources/database.ts'
import { namespaceOf } from '../resources/kind.ts'
import type { RetainedDatabase } from '../resources/retained-database.ts'
import { type TunnelInUse, tunnelStateOf } from '../tunnel/state.ts'
import { backupPlacesOf } from './backup-places.ts'
import { CanonicalText, canonicalText } from './canonical.ts'
import { type RegionContent, regionFileBounds, regionFileVersion } from './region-file.ts'
import { type RegionVolumes, readVolumes } from './volumes.ts'
import type { RegionSource } from './writing.ts'

export type MakerParts = {
  config: { region: { id: string; name?: string | undefined } }
  caches: Pick<Caches, (typeof needed)[number]>
  accepted: AcceptedState
  journal: Pick<Journal, 'head'>
  kubernetes: { readonly current: string | undefined }
  clocks: Pick<Clocks, 'read'>
  stack: Pick<Stack, 'components' | 'workloads'>
  tunnel?: TunnelInUse | undefined
  cluster: Pick<Cluster, 'request'>
  clock: Pick<Clock, 'now'>
}

/** What has to be read before a file says anything. */
const needed = ['projects', 'databases', 'operations', 'ledger', 'retained'] as const

/** The document without the encrypted part, and whose secrets belong into that. */
export type MadeDocument = {
  document: RegionSource
  databases: { project: string; spec: StoredDatabaseSpec }[]
  retained: readonly RetainedDatabase[]
}

/** Makes the document of the region file from what the region is at that moment. */
export class RegionMaker {
  readonly #parts: MakerParts
  #clusterId: string | undefined

  constructor(parts: MakerParts) {
    this.#parts = parts
  }

  /**
   * Its long lists are made while they are written, from what stood at the moment of the call.
   * @throws Problem `not-ready` while something of the cluster is not known, `wrong-state` for a region that no file holds, and those of
   *   `Cluster.request`
   */
  async make(signal: AbortSignal): Promise<MadeDocument> {
    const { config, cluster, caches, accepted, journal, kubernetes, clocks, stack, tunnel, clock } = this.#parts
    this.#mustKnow()
    this.#clusterId ??= (await readObject(cluster, pathOf(kinds.Namespace, undefined, 'kube-system')))?.metadata.uid
    const volumes = await readVolumes(cluster, (namespace) => namesIn(caches.databases, namespace), signal)
    const { id, name } = config.region
    const { cloud, apiServer } = clocks.read()
    const projects = accepted.projects().filter(({ leaving, object }) => !leaving || object !== undefined)
    const retained = [...caches.retained.values()].sort(byName)
    const databases = projects.flatMap(({ spec }) => databasesOf(accepted, spec.id, retained))
    for (const [what, { length }] of Object.entries({ projects, databases, retained })) mustFit(what, length)
    const document: RegionSource = {
      kind: 'SkerryRegion',
      version: regionFileVersion,
      region: { id, ...(name !== undefined && { name }) },
      createdAt: new Date(clock.now()).toISOString(),
      clock: { cloud: cloud ?? null, apiServer: apiServer ?? null },
      ledger: ledgerOf(journal.head()),
      kubernetes: { version: kubernetes.current ?? null, cluster: this.#clusterId ?? null },
      skerry: { version },
      components: componentsOf(stack),
      projects: projects.map(({ spec }) => spec),
      databases: entriesOf(databases, volumes),
      retained: deletionsOf(retained, volumes),
      deployments: [],
      backups: databases.flatMap(({ project, database }) => backupPlacesOf(id, project, database.spec)),
      tunnel: tunnel === undefined ? null : tunnelOf(tunnel),
    }
    return { document, databases: databases.map(({ project, database }) => ({ project, spec: database.spec })), retained }
  }

  /** A file that lacks what a cache has not listed yet would look as if it were gone. @throws Problem `not-ready` */
  #mustKnow(): void {
    for (const name of needed) {
      const cache = this.#parts.caches[name]
      // Without its CRD there are none.
      const isMissing = name === 'retained' && isProblem(cache.fault, 'not-served')
      if (!cache.synced && !isMissing) throw new Problem('not-ready', `The ${name} of the cluster have not been read yet.`)
    }
  }
}

function mustFit(what: string, count: number): void {
  const { entries } = regionFileBounds
  if (count > entries) throw new Problem('wrong-state', `The region has ${count} ${what}, and a region file holds ${entries} at the most.`)
}

function ledgerOf({ sequence, hash }: { sequence: number; hash: string }): RegionContent['ledger'] {
  return { sequence, hash }
}

function namesIn(databases: Cache<KubernetesObject>, namespace: string): string[] {
  return databases.in(namespace).map(({ metadata }) => metadata.name)
}

type Standing = { project: string; database: AcceptedResource<StoredDatabaseSpec> }

/** The databases of a project, but neither those that are going, of which a record is kept already, nor those of rehearsals. */
function databasesOf(accepted: AcceptedState, project: string, retained: readonly RetainedDatabase[]): Standing[] {
  const isKept = ({ spec, object }: AcceptedResource<StoredDatabaseSpec>) =>
    retained.some(({ spec: kept }) => kept.project === project && kept.database === spec.id && kept.uid === object?.metadata.uid)
  return accepted
    .databases(project)
    .filter(({ spec }) => spec.rehearsal === undefined)
    .filter((database) => !database.leaving || (database.object !== undefined && !isKept(database)))
    .map((database) => ({ project, database }))
}

function* entriesOf(databases: readonly Standing[], volumes: RegionVolumes): Generator<CanonicalText> {
  for (const { project, database } of databases) {
    const { spec, object } = database
    const isForeign = object !== undefined && unsupportedParts(object).length > 0
    const entry = { project, body: spec, ...(isForeign && { cratedb: crateDbOf(object) }) }
    yield withVolumes(entry, volumes.of(keyOf({ namespace: namespaceOf(project), name: spec.id })))
  }
}

function* deletionsOf(retained: readonly RetainedDatabase[], volumes: RegionVolumes): Generator<CanonicalText> {
  for (const { metadata, spec } of retained) {
    const found = spec.volumes.map(({ volume, uid }) => volumes.kept(volume, uid)).filter((text) => text !== undefined)
    yield withVolumes({ id: metadata.name, record: spec }, found)
  }
}

/** `volumes` is the last member of both kinds of entries in canonical order. */
function withVolumes(entry: object, volumes: readonly CanonicalText[]): CanonicalText {
  return new CanonicalText(`${canonicalText(entry).slice(0, -1)},"volumes":[${volumes.map(({ text }) => text).join(',')}]}`)
}

/** A CrateDB of another tool as it stands, without what the operator and kubectl noted down on it. */
function crateDbOf({ metadata, spec }: KubernetesObject) {
  const isNote = (name: string) => /^([^/]+\.)?(operator\.cloud\.crate\.io|kopf\.dev|zalando\.org|kubectl\.kubernetes\.io)\//.test(name)
  const annotations = Object.entries(metadata.annotations ?? {}).filter(([name]) => !isNote(name))
  return { labels: metadata.labels ?? {}, annotations: Object.fromEntries(annotations), spec }
}

/** Without their readiness, which changes while the region stays the same. None where the agent may not see them. */
function componentsOf(stack: MakerParts['stack']): RegionContent['components'] {
  if (stack.workloads.some(({ heardAt }) => heardAt === undefined)) return []
  return Object.entries(stack.components())
    .filter(([, { state }]) => state !== 'missing')
    .map(([name, { namespace, have, version }]) => ({
      name,
      ...(namespace !== undefined && { namespace }),
      ...(have !== undefined && { chart: have }),
      ...(version !== undefined && { version }),
    }))
    .sort((one, other) => (one.name < other.name ? -1 : 1))
}

function tunnelOf({ tunnel, caches }: TunnelInUse): RegionContent['tunnel'] {
  return { hostname: tunnel.agent.hostname, expose: { ...tunnelStateOf(tunnel, caches).expose } }
}

function byName(one: RetainedDatabase, other: RetainedDatabase): number {
  return one.metadata.name < other.metadata.name ? -1 : 1
}
