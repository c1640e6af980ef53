import type { KindName, KubernetesObject } from '../../../shared/kubernetes/objects.ts'
import { visible } from '../../../shared/visible.ts'
import { shortened } from '../../backups/state.ts'
import { cures } from '../../region/obstacles/cures.ts'
import { describeObject, listed, tell } from '../../region/obstacles/evidence.ts'
import { readDatabase } from '../../resources/cratedb.ts'
import { type DatabaseTarget, namespaceOf } from '../../resources/kind.ts'
import { label } from '../../resources/labels.ts'
import type { Obstacle } from '../../resources/operation.ts'
import {
  memberMarks,
  type SnapshotSet,
  setSelector,
  snapshotSetId,
  volumeGroupSnapshot,
  volumeSnapshot,
} from '../../resources/volume-snapshot-objects.ts'
import { dataClaimsOf, planSnapshots, type SnapshotMember } from '../../resources/volume-snapshots.ts'
import { isDone, type Progress, type WorkContext } from './context.ts'
import { readCrateDB, untilIdle } from './database-steps.ts'
import { readSnapshotFacts } from './snapshot-facts.ts'

type Context = WorkContext<DatabaseTarget>

/** What was decided before anything was made, and whether all of it was. */
type Note = { members: SnapshotMember[]; group?: { class: string; beta: boolean }; made?: boolean }

/** How often the snapshots are looked at, in milliseconds: nothing watches them. */
const recheckMs = 500

/** The names of the data claims of a database's nodes, also of those of a suspended database. */
export function claimNamesOf(cratedb: KubernetesObject): string[] {
  const { nodes, otherGroups = [], master } = readDatabase(cratedb)
  return dataClaimsOf(
    cratedb,
    [nodes, ...otherGroups, ...(master ? [master] : [])].map(({ count }) => count),
  )
}

/** Makes the snapshots of one set, and waits until they are ready. It may be interrupted at any point. */
export async function advanceSnapshots(context: Context): Promise<Progress> {
  if (isDone(context.operation, 'snapshot-volumes')) return { next: 'done', message: readyMessage(context) }
  const { step } = context.operation.status ?? {}
  if (!step) return begin(context)
  const note = step.note as Note
  const set = setOf(context)
  return note.group ? advanceGroup(context, set, note as Required<Note>) : advanceEach(context, set, note)
}

function setOf({ operation, target }: Context): SnapshotSet {
  return { target, id: snapshotSetId(operation.spec) }
}

async function begin(context: Context): Promise<Progress> {
  const current = await readCrateDB(context)
  if (!current || current.metadata.deletionTimestamp !== undefined)
    return { next: 'failed', reason: 'Disappeared', message: 'The database was deleted before its volumes were taken.' }
  // A node that comes or goes has a volume that is in none of the sets, or in all.
  const wait = await untilIdle(context, current)
  if (wait) return wait
  const { volumeSnapshotClass } = (context.operation.spec.parameters ?? {}) as { volumeSnapshotClass?: string }
  const facts = await readSnapshotFacts(context.cluster, context.target)
  const { suspended } = readDatabase(current)
  const planned = planSnapshots(claimNamesOf(current), facts, { wish: { volumeSnapshotClass }, suspended })
  if ('faults' in planned)
    return { next: 'failed', reason: 'NotPossible', message: `No snapshots: ${planned.faults.map(({ message }) => message).join('; ')}.` }
  const { members, group } = planned
  await context.begin('snapshot-volumes', { members, ...(group && { group }) })
  return { next: 'again' }
}

async function advanceEach(context: Context, set: SnapshotSet, note: Note): Promise<Progress> {
  const present = await context.cluster.list('VolumeSnapshot', namespaceOf(set.target.project), setSelector(set))
  const of = ({ claim }: SnapshotMember) => present.find(({ spec }) => spec?.source?.persistentVolumeClaimName === claim)
  const missing = note.members.filter((member) => !of(member))
  if (missing.length > 0) {
    if (note.made) return gone(missing.map(({ claim }) => `the VolumeSnapshot of ${claim}`))
    const claims = await claimsOf(context, set)
    for (const { claim, class: className = '' } of missing) {
      const source = claims.get(claim)
      if (!source) return withoutClaim(claim)
      await context.cluster.apply(volumeSnapshot(set, source, className), undefined)
    }
  }
  await noteMade(context, note)
  const made = note.members.flatMap((member) => of(member) ?? [])
  return made.length === note.members.length && made.every(isReady) ? finish(context, set, made) : waitFor(made, note.members.length)
}

/** A group: the claims bear its label first, then the snapshot controller makes a snapshot for each of them. */
async function advanceGroup(context: Context, set: SnapshotSet, note: Required<Note>): Promise<Progress> {
  const { cluster } = context
  const namespace = namespaceOf(set.target.project)
  const kind: KindName = note.group.beta ? 'VolumeGroupSnapshotBeta' : 'VolumeGroupSnapshot'
  const claims = await claimsOf(context, set)
  let [group] = await cluster.list(kind, namespace, setSelector(set))
  if (!group) {
    if (note.made) return gone(['the VolumeGroupSnapshot'])
    for (const { claim } of note.members) {
      const source = claims.get(claim)
      if (!source) return withoutClaim(claim)
      const isMarked = source.metadata.labels?.[label.snapshotSet] === set.id
      const marked = { metadata: { labels: { [label.snapshotSet]: set.id } } }
      if (!isMarked) await cluster.patch({ kind: 'PersistentVolumeClaim', namespace, name: claim }, marked)
    }
    group = await cluster.apply(volumeGroupSnapshot(set, note.group), undefined)
  }
  await noteMade(context, note)
  const { uid } = group.metadata
  // The controller makes them without labels.
  const all = await cluster.list('VolumeSnapshot', namespace)
  const made = all.filter(({ metadata }) => metadata.ownerReferences?.some((owner) => owner.uid === uid))
  const isWhole = note.members.every(({ claim }) => made.some(({ spec }) => spec?.source?.persistentVolumeClaimName === claim))
  if (!isReady(group) || !isWhole || !made.every(isReady)) return waitFor([group, ...made], note.members.length, made)
  for (const snapshot of made) {
    const claim = claims.get(snapshot.spec.source.persistentVolumeClaimName)
    const ref = { kind: 'VolumeSnapshot' as const, namespace, name: snapshot.metadata.name }
    if (claim && snapshot.metadata.labels?.[label.snapshotSet] !== set.id)
      await cluster.patch(ref, { metadata: memberMarks(set, snapshot, claim) })
  }
  return finish(context, set, made)
}

async function claimsOf({ cluster }: Context, { target }: SnapshotSet): Promise<Map<string, KubernetesObject>> {
  const found = await cluster.list('PersistentVolumeClaim', namespaceOf(target.project), `app.kubernetes.io/name=${target.database}`)
  return new Map(found.map((claim) => [claim.metadata.name, claim]))
}

/** From then on, what is missing was deleted. */
async function noteMade(context: Context, note: Note): Promise<void> {
  const { step } = context.operation.status ?? {}
  if (step && !note.made) await context.record({ phase: 'Waiting', step: { ...step, note: { ...note, made: true } } })
}

function isReady({ status }: KubernetesObject): boolean {
  return status?.readyToUse === true
}

/** @param all what may have an error to tell @param made the snapshots among them */
function waitFor(all: KubernetesObject[], count: number, made = all): Progress {
  const ready = `${made.filter(isReady).length} of ${count} volume snapshots are ready.`
  const failing = all.find((object) => !isReady(object) && typeof object.status?.error?.message === 'string')
  const silent = all.find(({ status }) => status === undefined)
  const why = silent ? ` The snapshot controller has not taken up ${describeObject(silent)} yet.` : ''
  return { next: 'wait', recheckMs, message: `${ready}${why}`, obstacle: failing && obstacleOf(failing, ready) }
}

/** What the storage driver says is not final: the snapshot controller goes on trying. */
function obstacleOf(failing: KubernetesObject, ready: string): Obstacle {
  const evidence = describeObject(failing)
  const said = shortened(visible(String(failing.status.error.message).replace(/\s+/g, ' ').trim()))
  return tell({
    code: 'VolumeSnapshotFailing',
    message: `${ready} ${evidence} says: ${said} The snapshot controller goes on trying.`,
    evidence,
    cures: [cures.VolumeSnapshotFailing.fix()],
  })
}

function gone(what: string[]): Progress {
  return {
    next: 'failed',
    reason: 'SnapshotGone',
    message: `Somebody deleted ${listed(what)} before all were ready.`,
    action: 'Take the snapshots again, if they are still wanted.',
  }
}

function withoutClaim(claim: string): Progress {
  return { next: 'failed', reason: 'ClaimGone', message: `The claim ${claim} is gone, so that its volume cannot be taken.` }
}

async function finish(context: Context, set: SnapshotSet, made: KubernetesObject[]): Promise<Progress> {
  const volumeSnapshots = made
    .map(({ metadata, spec, status }) => ({
      volumeSnapshot: metadata.name,
      claim: spec?.source?.persistentVolumeClaimName,
      content: status?.boundVolumeSnapshotContentName,
      ...(status?.creationTime && { createdAt: status.creationTime }),
      ...(status?.restoreSize && { restoreSize: String(status.restoreSize) }),
    }))
    .sort((a, b) => (String(a.claim) < String(b.claim) ? -1 : 1))
  await context.record({ result: { set: set.id, volumeSnapshots } })
  await context.finish(`${made.length} volume snapshots are ready.`)
  return { next: 'done', message: readyMessage(context) }
}

function readyMessage(context: Context): string {
  return `The volume snapshots are ready. They have the label ${setSelector(setOf(context))}.`
}

/** Nothing is deleted: a snapshot that is ready may be the only one. */
export async function leaveSnapshots(context: Context): Promise<string | undefined> {
  const { note } = context.operation.status?.step ?? {}
  if (!note) return undefined
  const set = setOf(context)
  return `What was made of this set stays, and is not whole: delete the volume snapshots in ${namespaceOf(set.target.project)} with the label ${setSelector(set)}, if there are any.`
}
