import * as z from 'zod'
import type { BodyFault } from '../../shared/errors.ts'
import type { KubernetesObject } from '../../shared/kubernetes/objects.ts'
import { objectName } from './identifiers.ts'
import { listed } from './wording.ts'

/** The body of `actions/snapshot-volumes`. */
export const snapshotVolumesBody = z
  .strictObject({
    volumeSnapshotClass: objectName
      .optional()
      .describe('Which VolumeSnapshotClass, for the volumes of its driver; needed where the driver has several and none is the default')
      .meta({ example: 'crate-snapshots' }),
  })
  .describe('Empty: the default class of each driver, or its only one')
  .meta({ example: {} })
  .optional()

/** A VolumeSnapshotClass, or a VolumeGroupSnapshotClass. */
export type SnapshotClass = { name: string; driver: string; keeps: boolean; isDefault: boolean }

/** What a decision about volume snapshots depends on. */
export type SnapshotFacts = {
  /** Undefined where the cluster has no such kind. */
  classes: SnapshotClass[] | undefined
  groups: { classes: SnapshotClass[]; beta: boolean } | undefined
  /** The claims in the namespace that are of the database. */
  claims: KubernetesObject[]
  /** Their volumes, as far as they exist. */
  volumes: KubernetesObject[]
}

/** A claim whose volume is to be taken, with the class for it; without one in a group. */
export type SnapshotMember = { claim: string; class?: string }

/** What is going to be made: one group of all volumes, or a snapshot of each. */
export type SnapshotPlan = { members: SnapshotMember[]; group?: { class: string; beta: boolean }; consequences: string[] }

/** More volumes than this in one set would make the record of the operation too long. */
const mostVolumes = 256

/** A class as its object says. `kind` decides the name of the annotation that makes it a default. */
export function snapshotClassOf(object: KubernetesObject): SnapshotClass {
  const group = object.apiVersion.split('.')[0]
  return {
    name: object.metadata.name,
    driver: String(object.driver ?? ''),
    keeps: object.deletionPolicy === 'Retain',
    isDefault: object.metadata.annotations?.[`${group}.storage.kubernetes.io/is-default-class`] === 'true',
  }
}

/** The names of the data claims of all nodes that a database has, or will have when it is resumed. @param counts by data group, then masters */
export function dataClaimsOf({ metadata, spec }: KubernetesObject, counts: readonly number[]): string[] {
  const { data = [], master } = spec?.nodes ?? {}
  const groups = [
    ...data.map((group: { name: string }) => ({ ...group, set: `data-${group.name}` })),
    ...(master ? [{ ...master, set: 'master' }] : []),
  ]
  return groups.flatMap(({ set, resources }, index) =>
    Array.from({ length: counts[index] ?? 0 }, (_, node) => node).flatMap((node) =>
      Array.from({ length: Number(resources?.disk?.count ?? 1) }, (_, disk) => `data${disk}-crate-${set}-${metadata.name}-${node}`),
    ),
  )
}

type Wish = z.output<typeof snapshotVolumesBody>

/**
 * How the volumes of these claims can be taken, or everything that is missing for it. Pure.
 * @param names of the data claims
 */
export function planSnapshots(
  names: string[],
  facts: SnapshotFacts,
  { wish, suspended }: { wish: Wish; suspended: boolean },
): { faults: BodyFault[] } | SnapshotPlan {
  if (facts.classes === undefined) return { faults: [fault(noSnapshots)] }
  if (names.length > mostVolumes)
    return { faults: [fault(`${names.length} volumes are too many for one set, which has at most ${mostVolumes}`)] }
  const found = names.map((claim) => ({ claim, ...driverOf(claim, facts) }))
  const missing = [...Map.groupBy(found, ({ why }) => why)].flatMap(([why, all]) =>
    why === undefined ? [] : [fault(`${listed(all.map(({ claim }) => claim))}: ${why}`)],
  )
  const drivers = [...new Set(found.flatMap(({ driver }) => driver ?? []))]
  const together = groupOf(drivers, facts)
  const choices = drivers.map((driver) => ({ driver, ...choose(facts.classes ?? [], driver, wish?.volumeSnapshotClass) }))
  const named = wish?.volumeSnapshotClass
  const unknown = named !== undefined && missing.length === 0 && choices.every(({ chosen }) => chosen?.name !== named)
  const faults = [
    ...missing,
    ...(unknown ? [{ path: '/volumeSnapshotClass', message: notOfTheirs(drivers, facts.classes) }] : []),
    ...(typeof together === 'string' ? choices.flatMap(({ why }) => (why === undefined || unknown ? [] : [fault(why)])) : []),
  ]
  if (faults.length > 0) return { faults }
  const used = typeof together === 'string' ? choices.flatMap(({ chosen }) => chosen ?? []) : [together.class]
  const members = found.map(({ claim, driver }) => ({
    claim,
    ...(typeof together === 'string' && { class: choices.find((choice) => choice.driver === driver)?.chosen?.name ?? '' }),
  }))
  return {
    members,
    ...(typeof together !== 'string' && { group: { class: together.class.name, beta: together.beta } }),
    consequences: [...consistency({ count: names.length, suspended, together, drivers }), ...fate(used)],
  }
}

function fault(message: string): BodyFault {
  return { path: '', message }
}

const noSnapshots =
  'this cluster has no volume snapshots (snapshot.storage.k8s.io/v1): they need the CRDs and the snapshot controller of kubernetes-csi/external-snapshotter, and a storage driver that can take them'

/** The CSI driver of a claim's volume, or why it has none. */
function driverOf(claim: string, { claims, volumes }: SnapshotFacts): { driver?: string; why?: string } {
  const object = claims.find(({ metadata }) => metadata.name === claim)
  if (object?.status?.phase !== 'Bound') return { why: 'no volume is bound yet, and there is nothing to take' }
  const volume = volumes.find(({ metadata }) => metadata.name === object.spec?.volumeName)
  if (!volume) return { why: 'the volume is not known' }
  const driver: unknown = volume.spec?.csi?.driver
  if (typeof driver === 'string') return { driver }
  const kind = ['hostPath', 'local', 'nfs', 'cinder', 'awsElasticBlockStore'].find((each) => volume.spec?.[each] !== undefined)
  return { why: `the volume is of no CSI driver${kind === undefined ? '' : ` but ${kind}`}, and only CSI drivers can take snapshots` }
}

type Choice = { chosen?: SnapshotClass; why?: string }

/** The class for the volumes of a driver: the named one, the default, or the only one. */
function choose(classes: SnapshotClass[], driver: string, named: string | undefined): Choice {
  const own = classes.filter((each) => each.driver === driver)
  const wished = own.find(({ name }) => name === named)
  const defaults = own.filter(({ isDefault }) => isDefault)
  const chosen = wished ?? (defaults.length === 1 ? defaults[0] : own.length === 1 ? own[0] : undefined)
  if (chosen) return { chosen }
  const others =
    classes.length === 0 ? 'the cluster has none' : `there are ${listed(classes.map(({ name, driver }) => `${name} of ${driver}`))}`
  return {
    why:
      own.length === 0
        ? `no VolumeSnapshotClass is of the driver ${driver}: ${others}`
        : `several VolumeSnapshotClasses are of the driver ${driver}, and ${defaults.length === 0 ? 'none' : 'more than one'} is the default: name one of ${listed(own.map(({ name }) => name))} in volumeSnapshotClass`,
  }
}

function notOfTheirs(drivers: string[], classes: SnapshotClass[]): string {
  const known = classes.filter(({ driver }) => drivers.includes(driver)).map(({ name }) => name)
  const which = known.length === 0 ? 'none is' : `those are ${listed(known)}`
  return `is not a VolumeSnapshotClass of ${listed(drivers)}, whose the volumes are: ${which}`
}

/** The class that takes all volumes at one moment, or why they cannot be taken so. */
function groupOf(drivers: string[], { groups }: SnapshotFacts): { class: SnapshotClass; beta: boolean } | string {
  const [driver, ...others] = drivers
  if (groups === undefined) return 'this cluster has no VolumeGroupSnapshots'
  if (driver === undefined || others.length > 0) return `the volumes are of several drivers: ${listed(drivers)}`
  const { chosen } = choose(groups.classes, driver, undefined)
  return chosen ? { class: chosen, beta: groups.beta } : `no one VolumeGroupSnapshotClass is of the driver ${driver}`
}

type Circumstances = { count: number; suspended: boolean; together: ReturnType<typeof groupOf>; drivers: string[] }

/** Whether what comes back of the snapshots is one state of the database. */
function consistency({ count, suspended, together, drivers }: Circumstances): string[] {
  const crash = 'a database that comes back from them starts as after a power cut'
  if (suspended)
    return [`Takes ${count === 1 ? 'its only volume' : `its ${count} volumes`} while the database is suspended and nothing writes.`]
  if (count === 1) return [`Takes its only volume, at one moment: ${crash}.`]
  if (typeof together !== 'string')
    return [`Takes all ${count} volumes at one moment, as a VolumeGroupSnapshot of ${listed(drivers)}: ${crash}.`]
  return [
    `Takes ${count} volumes one after the other, not at one moment, since ${together}. They are not consistent between nodes: ${crash} that met the nodes at different moments, and what was written meanwhile, tables too, may be missing.`,
    'For snapshots that belong together, suspend the database first.',
  ]
}

/** What deletes the snapshots, and what they are no help against. */
function fate(classes: SnapshotClass[]): string[] {
  const [lost, kept] = [classes.filter(({ keeps }) => !keeps), classes.filter(({ keeps }) => keeps)]
  const named = (some: SnapshotClass[]) => listed(some.map(({ name }) => name))
  return [
    'They stay when the database is deleted, and do not count against the quota. They are in the same storage as the volumes, so that its loss is theirs too.',
    ...(lost.length > 0
      ? [`Deleting them, or the project with its namespace, deletes their data: the class ${named(lost)} says Delete.`]
      : []),
    ...(kept.length > 0 ? [`Their data stays even if they or the project are deleted: the class ${named(kept)} says Retain.`] : []),
  ]
}
