import * as z from 'zod'
import type { BodyFault } from '../../shared/errors.ts'
import type { KubernetesObject } from '../../shared/kubernetes/objects.ts'
import { compareBytes } from '../../shared/kubernetes/quantity.ts'
import { desiredCrateDB, readDatabase, recordedCounts } from './cratedb.ts'
import { databaseSpec, type GivenDatabaseSpec, type StoredDatabaseSpec, splitSecrets } from './database.ts'
import { version } from './identifiers.ts'
import { type DatabaseTarget, namespaceOf } from './kind.ts'
import { cpuQuantity, memoryQuantity } from './quantity.ts'
import { whyNotReservable } from './reservable.ts'
import type { RetainedDatabase, RetainedDatabaseVolume } from './retained-database.ts'
import { recordedCrateDB } from './retained-record.ts'

const compute = z.strictObject({
  cpu: cpuQuantity.describe('Cores of each node').meta({ example: 2 }),
  memory: memoryQuantity.describe('Memory of each node').meta({ example: '4Gi' }),
})

/** Body of `actions/undelete`: what nobody knows any more of a database of which only volumes are left. */
export const undeleteBody = z
  .strictObject({
    version: version.optional().describe('CrateDB release, where the volumes do not say it').meta({ example: '5.10.1' }),
    nodes: compute
      .optional()
      .describe('What each data node gets')
      .meta({ example: { cpu: 2, memory: '4Gi' } }),
    master: compute
      .optional()
      .describe('What each dedicated master node gets')
      .meta({ example: { cpu: 1, memory: '2Gi' } }),
  })
  .describe('Only for a deleted database whose "spec" is not known, of which only its volumes are left')

export type UndeleteBody = z.output<typeof undeleteBody>

/** What there is of a deleted database, from the API server. */
export type UndeleteEvidence = {
  record: RetainedDatabase
  /** Those of its PersistentVolumes that stand. */
  volumes: KubernetesObject[]
  /** Those of its claims that stand, as `NAMESPACE/NAME`. */
  claims: string[]
  /** The names of its Secrets whose content is kept. */
  secrets: string[]
}

/** How a deleted database is made again. */
export type Undeletion = {
  cratedb: KubernetesObject
  /** The volumes that its claims get. */
  used: RetainedDatabaseVolume[]
  /** Those that no node of it needs: of nodes that were removed before. They stay in the record. */
  unused: RetainedDatabaseVolume[]
  /** In sentences: what is not as it was. */
  notes: string[]
  /** What stands in the way, each continuing a sentence. */
  faults: BodyFault[]
}

/** Makes the plan of an undelete. Pure. @param startsEmpty whether a node may start without the volume that it had */
export function planUndelete(
  evidence: UndeleteEvidence,
  { startsEmpty, body = {} }: { startsEmpty: boolean; body?: UndeleteBody | undefined },
  options: { imageRegistry: string },
): Undeletion {
  const { record, volumes, claims, secrets } = evidence
  const made = crateDbOf(record, secrets, body, options)
  if ('faults' in made) return { cratedb: noCrateDB, used: [], unused: [], notes: [], faults: made.faults }
  const { cratedb, notes } = made
  const standing = new Map(volumes.map((volume) => [volume.metadata.name, volume]))
  const byClaim = new Map(record.spec.volumes.map((volume) => [volume.claim, volume]))
  const groups = groupsIn(cratedb)
  const expected = groups.flatMap((group) => claimsOf(record.spec, group).map((claim) => ({ claim, group })))
  const present = expected.flatMap(({ claim, group }) => {
    const volume = byClaim.get(claim)
    const object = volume && standing.get(volume.volume)
    return volume && object ? [{ volume, object, group }] : []
  })
  const has = new Set(present.map(({ volume }) => volume.claim))
  const names = new Set(expected.map(({ claim }) => claim))
  const missing = expected.filter(({ claim }) => !has.has(claim)).map(({ claim }) => without(claim, byClaim.get(claim)))
  const faults = [
    ...present.flatMap(({ volume, object }) => whyNotReservable(object, volume, record.spec) ?? []),
    ...claims.filter((claim) => names.has(claim)).map((claim) => `the claim ${claim} exists already`),
    ...(startsEmpty && present.length > 0 ? [] : missing.map((text) => `${text}${present.length > 0 ? emptyInstead : ''}`)),
  ]
  return {
    cratedb,
    used: present.map(({ volume }) => volume),
    unused: record.spec.volumes.filter(({ claim, volume }) => !names.has(claim) && standing.has(volume)),
    notes: [...notes, ...groups.flatMap((group) => fitted(group, present)), ...(startsEmpty ? missing.map(startsAnew) : [])],
    faults: faults.map((message) => ({ path: '', message })),
  }
}

const noCrateDB: KubernetesObject = { apiVersion: '', kind: '', metadata: { name: '' } }
const emptyInstead = '; with startsEmpty=true its node starts with an empty one'

function without(claim: string, volume: RetainedDatabaseVolume | undefined): string {
  return volume ? `volume ${volume.volume} of ${claim} no longer exists` : `no volume of ${claim} was kept`
}

function startsAnew(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}: its node starts with an empty one.`
}

// biome-ignore lint/suspicious/noExplicitAny: a part of an object of a kind that the compiler does not know
type Group = { set: string; spec: any }

/** The StatefulSets of a CrateDB, as the operator names them (create.py). */
function groupsIn({ metadata, spec }: KubernetesObject): Group[] {
  const { data = [], master } = spec.nodes ?? {}
  return [
    ...data.map((group: { name: string }) => ({ set: `crate-data-${group.name}-${metadata.name}`, spec: group })),
    ...(master ? [{ set: `crate-master-${metadata.name}`, spec: master }] : []),
  ]
}

function claimsOf({ project }: { project: string }, { set, spec }: Group): string[] {
  const disks = Array.from({ length: Number(spec.resources?.disk?.count ?? 1) }, (_, disk) => disk)
  const nodes = Array.from({ length: Number(spec.replicas ?? 1) }, (_, node) => node)
  return nodes.flatMap((node) => disks.map((disk) => `${namespaceOf(project)}/data${disk}-${set}-${node}`))
}

/**
 * A claim never asks for more than its volume has: Kubernetes would pass over the volume, and make an empty one. So the size of a group is
 * lowered to that of its smallest volume.
 */
function fitted({ set, spec }: Group, present: { object: KubernetesObject; group: Group }[]): string[] {
  const { size } = spec.resources?.disk ?? {}
  const sizes = present.filter(({ group }) => group.set === set).map(({ object }) => String(object.spec.capacity?.storage))
  const smallest = sizes.toSorted((one, other) => compareBytes(one, other) ?? 0)[0]
  if (smallest === undefined || (compareBytes(String(size), smallest) ?? 0) <= 0) return []
  spec.resources.disk = { ...spec.resources.disk, size: smallest }
  return [`The disks of ${set} are ${smallest} and not ${size}: the smallest volume has no more. They can grow afterwards.`]
}

type Made = { cratedb: KubernetesObject; notes: string[] } | { faults: BodyFault[] }

/** The CrateDB as it stood; else from the state that was last accepted; else from what the volumes say, and the request. */
function crateDbOf(record: RetainedDatabase, secrets: string[], body: UndeleteBody, options: { imageRegistry: string }): Made {
  const { project, database, wanted } = record.spec
  const target = { kind: 'database' as const, project, database }
  const standing = recordedCrateDB(record)
  if (standing || wanted) {
    const needless = Object.keys(body).map((member) => ({ path: `/${member}`, message: 'must be left out: it is known' }))
    if (needless.length > 0) return { faults: needless }
  }
  const asked = standing || wanted ? undefined : specFromVolumes(record, target, body)
  if (asked && 'faults' in asked) return asked
  const cratedb = standing ?? desiredCrateDB(target, asked?.spec ?? (wanted as StoredDatabaseSpec), options)
  const notes = [...running(cratedb, record), ...withoutLostSecrets(cratedb, secrets)]
  return { cratedb, notes: asked ? [...notes, ...fromVolumesOnly] : notes }
}

const fromVolumesOnly = [
  'Nobody outside the cluster can connect until allowedCIDRs is set, and its users are those in the data, with the passwords that they have.',
]

/** The set-up of a database runs SQL in a node, so a creation without nodes never ends. */
function running(cratedb: KubernetesObject, { spec: { volumes } }: RetainedDatabase): string[] {
  if (!readDatabase(cratedb).suspended) return []
  const counts = recordedCounts(cratedb)
  const { name } = cratedb.metadata
  const { data = [] } = cratedb.spec.nodes ?? {}
  cratedb.spec.nodes = { ...cratedb.spec.nodes }
  cratedb.spec.nodes.data = data.map((group: { name: string }, index: number) => {
    const parts = volumes.map(({ claim }) => claimParts(claim, name))
    const ordinals = parts.flatMap((part) => (part.group === group.name ? part.node + 1 : []))
    return { ...group, replicas: counts?.[index] ?? Math.max(1, ...ordinals) }
  })
  return ['It was suspended, and runs afterwards: it can be suspended again.']
}

/**
 * What refers to a Secret that nobody has any more would keep its pods from starting, or the operator from setting it up. Users are in the
 * data, with their passwords.
 */
function withoutLostSecrets({ spec }: KubernetesObject, secrets: string[]): string[] {
  const isLost = (part: unknown) =>
    [...JSON.stringify(part ?? {}).matchAll(/"secretKeyRef":\{[^}]*"name":"([^"]+)"/g)].some(([, name]) => !secrets.includes(name ?? ''))
  const notes: string[] = []
  const lost = (spec.users ?? []).filter(isLost)
  if (lost.length > 0) {
    spec.users = spec.users.filter((user: unknown) => !isLost(user))
    const names = lost.map(({ name }: { name: string }) => name).join(', ')
    notes.push(
      `The Secrets with the passwords of ${names} are gone: these users keep their passwords, and change them with SQL: ALTER USER.`,
    )
  }
  if (isLost(spec.backups)) {
    delete spec.backups
    notes.push('It has no backups by the operator afterwards: the Secret with their keys is gone. Its snapshots stay.')
  }
  if (isLost(spec.cluster?.ssl)) {
    delete spec.cluster.ssl
    notes.push('It has no TLS of its own afterwards: the Secret with its keystore is gone.')
  }
  return notes
}

/** The desired state by the shape that is noted on the volumes, or by the names and sizes of their claims alone. */
function specFromVolumes(
  { spec: { shape, volumes } }: RetainedDatabase,
  { database }: DatabaseTarget,
  body: UndeleteBody,
): { spec: StoredDatabaseSpec } | { faults: BodyFault[] } {
  const claims = volumes.map((volume) => ({ ...volume, ...claimParts(volume.claim, database) }))
  const others = [...new Set(claims.flatMap(({ group }) => (group === 'master' || group === 'hot' ? [] : [group])))]
  const given = {
    id: database,
    version: shape?.version ?? body.version,
    nodes: { ...(shape?.nodes ?? shapeOf(claims, 'hot')), ...body.nodes },
    ...((shape?.master || claims.some(({ group }) => group === 'master')) && {
      master: { ...(shape?.master ?? shapeOf(claims, 'master')), ...body.master },
    }),
  }
  const required = [
    ...(given.version === undefined ? [{ path: '/version', message: 'is required: the volumes do not say it' }] : []),
    ...(body.nodes ? [] : [{ path: '/nodes', message: 'is required, with cpu and memory: the volumes do not say them' }]),
    ...('master' in given && !body.master
      ? [{ path: '/master', message: 'is required, with cpu and memory: the volumes do not say them' }]
      : []),
    ...(others.length > 0 ? [{ path: '', message: otherGroups(others) }] : []),
  ]
  if (required.length > 0) return { faults: required }
  const parsed = databaseSpec.safeParse(given)
  if (parsed.success) return { spec: splitSecrets(parsed.data as GivenDatabaseSpec).spec }
  return { faults: parsed.error.issues.map(({ path, message }) => ({ path: `/${path.join('/')}`, message })) }
}

function otherGroups(groups: string[]): string {
  return `its volumes are of the node group ${groups.join(', ')}, which the API does not make: create the CrateDB with kubectl, as it was`
}

type ClaimParts = RetainedDatabaseVolume & { group: string; disk: number; node: number }

/** `data0-crate-data-hot-tide-2` is of the group `hot`, disk 0, node 2. */
function claimParts(claim: string, database: string): Pick<ClaimParts, 'group' | 'disk' | 'node'> {
  const name = claim.slice(claim.indexOf('/') + 1)
  const [, disk, group = '', node] = /^data(\d+)-crate-(.+)-(\d+)$/.exec(name) ?? []
  const own = group.endsWith(`-${database}`) ? group.slice(0, -database.length - 1) : group
  return { group: own.replace(/^data-/, ''), disk: Number(disk), node: Number(node) }
}

function shapeOf(claims: ClaimParts[], group: string) {
  const own = claims.filter((claim) => claim.group === group)
  const [first] = own
  const sizes = own.flatMap(({ capacity }) => capacity ?? []).toSorted((one, other) => compareBytes(one, other) ?? 0)
  return {
    count: Math.max(0, ...own.map(({ node }) => node + 1)),
    disk: { count: Math.max(1, ...own.map(({ disk }) => disk + 1)), size: sizes[0], storageClass: first?.storageClass },
  }
}
