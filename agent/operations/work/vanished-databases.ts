import type { KubernetesObject } from '../../../shared/kubernetes/objects.ts'
import { isClaimOf } from '../../resources/data-claims.ts'
import { volumeAnnotation } from '../../resources/kept-volume.ts'
import { namespaceOf, type ProjectTarget } from '../../resources/kind.ts'
import { label } from '../../resources/labels.ts'
import { deletedWith } from '../../resources/operation.ts'
import type { RetainedDatabase } from '../../resources/retained-database.ts'
import { recordedVolumes } from '../../resources/retained-keeping.ts'
import type { Progress, WorkContext } from './context.ts'
import { keepRecord } from './retaining.ts'
import { unlessNotServed } from './unless-not-served.ts'
import { keptVolumes } from './volumes.ts'

type Context = WorkContext<ProjectTarget>

/** How often it looks for the records, and how long it waits between two looks, in milliseconds. */
const [looks, recheckMs] = [20, 500]

/**
 * Sees to databases that somebody deleted by hand while the deletion of their project was open: their Secrets are still in its namespace. The
 * controller of deletions records each of them, with its last state. If it does not, the volumes and the Secrets alone are recorded.
 *
 * @returns undefined once the namespace can be deleted
 */
export async function seeToVanished(context: Context): Promise<Progress | undefined> {
  const vanished = await unrecorded(context)
  if (vanished.length === 0) return undefined
  const { step } = context.operation.status ?? {}
  const looked = (step?.note as { looked?: number } | undefined)?.looked ?? 0
  if (looked < looks) {
    await context.begin(step?.name ?? 'databases', { ...step?.note, looked: looked + 1 })
    return { next: 'wait', message: `The deletion of ${vanished.join(', ')} by hand is being recorded.`, recheckMs }
  }
  for (const database of vanished) {
    const target = { kind: 'database' as const, project: context.target.project, database }
    const volumes = await keptVolumes(context, target, undefined)
    const deletedAt = context.operation.status?.startedAt ?? context.operation.spec.acceptedAt
    await keepRecord(context, target, { volumes }, { origin: 'found', deletedAt, deletedBy: 'nobody knows' })
  }
  return undefined
}

/** The databases that are gone and not by this operation, and whose volumes are kept and in no record. None where there are no records. */
async function unrecorded({ cluster, operation, options, target: { project } }: Context): Promise<string[]> {
  const ofProject = `${label.project}=${project}`
  const records = await unlessNotServed(cluster.list('RetainedDatabase', options.namespace, ofProject))
  if (records === undefined) return []
  const known = recordedVolumes(records as RetainedDatabase[])
  const own = new Set(deletedWith(operation).map(({ id }) => id))
  const databases = (await cluster.list('PersistentVolume', undefined, ofProject)).flatMap((volume) => {
    const database = databaseKeptOn(volume, project)
    return database === undefined || own.has(database) || known.has(volume.metadata.uid ?? '') ? [] : [database]
  })
  return [...new Set(databases)].sort()
}

function databaseKeptOn({ metadata, spec }: KubernetesObject, project: string): string | undefined {
  const { labels = {}, annotations = {}, deletionTimestamp } = metadata
  const database = labels[label.database]
  const { namespace, name = '' } = spec?.claimRef ?? {}
  const isKept = spec?.persistentVolumeReclaimPolicy === 'Retain' && annotations[volumeAnnotation.letGo] === undefined
  if (!isKept || deletionTimestamp !== undefined || namespace !== namespaceOf(project)) return undefined
  return database !== undefined && isClaimOf(name, database, undefined) ? database : undefined
}
