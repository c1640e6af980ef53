import type { KubernetesObject } from '../../../shared/kubernetes/objects.ts'
import { namespaceOf } from '../../resources/kind.ts'
import { deletedWith } from '../../resources/operation.ts'
import { isProtected, stillProtected } from './database-delete.ts'
import { type RetainedVolume, settleVolumes } from './volumes.ts'
import { isDone, noteObserved, type Progress, type Work, type WorkContext } from './work.ts'

/**
 * Deletes a project: its databases first, each with its volumes kept or let go, then the Project, whose
 * controller takes the namespace down. Never the namespace first: the operator gives up in one that terminates.
 */
export const deleteProject: Work = {
  async advance(context) {
    const { project } = context.operation.spec.target
    const databases = await context.cluster.list('CrateDB', namespaceOf(project))
    if (databases.length > 0) return removeDatabases(context, databases)
    if (context.operation.status?.step?.name === 'databases') await context.finish()
    const current = await context.cluster.read({ kind: 'Project', name: project })
    if (!current) return finish(context)
    if (context.operation.status?.step?.name !== 'delete') await context.begin('delete')
    await noteObserved(context, current)
    if (!current.metadata.deletionTimestamp) await context.cluster.remove(current)
    return { next: 'wait', message: 'The namespace of the project is being taken down.' }
  },
}

async function removeDatabases(context: WorkContext, databases: KubernetesObject[]): Promise<Progress> {
  const { parameters } = context.operation.spec
  if (parameters?.cascade !== true) {
    const names = databases.map(({ metadata }) => metadata.name).join(', ')
    return {
      next: 'failed',
      reason: 'NotEmpty',
      message: `Databases stand in the project: ${names}.`,
      action: 'Delete them first, or ask with cascade=true.',
    }
  }
  const unprotected = (parameters.unprotected ?? []) as string[]
  const kept = databases.filter((database) => isProtected(database) && !unprotected.includes(database.metadata.name))
  if (kept.length > 0) return stillProtected(kept)
  if (context.operation.status?.step?.name !== 'databases') await context.begin('databases')
  const retained = (context.operation.status?.result?.retainedVolumes ?? []) as RetainedVolume[]
  const deleted = [...deletedWith(context.operation)]
  for (const database of databases.filter(({ metadata }) => !metadata.deletionTimestamp)) {
    const claimed = new Set(retained.map(({ claim }) => claim))
    const settled = await settleVolumes(context, database, parameters.retainVolumes !== false)
    retained.push(...settled.filter(({ claim }) => !claimed.has(claim)))
    const { name: id, uid = '' } = database.metadata
    if (!deleted.some((other) => other.uid === uid)) deleted.push({ id, uid })
    await context.record({ result: { retainedVolumes: retained, databases: deleted } })
    await context.cluster.remove(database)
  }
  return { next: 'wait', message: `${databases.length} databases are being deleted.` }
}

async function finish(context: WorkContext): Promise<Progress> {
  if (context.operation.status?.step) await context.finish()
  return { next: 'done', message: isDone(context.operation, 'databases') ? 'Deleted with its databases.' : 'Deleted.' }
}
