import { setImmediate as nextTurn } from 'node:timers/promises'
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
import { CanonicalText, canonicalText } from '../region-file/canonical.ts'
import { faultOfEntry } from '../region-file/reading.ts'
import { type listNames, mostLeftOut, type RegionContent, regionFileBounds, regionFileVersion } from '../region-file/schema.ts'
import type { RegionSource } from '../region-file/writing.ts'
import { unsupportedParts } from '../resources/adopted.ts'
import type { StoredDatabaseSpec } from '../resources/database.ts'
import { namespaceOf, projectOf } from '../resources/kind.ts'
import { type ProjectSpec, readProject } from '../resources/project.ts'
import type { RetainedDatabase } from '../resources/retained-database.ts'
import { type TunnelInUse, tunnelStateOf } from '../tunnel/state.ts'
import { backupPlacesOf } from './backup-places.ts'
import { type RegionVolumes, readVolumes } from './volumes.ts'

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
  /** How many it has. */
  projects: number
  databases: { project: string; spec: StoredDatabaseSpec }[]
  retained: readonly RetainedDatabase[]
}

/** What is left out of a file: one entry that no reader would take must not make the whole file one that none takes. */
class LeftOut {
  readonly out: { what: string; why: string }[]

  constructor(already: { what: string; why: string }[]) {
    this.out = already
  }

  /** Those that a reader takes. @param entry the name of one, and what the file would have of it, without volumes */
  async readable<T>(
    list: (typeof listNames)[number],
    all: readonly T[],
    entry: (each: T) => [name: string, entry: object],
    signal: AbortSignal,
  ): Promise<T[]> {
    const taken: T[] = []
    for (const [index, each] of all.entries()) {
      const [name, given] = entry(each)
      const why = faultOfEntry(list, list === 'projects' ? given : { ...given, volumes: [] })
      if (why === undefined) taken.push(each)
      else this.out.push({ what: `${list} ${name}`.slice(0, 500), why: why.slice(0, 1_000) })
      if (index % 100 !== 99) continue
      await nextTurn()
      signal.throwIfAborted()
    }
    return taken
  }
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
    const volumes = await readVolumes(cluster, (namespace) => caches.databases.in(namespace), signal)
    const { id, name } = config.region
    const { cloud, apiServer } = clocks.read()
    const left = new LeftOut(
      volumes.unreadable.map((volume) => ({ what: `volume ${volume}`, why: 'It is no volume that could be made again.' })),
    )
    const projects = await left.readable('projects', projectsOf(accepted, caches.databases), (spec) => [spec.id, spec], signal)
    const kept = [...caches.retained.values()].sort(byName)
    const standing = projects.flatMap(({ id: project }) => databasesOf(accepted, project, kept))
    const databases = await left.readable(
      'databases',
      standing,
      (each) => [`${each.project}/${each.database.spec.id}`, entryOf(each)],
      signal,
    )
    const retained = await left.readable('retained', kept, (each) => [each.metadata.name, deletionOf(each)], signal)
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
      projects,
      databases: entriesOf(databases, volumes),
      retained: deletionsOf(retained, volumes),
      deployments: [],
      backups: databases.flatMap(({ project, database }) => backupPlacesOf(id, project, database.spec)),
      tunnel: tunnel === undefined ? null : tunnelOf(tunnel),
      ...(left.out.length > 0 && { leftOut: left.out.slice(0, mostLeftOut) }),
    }
    return {
      document,
      projects: projects.length,
      databases: databases.map(({ project, database }) => ({ project, spec: database.spec })),
      retained,
    }
  }

  /** A file that lacks what a cache has not listed yet would look as if it were gone. @throws Problem `not-ready` */
  #mustKnow(): void {
    for (const name of needed) {
      const cache = this.#parts.caches[name]
      // Without its CRD there are none.
      const isMissing = name === 'retained' && isProblem(cache.fault, 'not-served')
      if (isMissing) continue
      if (!cache.synced) throw new Problem('not-ready', `The ${name} of the cluster have not been read yet.`)
      // Whoever deletes a CRD deletes its objects first: what then looks empty is not.
      if (cache.trouble !== undefined) throw new Problem('not-ready', `The ${name} of the cluster cannot be followed: ${cache.trouble}`)
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

/** The projects, and for databases that stand without one, which somebody has deleted, one without limits. */
function projectsOf(accepted: AcceptedState, databases: Cache<KubernetesObject>): ProjectSpec[] {
  const known = accepted.projects().filter(({ leaving, object }) => !leaving || object !== undefined)
  const ids = new Set(known.map(({ spec }) => spec.id))
  const others = new Set([...databases.values()].map(({ metadata }) => projectOf(metadata.namespace ?? '')))
  const without = [...others].filter((id): id is string => id !== undefined && !ids.has(id))
  const stubs = without.map((name) => readProject({ apiVersion: 'skerry.dev/v1', kind: 'Project', metadata: { name } }))
  return [...known.map(({ spec }) => spec), ...stubs].sort((one, other) => (one.id < other.id ? -1 : 1))
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

/** A database without its volumes. */
function entryOf({ project, database: { spec, object } }: Standing): object {
  const isForeign = object !== undefined && unsupportedParts(object).length > 0
  return { project, body: spec, ...(isForeign && { cratedb: crateDbOf(object) }) }
}

/** A deleted database without its volumes. */
function deletionOf({ metadata, spec }: RetainedDatabase): object {
  return { id: metadata.name, record: spec }
}

function* entriesOf(databases: readonly Standing[], volumes: RegionVolumes): Generator<CanonicalText> {
  for (const each of databases)
    yield withVolumes(entryOf(each), volumes.of(keyOf({ namespace: namespaceOf(each.project), name: each.database.spec.id })))
}

/** Of two records that name one volume, the first has it. */
function* deletionsOf(retained: readonly RetainedDatabase[], volumes: RegionVolumes): Generator<CanonicalText> {
  const taken = new Set<string>()
  for (const each of retained) {
    const found = each.spec.volumes
      .filter(({ volume }) => !taken.has(volume))
      .map(({ volume, uid }) => ({ volume, text: volumes.kept(volume, uid) }))
      .filter((kept): kept is { volume: string; text: CanonicalText } => kept.text !== undefined)
    for (const { volume } of found) taken.add(volume)
    yield withVolumes(
      deletionOf(each),
      found.map(({ text }) => text),
    )
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
