import { createHash } from 'node:crypto'
import type { KubernetesObject } from '../../../shared/kubernetes/objects.ts'
import { unpackJson } from '../../region-file/import/pieces.ts'
import type { ImportedDeletion } from '../../region-file/import/verdict.ts'
import { toBase64 } from '../../resources/database-secrets.ts'
import { otherOwner } from '../../resources/kept-volume.ts'
import type { DatabaseTarget } from '../../resources/kind.ts'
import type { RetainedDatabase, RetainedDatabaseSpec } from '../../resources/retained-database.ts'
import { recordedCrateDB, retainedDatabase, retainedSecret, retainedVolumeOf } from '../../resources/retained-record.ts'
import type { VolumeManifest } from '../../resources/volume-manifest.ts'
import { dataOf } from '../../resources/volume-source.ts'
import { isDone, type Progress, type WorkContext } from './context.ts'
import { keepSecrets } from './retained-secret.ts'
import { whyOfOthers } from './retaining.ts'

type Context = WorkContext<DatabaseTarget>

/** The step before the record. */
export const makeVolumesStep = 'make-volumes'

/** Makes the volumes of a deleted database again, as they are after the deletion, and then its record. */
export async function advanceKeepDeleted(context: Context): Promise<Progress> {
  const deletion = (await unpackJson(await context.piece(0))) as ImportedDeletion
  if (!isDone(context.operation, makeVolumesStep)) return makeVolumes(context, deletion.volumes)
  const { operation } = context
  if (operation.status?.step === undefined) await context.begin('record')
  const record = await writeRecord(context, deletion)
  if (!('metadata' in record)) return record
  await context.finish()
  return { next: 'done', message: `It is kept as ${record.metadata.name}, for as long as nobody purges it.` }
}

async function makeVolumes(
  { cluster, operation, target, begin, finish }: Context,
  manifests: readonly VolumeManifest[],
): Promise<Progress> {
  if (!operation.status?.step) await begin(makeVolumesStep)
  let open: string | undefined
  for (const manifest of manifests) {
    const { name } = manifest.metadata
    const standing = await cluster.read({ kind: 'PersistentVolume', name })
    if (standing && dataOf({ spec: standing.spec }) !== dataOf(manifest))
      return { next: 'failed', reason: 'VolumeTaken', message: `Volume ${name} is another one of that name.` }
    const other = standing && otherOwner(standing, target)
    if (other !== undefined) return { next: 'failed', reason: 'VolumeTaken', message: `Volume ${name} has the data of database ${other}.` }
    if (!standing) await cluster.apply(released(manifest), undefined)
    if (!standing || ['Pending', undefined].includes(standing.status?.phase)) open ??= name
  }
  if (open !== undefined) return { next: 'wait', message: `Volume ${open} has no phase yet.`, recheckMs: 500 }
  await finish(`${manifests.length} volumes are there.`)
  return { next: 'again' }
}

/**
 * The volume of a claim that is gone: with the uid of a claim that never was, no other claim of that name gets it before somebody has the
 * database back.
 */
function released(manifest: VolumeManifest): KubernetesObject {
  const hex = createHash('sha256').update(`claim of ${manifest.metadata.name}`).digest('hex')
  const uid = [hex.slice(0, 8), hex.slice(8, 12), `5${hex.slice(13, 16)}`, `8${hex.slice(17, 20)}`, hex.slice(20, 32)].join('-')
  const { claimRef, ...spec } = manifest.spec
  return { ...(manifest as KubernetesObject), spec: { ...spec, claimRef: { ...claimRef, uid } } }
}

/** As it was, but without the time at which it would be purged: that may have come while the cluster was away. */
async function writeRecord(
  { cluster, target, options }: Context,
  { record, volumes, secrets = {} }: ImportedDeletion,
): Promise<RetainedDatabase | Progress> {
  const spec = record as unknown as RetainedDatabaseSpec
  const { origin, deletedAt, deletedBy, uid, wanted, shape } = spec
  const standing = await Promise.all(volumes.map(({ metadata }) => cluster.read({ kind: 'PersistentVolume', name: metadata.name })))
  const found = standing.filter((volume) => volume !== undefined)
  const claimOf = ({ spec: { claimRef } }: KubernetesObject) => `${claimRef.namespace}/${claimRef.name}`
  const made = retainedDatabase(
    options.namespace,
    target,
    {
      ...{ cratedb: recordedCrateDB({ spec } as RetainedDatabase), wanted, shape, secrets: Object.keys(secrets) },
      volumes: found.map((volume) => retainedVolumeOf(volume, claimOf(volume))),
    },
    { origin, deletedAt, deletedBy, uid },
  )
  const { name, namespace = '' } = made.metadata
  const before = await cluster.read({ kind: 'RetainedDatabase', namespace, name })
  const message = whyOfOthers(before, target.project)
  if (message !== undefined) return { next: 'failed', reason: 'NameTaken', message }
  const written = (await cluster.apply(made, before)) as RetainedDatabase
  if (Object.keys(secrets).length === 0) return written
  const data = Object.entries(secrets).map(([key, text]): [string, string] => [key, toBase64(text)])
  await keepSecrets({ cluster }, { ...retainedSecret(written, []), data: Object.fromEntries(data) })
  return written
}
