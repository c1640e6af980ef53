import type { KubernetesObject } from '../../../shared/kubernetes/objects.ts'
import { compareBytes, describeBytes, parseBytes } from '../../../shared/kubernetes/quantity.ts'
import { type ClaimGroup, claimGroups, claimsOfGroup, groupNames } from '../../resources/data-claims.ts'
import { groupsOf, type StoredDatabaseSpec, secretsNeeded } from '../../resources/database.ts'
import { type DatabaseFacts, refusals } from '../../resources/database-rules.ts'
import { type SiteRules, stateOf, withinRules } from '../../resources/foreign-database.ts'
import { volumeAnnotation } from '../../resources/kept-volume.ts'
import type { DatabaseTarget, Secrets } from '../../resources/kind.ts'
import { label } from '../../resources/labels.ts'
import { fitsNode, foreignValues, renamed, volumeNodeAffinity } from '../../resources/node-affinity.ts'
import { lastingVolumeAnnotations, type VolumeManifest } from '../../resources/volume-manifest.ts'
import { dataOf, sourceFault } from '../../resources/volume-source.ts'
import type { ExportedDatabase, ExportedDeletion } from '../schema.ts'

/** What an import makes of a database: makes it with volumes that it makes again, or that stand; finds it as it is; or cannot. */
export const verdicts = ['ready', 'volumes-found', 'unchanged', 'refused'] as const
export type VerdictName = (typeof verdicts)[number]

/** Why a database cannot be imported. */
export const obstacleCodes = [
  'name-taken',
  'volume-taken',
  'handle-taken',
  'attached',
  'host-unknown',
  'class-missing',
  'volumes-missing',
  'volume-too-small',
  'volume-refused',
  'secrets-missing',
  'not-allowed',
  'quota-exceeded',
] as const
export type ImportObstacle = { code: (typeof obstacleCodes)[number]; message: string }

export type DatabaseVerdict = {
  project: string
  database: string
  verdict: VerdictName
  /** How many volumes the file has of it. */
  volumes: number
  obstacles: ImportObstacle[]
  /** What will be otherwise than it was, in sentences. */
  notes: string[]
}

/** A PersistentVolume that the cluster has. */
export type StandingVolume = {
  name: string
  /** `NAMESPACE/CLAIM` that it serves or is reserved for. */
  claim: string | undefined
  /** The database whose data it has, as `PROJECT/DATABASE`, if its labels say so. */
  owner: string | undefined
  phase: string | undefined
  /** `dataOf` */
  data: string | undefined
  /** The node that it is attached to. */
  attachedTo: string | undefined
}

/** What an import meets in the cluster. */
export type ImportScene = {
  /** Whether a database of that name stands or was accepted; the operation if there is one. */
  database(project: string, id: string): { operation: string | undefined; stands: boolean } | undefined
  volume(name: string): StandingVolume | undefined
  /** The volume with that data, if it is known. */
  volumeWith(data: string): StandingVolume | undefined
  nodes: readonly KubernetesObject[]
  storageClass(name: string): KubernetesObject | undefined
  hostFolders: readonly string[]
  site: SiteRules & Pick<DatabaseFacts, 'storageClasses' | 'heapDumpVolume' | 'endpoints'>
}

/** A database of a region file, with its secrets if somebody has opened them. */
export type ImportedDatabase = ExportedDatabase & { secrets?: Secrets | undefined }

/** A deleted database of a region file, with its secrets if somebody has opened them: by the names of its Secrets. */
export type ImportedDeletion = ExportedDeletion & { secrets?: Readonly<Record<string, string>> | undefined }

/** A database as it is made again: with the names of hosts here, and with disks that its volumes have. */
export type Judged = { verdict: DatabaseVerdict; entry: ImportedDatabase }

/** Judges a database of a region file. Pure. @param hosts the name of a host here, by its name in the file */
export function judge(given: ImportedDatabase, scene: ImportScene, hosts: ReadonlyMap<string, string>): Judged {
  const { exported, notes, faults } = asRequested(given, scene.site)
  const { project, cratedb } = exported
  const { id } = exported.body
  const volumes = exported.volumes.map((volume) => madeHere(volume, { project, id }, hosts))
  const entry = { ...exported, volumes }
  const tell = (verdict: VerdictName, obstacles: ImportObstacle[] = [], notes: string[] = []) => ({
    project,
    database: id,
    verdict,
    volumes: volumes.length,
    obstacles,
    notes,
  })
  const standing = scene.database(project, id)
  if (standing?.stands && volumes.length > 0 && volumes.every((volume) => isServing(volume, scene)))
    return { verdict: tell('unchanged'), entry }
  const groups = claimGroups(exported.body, groupNames(cratedb?.spec))
  const sized = withSizes(entry, groups)
  const obstacles = [
    ...(standing ? [nameTaken(standing)] : []),
    ...missingVolumes(id, groups, volumes),
    ...(cratedb ? sized.small.map((message): ImportObstacle => ({ code: 'volume-too-small', message })) : []),
    ...missingClasses(groups, exported, scene),
    ...volumes.flatMap((volume) => obstaclesOf(volume, `${project}/${id}`, scene)),
    ...secretsMissing(exported),
    ...[...faults, ...refusedHere({ kind: 'database', project, database: id }, sized.entry.body, scene)].map(
      (message): ImportObstacle => ({ code: 'not-allowed', message }),
    ),
  ]
  if (obstacles.length > 0) return { verdict: tell('refused', obstacles), entry }
  const found = volumes.some(({ metadata }) => scene.volume(metadata.name) !== undefined)
  return { verdict: tell(found ? 'volumes-found' : 'ready', [], [...sized.notes, ...notesOf(exported), ...notes]), entry: sized.entry }
}

/** A database within the rules of the site. One of another tool is what its CrateDB says, and not what stands beside that in the file. */
function asRequested(given: ImportedDatabase, site: SiteRules): { exported: ImportedDatabase; notes: string[]; faults: string[] } {
  const { project, body, cratedb: foreign } = given
  if (!foreign) return { exported: given, notes: [], faults: [] }
  const target = { kind: 'database' as const, project, database: body.id }
  const { cratedb, notes, faults } = withinRules(foreign, target, site)
  return { exported: { ...given, cratedb, body: { ...stateOf(target, cratedb, body), suspended: body.suspended } }, notes, faults }
}

/**
 * What the rules for a new database say against it, except that another tool may have made several groups. Classes that are missing are told once,
 * and the quota of its project adds up over all of the file.
 */
function refusedHere(target: DatabaseTarget, body: StoredDatabaseSpec, { site }: ImportScene): string[] {
  const nothing = { databases: 0, volumes: 0, bytes: 0n }
  const wanted = { ...body, suspended: false }
  const found = refusals({ ...site, target, wanted, current: undefined, project: undefined, siblings: [], retained: nothing })
  const told = found.flatMap(({ faults }) => faults).filter(({ path }) => path !== '/otherGroups' && !path.endsWith('/disk/storageClass'))
  return told.map(({ path, message }) => `${path} ${message}`)
}

/** A deleted database as it is kept here: its volumes have the names of hosts here, and the labels by which they are known. */
export function deletionHere(deletion: ImportedDeletion, hosts: ReadonlyMap<string, string>, site: SiteRules): ImportedDeletion {
  const { project, database, cratedb } = deletion.record
  const within = cratedb && withinRules(cratedb, { kind: 'database', project, database }, site)
  const record = { ...deletion.record, ...(within && { cratedb: within.cratedb }) }
  return { ...deletion, record, volumes: deletion.volumes.map((volume) => madeHere(volume, { project, id: database }, hosts)) }
}

/** Why volumes of a deleted database cannot be made. On which host they are matters once somebody has the database back. */
export function deletionObstacles({ record, volumes }: ImportedDeletion, scene: ImportScene): ImportObstacle[] {
  const { project, database, cratedb } = record
  const owner = `${project}/${database}`
  const faults = cratedb ? withinRules(cratedb, { kind: 'database', project, database }, scene.site).faults : []
  const notAllowed = faults.map((message): ImportObstacle => ({ code: 'not-allowed', message }))
  const ofVolumes = volumes.flatMap((volume): ImportObstacle[] => {
    const { metadata, spec } = volume
    const data = dataOf({ spec })
    const standing = scene.volume(metadata.name)
    if (standing && standing.data === data && data !== undefined) return (standing.owner ?? owner) === owner ? [] : [ofAnother(standing)]
    if (standing)
      return [{ code: 'volume-taken', message: `volume ${metadata.name} is another one here: its data is ${told(standing.data)}` }]
    const holder = data === undefined ? undefined : scene.volumeWith(data)
    if (!holder) return refusedVolume(volume, scene)
    return [{ code: 'handle-taken', message: `the data of volume ${metadata.name} (${told(data)}) is that of volume ${holder.name} here` }]
  })
  return [...notAllowed, ...ofVolumes]
}

/**
 * The manifest with the names of hosts here, and with the marks by which the volume is known as the database's. Whoever wrote the file has not
 * decided that a volume goes, or that anybody may have it.
 */
function madeHere(manifest: VolumeManifest, owner: { project: string; id: string }, hosts: ReadonlyMap<string, string>): VolumeManifest {
  const affinity = volumeNodeAffinity.safeParse(manifest.spec.nodeAffinity)
  const labels = { ...manifest.metadata.labels, [label.project]: owner.project, [label.database]: owner.id }
  const annotations = { ...lastingVolumeAnnotations(manifest.metadata.annotations), [volumeAnnotation.from]: claimOf(manifest.spec) }
  const spec = affinity.success ? { ...manifest.spec, nodeAffinity: renamed(affinity.data, hosts) } : manifest.spec
  return { ...manifest, metadata: { ...manifest.metadata, labels, annotations }, spec }
}

function isServing({ metadata, spec }: VolumeManifest, scene: ImportScene): boolean {
  const found = scene.volume(metadata.name)
  return found !== undefined && found.data === dataOf({ spec }) && found.claim === claimOf(spec) && found.phase === 'Bound'
}

function claimOf({ claimRef }: VolumeManifest['spec']): string {
  return `${claimRef.namespace}/${claimRef.name}`
}

function nameTaken({ operation, stands }: { operation: string | undefined; stands: boolean }): ImportObstacle {
  const by = stands ? 'a database of that name stands, with other volumes' : `operation ${operation} is making a database of that name`
  return { code: 'name-taken', message: by }
}

/** A claim without its volume would get an empty one. */
function missingVolumes(id: string, groups: ClaimGroup[], volumes: VolumeManifest[]): ImportObstacle[] {
  const has = new Set(volumes.map(({ spec }) => spec.claimRef.name))
  const wanted = groups.flatMap((group) => claimsOfGroup(id, group))
  const missing = wanted.filter((claim) => !has.has(claim))
  if (missing.length === 0) return []
  const which = `${missing.slice(0, 3).join(', ')}${missing.length > 3 ? ` and ${missing.length - 3} more` : ''}`
  const message = `the file has ${wanted.length - missing.length} of its ${wanted.length} volumes, and not that of ${which}: it would get an empty one`
  return [{ code: 'volumes-missing', message }]
}

function missingClasses(groups: ClaimGroup[], { body }: ExportedDatabase, scene: ImportScene): ImportObstacle[] {
  const all = groupsOf(body).map(({ disk }) => disk.storageClass)
  const missing = [...new Set(all)].filter((name) => scene.storageClass(name) === undefined)
  return groups.length === 0 ? [] : missing.map((name) => ({ code: 'class-missing', message: `there is no storage class ${name}` }))
}

function obstaclesOf(volume: VolumeManifest, owner: string, scene: ImportScene): ImportObstacle[] {
  const { metadata, spec } = volume
  const data = dataOf({ spec })
  const standing = scene.volume(metadata.name)
  const claim = claimOf(spec)
  if (standing) {
    if (standing.data !== data)
      return [{ code: 'volume-taken', message: `volume ${metadata.name} is another one here: its data is ${told(standing.data)}` }]
    if (standing.claim !== claim)
      return [{ code: 'volume-taken', message: `volume ${metadata.name} is here, and serves ${standing.claim ?? 'nobody'}` }]
    if ((standing.owner ?? owner) !== owner) return [ofAnother(standing)]
    if (standing.attachedTo !== undefined && standing.phase !== 'Bound') return [attached(standing)]
    return standing.phase === 'Bound'
      ? [{ code: 'volume-taken', message: `volume ${metadata.name} is here, and its claim ${claim} is bound` }]
      : []
  }
  const holder = data === undefined ? undefined : scene.volumeWith(data)
  if (holder?.attachedTo !== undefined) return [attached(holder)]
  if (holder)
    return [{ code: 'handle-taken', message: `the data of volume ${metadata.name} (${told(data)}) is that of volume ${holder.name} here` }]
  return [...hostUnknown(volume, scene), ...refusedVolume(volume, scene)]
}

/** Claims of two databases may have the same name: those of `tide` in its group `hot-high`, and those of `high-tide`. */
function ofAnother({ name, owner }: StandingVolume): ImportObstacle {
  return { code: 'volume-taken', message: `volume ${name} is here, and has the data of database ${owner}` }
}

function attached({ name, attachedTo }: StandingVolume): ImportObstacle {
  return { code: 'attached', message: `volume ${name} is attached to node ${attachedTo}: two that write to it would destroy it` }
}

function told(data: string | undefined): string {
  return data === undefined ? 'unknown' : data.slice(0, 200)
}

function hostUnknown({ metadata, spec }: VolumeManifest, { nodes }: ImportScene): ImportObstacle[] {
  const read = volumeNodeAffinity.safeParse(spec.nodeAffinity ?? {})
  if (!read.success) return [{ code: 'volume-refused', message: `the nodeAffinity of volume ${metadata.name} is none of Kubernetes` }]
  if (nodes.some((node) => fitsNode(read.data, node))) return []
  const foreign = foreignValues(read.data, nodes)
  const which = foreign.length === 0 ? '' : `: ${foreign.slice(0, 5).join(', ')} ${foreign.length === 1 ? 'is' : 'are'} of another cluster`
  const cure = foreign[0] === undefined ? '' : `; say which host it is here, as in hosts=${foreign[0]}=NAME`
  return [{ code: 'host-unknown', message: `no node of this cluster can use volume ${metadata.name}${which}${cure}` }]
}

function refusedVolume(volume: VolumeManifest, scene: ImportScene): ImportObstacle[] {
  const storageClass = scene.storageClass(volume.spec.storageClassName ?? '')
  const fault = sourceFault(volume, { hostFolders: scene.hostFolders, storageClass })
  if (fault === undefined) return []
  return [{ code: 'volume-refused', message: `volume ${volume.metadata.name}: ${fault}. Make it with kubectl, and import again` }]
}

/** Without a keystore, CrateDB does not start. Nobody can make one but its owner. */
function secretsMissing({ body, cratedb, secrets }: ImportedDatabase): ImportObstacle[] {
  const ssl = cratedb ? (cratedb.spec.cluster as { ssl?: unknown } | undefined)?.ssl : body.ssl
  const isThere = !cratedb && secretsNeeded(body, secrets).missing.every((place) => !place.startsWith('ssl.'))
  return ssl && !isThere ? [{ code: 'secrets-missing', message: 'its keystore did not come with the file' }] : []
}

/** A disk that was to grow has not grown yet: the smallest volume of a group says how large its disks are. */
function withSizes(entry: ImportedDatabase, groups: ClaimGroup[]): { entry: ImportedDatabase; notes: string[]; small: string[] } {
  const { body } = entry
  const smallest = groups.map((group) => {
    const claims = new Set(claimsOfGroup(body.id, group))
    const sizes = entry.volumes.filter(({ spec }) => claims.has(spec.claimRef.name)).map(({ spec }) => spec.capacity.storage)
    const least = sizes.toSorted((one, other) => compareBytes(one, other) ?? 0)[0]
    return least !== undefined && (compareBytes(least, group.size) ?? 0) < 0 ? least : undefined
  })
  const small = groups.flatMap(({ name, size }, index) => {
    const least = smallest[index]
    return least === undefined ? [] : [`a volume of its nodes "${name}" has ${described(least)}, and ${described(size)} are asked for`]
  })
  if (small.length === 0) return { entry, notes: [], small }
  const sized = <Group extends { disk: { size: string } }>(group: Group, size: string | undefined): Group =>
    size === undefined ? group : { ...group, disk: { ...group.disk, size } }
  const nodes = sized(body.nodes, smallest[0])
  const master = body.master && sized(body.master, smallest.at(-1))
  const notes = small.map((each) => `Its disks become as large as its smallest volume, and can grow again: ${each}.`)
  return { entry: { ...entry, body: { ...body, nodes, ...(master && { master }) } }, notes, small }
}

function described(size: string): string {
  const bytes = parseBytes(size)
  return bytes === undefined ? size : describeBytes(bytes)
}

function notesOf({ body, secrets }: ImportedDatabase): string[] {
  const { missing } = secretsNeeded(body, secrets)
  return [
    ...(body.suspended ? ['It was suspended, and runs from then on: a database is made with running nodes.'] : []),
    ...(missing.length > 0 ? ['Its backups fail until their keys are put again: they did not come with the file.'] : []),
  ]
}
