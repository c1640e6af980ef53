import type { KubernetesObject } from '../../../shared/kubernetes/objects.ts'
import { readDatabase } from '../../resources/cratedb.ts'
import { namespaceOf } from '../../resources/kind.ts'
import { label } from '../../resources/labels.ts'
import type { Operation } from '../../resources/operation.ts'
import { databaseOf, readCrateDB } from './database-steps.ts'
import { settleVolumes } from './volumes.ts'
import { isDone, noteObserved, type Progress, type Work, type WorkContext } from './work.ts'

/** Deletes a database: its volumes are told first whether to stay; its Secrets go last, since pods need them to stop. */
export const deleteDatabase: Work = {
  async advance(context) {
    const { operation } = context
    const current = await readCrateDB(context)
    if (current && operation.spec.parameters?.unprotected !== true && isProtected(current)) return stillProtected([current])
    if (current && !isDone(operation, volumeStep(operation))) return decideOnVolumes(context, current)
    if (current) return remove(context, current)
    const left = await whatIsLeft(context)
    if (left > 0) return { next: 'wait', message: `${left} objects of the database are still being taken down.`, recheckMs: 500 }
    if (!isDone(operation, 'delete-secrets')) return removeSecrets(context)
    return { next: 'done', message: keptMessage(operation) }
  },
}

/**
 * Protected since the deletion was accepted, or without the replica that accepted it having heard of that. What was accepted before it
 * to take the protection away gave way to the deletion, which says so in its parameters.
 */
export function isProtected(database: KubernetesObject): boolean {
  return database.metadata.deletionTimestamp === undefined && readDatabase(database).deletionProtection
}

export function stillProtected(databases: KubernetesObject[]): Progress {
  const names = databases.map(({ metadata }) => metadata.name).join(', ')
  return {
    next: 'failed',
    reason: 'Protected',
    message: `Protected against deletion: ${names}.`,
    action: 'Set deletionProtection to false first, if the deletion is really meant.',
  }
}

function volumeStep({ spec }: Operation): 'retain-volumes' | 'release-volumes' {
  return spec.parameters?.retainVolumes !== false ? 'retain-volumes' : 'release-volumes'
}

async function decideOnVolumes(context: WorkContext, current: KubernetesObject): Promise<Progress> {
  const step = volumeStep(context.operation)
  if (!context.operation.status?.step) await context.begin(step)
  const retainedVolumes = await settleVolumes(context, current, step === 'retain-volumes')
  // Noted before anything is deleted: afterwards the claims are gone.
  await context.record({ result: { retainedVolumes } })
  await context.finish(`${retainedVolumes.length} volumes will stay.`)
  return { next: 'again' }
}

async function remove(context: WorkContext, current: KubernetesObject): Promise<Progress> {
  if (context.operation.status?.step?.name !== 'delete') await context.begin('delete')
  await noteObserved(context, current)
  if (!current.metadata.deletionTimestamp) await context.cluster.remove(current)
  return { next: 'wait', message: 'The Crate Operator and the API server are taking the database down.' }
}

/**
 * What the operator made is collected once the CrateDB is gone. Only then is the name free: a new database must not meet the
 * claims of the old one.
 */
async function whatIsLeft(context: WorkContext): Promise<number> {
  const { project, database } = databaseOf(context)
  const selector = `app.kubernetes.io/name=${database},app.kubernetes.io/component=cratedb`
  const kindsOfChildren = ['StatefulSet', 'Pod', 'PersistentVolumeClaim'] as const
  const left = await Promise.all(kindsOfChildren.map((kind) => context.cluster.list(kind, namespaceOf(project), selector)))
  return left.flat().length
}

/** The operator owns what it made, and leaves the Secrets that came with the request. */
async function removeSecrets(context: WorkContext): Promise<Progress> {
  const { project, database } = databaseOf(context)
  if (context.operation.status?.step?.name === 'delete') await context.finish()
  if (!context.operation.status?.step) await context.begin('delete-secrets')
  const labels = `app.kubernetes.io/managed-by=skerry,${label.project}=${project},${label.database}=${database}`
  for (const secret of await context.cluster.list('Secret', namespaceOf(project), labels)) await context.cluster.remove(secret)
  await context.finish()
  return { next: 'again' }
}

function keptMessage(operation: Operation): string {
  const kept = (operation.status?.result?.retainedVolumes as unknown[] | undefined)?.length ?? 0
  if (kept === 0) return 'Deleted; no volume was kept.'
  const [volumes, were, stay] = kept === 1 ? ['1 volume', 'was', 'stays'] : [`${kept} volumes`, 'were', 'stay']
  if (volumeStep(operation) === 'retain-volumes') return `Deleted; ${volumes} ${were} kept, see the result.`
  return `Deleted; ${volumes} ${stay} all the same, since the cluster retains them: see the result, and delete them by hand.`
}
