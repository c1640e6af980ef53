import type { KubernetesObject } from '../../../shared/kubernetes/objects.ts'
import { describeBytes, parseBytes } from '../../../shared/kubernetes/quantity.ts'
import { otherOwner } from '../../resources/kept-volume.ts'
import type { DatabaseTarget } from '../../resources/kind.ts'
import { label } from '../../resources/labels.ts'
import type { RetainedDatabase, RetainedDatabaseVolume } from '../../resources/retained-database.ts'
import { sharedVolumes } from '../../resources/retained-keeping.ts'
import { type DecisionParts, type Proposed, refusal, seconds } from '../deciding/decision.ts'
import { deletedOfRequest, deletedPlace, readRecord, withDeleted, workingOn } from '../deciding/deleted-database.ts'
import type { Progress, WorkContext } from '../work/context.ts'
import { showPhase } from '../work/retaining.ts'
import { type Action, type Asked, databaseRequest } from './action.ts'

/**
 * Deletes the data of a deleted database. Each volume gets the reclaim policy `Delete`, and its storage deletes it. What no storage deletes is
 * named, and the record stays until it is gone.
 */
export const purge: Action<DatabaseTarget> = {
  name: 'purge',
  // The database of that name, if there is one by now, is not concerned.
  phase: undefined,
  requests: [
    databaseRequest({
      method: 'DELETE',
      at: deletedPlace(''),
      operationId: 'purgeDeletedDatabase',
      summary: 'Deletes the data of a deleted database for good',
      description: 'It cannot be had back afterwards. The operation names the volumes that the storage does not delete.',
      asksForState: false,
      prepare: withDeleted,
      decide,
    }),
  ],
  work: { advance, leave },
}

function decide(parts: DecisionParts, asked: Asked<DatabaseTarget>): Proposed {
  const { record, volumes } = deletedOfRequest(asked)
  const { name } = record.metadata
  asked.guard(record)
  const working = workingOn(parts, asked.target, name)
  if (working) {
    const message = `operation ${working.metadata.name} (${working.spec.action}) of it has not ended; repeat the request when it has`
    throw refusal('wrong-state', [{ path: '', message }])
  }
  const shared = sharedVolumes(record, othersOf(record, parts.caches.retained.values()))
  const looked = record.spec.volumes.map((volume) => {
    const left = shared.has(volume.uid) ? ofAnother : whyLeft(standingOf(volumes, volume), volume, record.spec)
    return { volume, left }
  })
  const goes = looked.filter(({ left }) => left === undefined).map(({ volume }) => volume)
  const bytes = goes.reduce((sum, { capacity }) => sum + (parseBytes(capacity ?? '') ?? 0n), 0n)
  const stays = looked.flatMap(({ volume: { volume }, left }) => (left === undefined ? [] : [`Volume ${volume} stays: ${left}.`]))
  const consequences = [
    `${goes.length} ${goes.length === 1 ? 'volume' : 'volumes'} (${describeBytes(bytes)}) of the database deleted ${record.spec.deletedAt} will be deleted: nothing of the data is left.`,
    ...stays,
  ]
  return {
    parameters: { deleted: name },
    timeoutSeconds: seconds(parts.config.timeouts.delete),
    plan: [{ name: 'delete-volumes', objects: [], consequences, removed: [record] }],
  }
}

/** A database that failed to come back and was deleted again shares volumes with the one that it was. */
const ofAnother = 'another deleted database of that name has it, too'

/** Selects the records of the same name. */
function sameName({ spec: { project, database } }: RetainedDatabase): string {
  return `${label.project}=${project},${label.database}=${database}`
}

/** The other records of the same name. */
function othersOf({ metadata, spec }: RetainedDatabase, all: Iterable<RetainedDatabase>): RetainedDatabase[] {
  return [...all].filter((other) => {
    const isSameName = other.spec?.project === spec.project && other.spec.database === spec.database
    return isSameName && other.metadata.name !== metadata.name
  })
}

function standingOf(volumes: KubernetesObject[], { volume }: RetainedDatabaseVolume): KubernetesObject | undefined {
  return volumes.find(({ metadata }) => metadata.name === volume)
}

/** Who deletes a volume is its provisioner, and the volume says which one made it. Nobody deletes one that was made by hand. */
const madeBy = 'pv.kubernetes.io/provisioned-by'

/** Why a volume stays; undefined if it is deleted, or is gone. */
function whyLeft(
  standing: KubernetesObject | undefined,
  { uid, claim }: RetainedDatabaseVolume,
  owner: RetainedDatabase['spec'],
): string | undefined {
  if (!standing || standing.metadata.uid !== uid || standing.metadata.deletionTimestamp) return undefined
  const { claimRef } = standing.spec
  if (`${claimRef?.namespace}/${claimRef?.name}` !== claim) return `it serves ${claimRef?.namespace}/${claimRef?.name} by now`
  const other = otherOwner(standing, owner)
  if (other !== undefined) return `it has the data of database ${other}`
  const { phase } = standing.status ?? {}
  if (phase === 'Bound') return `the claim ${claim} uses it`
  if (standing.metadata.annotations?.[madeBy] === undefined)
    return 'no provisioner made it, so none deletes it: delete its data by hand, then the PersistentVolume'
  return undefined
}

type Left = { volume: string; why: string }

async function advance(context: WorkContext<DatabaseTarget>): Promise<Progress> {
  const record = await recordOf(context)
  if (!record) return { next: 'done', message: 'The deleted database is gone.' }
  if (!context.operation.status?.step) await context.begin('delete-volumes')
  await showPhase(context, record, { phase: 'Purging', message: `Operation ${context.operation.metadata.name} deletes its data.` })
  const all = (await context.cluster.list('RetainedDatabase', context.options.namespace, sameName(record))) as RetainedDatabase[]
  const shared = sharedVolumes(record, othersOf(record, all))
  const own = record.spec.volumes.filter(({ uid }) => !shared.has(uid))
  const fates = await Promise.all(own.map((volume) => purgeVolume(context, record, volume)))
  const left = fates.flatMap((fate) => (typeof fate === 'object' ? fate : []))
  const open = fates.filter((fate) => fate === 'going').length
  if (open > 0) return { next: 'wait', message: `${open} volumes are being deleted by their storage.`, recheckMs: 500 }
  if (left.length > 0) return incomplete(context, record, left)
  await context.cluster.remove(record)
  const stay = record.spec.volumes.length - own.length
  const rest = stay === 0 ? '' : ` ${stay} ${stay === 1 ? 'stays' : 'stay'} for another deleted database of that name.`
  await context.finish(`${own.length} volumes are deleted.`)
  return { next: 'done', message: `Purged: ${own.length} volumes are deleted.${rest}` }
}

/** Does the next thing for one volume. */
async function purgeVolume(
  { cluster }: WorkContext<DatabaseTarget>,
  record: RetainedDatabase,
  wanted: RetainedDatabaseVolume,
): Promise<'gone' | 'going' | Left> {
  const { volume } = wanted
  const ref = { kind: 'PersistentVolume' as const, name: volume }
  const standing = await cluster.read(ref)
  if (!standing || standing.metadata.uid !== wanted.uid) return 'gone'
  const why = whyLeft(standing, wanted, record.spec)
  if (why !== undefined) return { volume, why }
  const { spec, status = {}, metadata } = standing
  const { resourceVersion } = metadata
  const isToGo = spec.persistentVolumeReclaimPolicy === 'Delete'
  if (isToGo && status.phase === 'Failed') {
    // Nobody tries again, and an undelete must know that nothing is being deleted.
    await cluster.patch(ref, { metadata: { resourceVersion }, spec: { persistentVolumeReclaimPolicy: 'Retain' } })
    return { volume, why: `its storage did not delete it: ${status.message ?? 'it does not say why'}` }
  }
  if (isToGo || metadata.deletionTimestamp) return 'going'
  // Only a volume that was released is deleted. One that is reserved was released of a claim that never was: its uid is that of the record.
  const claimRef = spec.claimRef.uid === undefined ? { claimRef: { uid: record.metadata.uid ?? '' } } : {}
  await cluster.patch(ref, { metadata: { resourceVersion }, spec: { persistentVolumeReclaimPolicy: 'Delete', ...claimRef } })
  return 'going'
}

async function incomplete(context: WorkContext<DatabaseTarget>, record: RetainedDatabase, left: Left[]): Promise<Progress> {
  const told = left.map(({ volume, why }) => `${volume}: ${why}`).join('; ')
  await noteLeft(context, record, left)
  await context.record({ result: { left } })
  await context.finish(`${left.length} volumes are left.`)
  return {
    next: 'failed',
    reason: 'PurgeIncomplete',
    message: `${left.length} of ${record.spec.volumes.length} volumes are left. ${told}.`,
    action: 'Delete them by hand, and repeat the request. Until then what is left can still be had back.',
  }
}

function recordOf(context: WorkContext<DatabaseTarget>): Promise<RetainedDatabase | undefined> {
  const { deleted } = context.operation.spec.parameters as { deleted: string }
  return readRecord((ref) => context.cluster.read(ref), context.options.namespace, deleted)
}

/** What was begun goes on in the storage: the record says what is still there. */
async function leave(context: WorkContext<DatabaseTarget>): Promise<undefined> {
  const record = await recordOf(context)
  if (!record) return
  const standing = await Promise.all(
    record.spec.volumes.map(({ volume }) => context.cluster.read({ kind: 'PersistentVolume', name: volume })),
  )
  const left = standing.flatMap((volume) => (volume ? [{ volume: volume.metadata.name, why: 'its storage has not deleted it yet' }] : []))
  if (left.length > 0) await noteLeft(context, record, left)
}

/** The controller of deleted databases keeps the rest of the status. */
async function noteLeft({ cluster }: WorkContext<DatabaseTarget>, { metadata }: RetainedDatabase, left: Left[]): Promise<void> {
  const { name, namespace = '' } = metadata
  const message = 'The storage did not delete every volume.'
  await cluster.patchStatus({ kind: 'RetainedDatabase', namespace, name }, { status: { phase: 'PurgeIncomplete', message, left } })
}
