import { randomBytes } from 'node:crypto'
import type { KubernetesObject } from '../../../shared/kubernetes/objects.ts'
import { unpackJson } from '../../region-file/import/pieces.ts'
import type { ExportedDatabase } from '../../region-file/schema.ts'
import { claimGroups, claimsOfGroup, groupNames } from '../../resources/data-claims.ts'
import type { StoredDatabaseSpec } from '../../resources/database.ts'
import { secretObject, toBase64 } from '../../resources/database-secrets.ts'
import { countsOf, createdAnew } from '../../resources/foreign-database.ts'
import { type DatabaseTarget, namespaceOf, type Step } from '../../resources/kind.ts'
import type { VolumeManifest } from '../../resources/volume-manifest.ts'
import { handleOf } from '../../resources/volume-source.ts'
import { isDone, type Progress, type WorkContext } from './context.ts'
import { advanceToState } from './database-state.ts'
import { advanceSteps, readCrateDB } from './database-steps.ts'
import { claimsAreTheirs, giveUpVolumes, reserveVolumes, type VolumeToReserve } from './reattach.ts'

type Context = WorkContext<DatabaseTarget>

/** The step before the creation. */
export const reserveStep = 'reserve-volumes'

/** What the operation keeps of the file. */
type Kept = Pick<ExportedDatabase, 'cratedb' | 'volumes'>

/** Reserves the volumes, makes the database, and makes sure that its claims got them. */
export async function advanceReattach(context: Context): Promise<Progress> {
  const { operation } = context
  const kept = (await unpackJson(await context.piece(0))) as Kept
  const volumes = kept.volumes.map(toReserve)
  if (!isDone(operation, reserveStep)) return reserve(context, volumes)
  const progress = await (kept.cratedb ? createForeign(context, kept.cratedb) : advanceToState(context))
  if (progress.next === 'failed' || progress.next === 'again') return progress
  const served = await claimsAreTheirs(context, ofNodes(operation.spec.wanted as StoredDatabaseSpec, kept, volumes))
  if (served?.next === 'failed' || progress.next === 'wait') return served?.next === 'failed' ? served : progress
  return served ?? { ...progress, message: 'The database has its volumes again. Its users have the passwords that are in the data.' }
}

async function reserve(context: Context, volumes: VolumeToReserve[]): Promise<Progress> {
  if (!context.operation.status?.step) await context.begin(reserveStep)
  const waiting = await reserveVolumes(context, volumes)
  if (waiting) return waiting
  await context.finish(`${volumes.length} volumes are reserved.`)
  // A cancellation between two steps would leave them reserved.
  await context.begin('create')
  return { next: 'again' }
}

/** Without the database, its volumes are for nobody again: a new one of that name must not get them. */
export async function leaveReattach(context: Context): Promise<undefined> {
  if (await readCrateDB(context)) return
  const { volumes } = (await unpackJson(await context.piece(0))) as Kept
  const names = volumes.map(({ metadata }) => metadata.name)
  await giveUpVolumes(context, names, context.operation.metadata.uid ?? '')
}

function toReserve(manifest: VolumeManifest): VolumeToReserve {
  const { metadata, spec } = manifest
  const object = manifest as KubernetesObject
  const handle = handleOf(object)
  return {
    volume: metadata.name,
    uid: '',
    claim: `${spec.claimRef.namespace}/${spec.claimRef.name}`,
    capacity: spec.capacity.storage,
    ...(spec.storageClassName !== undefined && { storageClass: spec.storageClassName }),
    ...(handle !== undefined && { handle }),
    manifest: object,
  }
}

/** Those of the nodes that it has: volumes of nodes that it had before are reserved for when it has them again. */
function ofNodes(wanted: StoredDatabaseSpec, { cratedb }: Kept, volumes: VolumeToReserve[]): VolumeToReserve[] {
  const claims = new Set(claimGroups(wanted, groupNames(cratedb?.spec)).flatMap((group) => claimsOfGroup(wanted.id, group)))
  return volumes.filter(({ claim }) => claims.has(claim.slice(claim.indexOf('/') + 1)))
}

async function createForeign(context: Context, cratedb: NonNullable<ExportedDatabase['cratedb']>): Promise<Progress> {
  const { target, operation } = context
  const current = await readCrateDB(context)
  if (current?.metadata.deletionTimestamp) return { next: 'wait', message: 'The database of this name is still being deleted.' }
  if (current) return advanceSteps(context, current, [])
  const object = createdAnew(target, cratedb, countsOf(operation.spec.wanted as StoredDatabaseSpec))
  const secrets = await missingSecrets(context, object)
  const create: Step = { name: 'create', consequences: [], objects: [...secrets, object] }
  return advanceSteps(context, undefined, [create])
}

/** Secrets that the CrateDB refers to and nobody has any more, with values of chance: the operator needs them to be there. */
async function missingSecrets({ cluster, target }: Context, object: KubernetesObject): Promise<KubernetesObject[]> {
  const keys = Map.groupBy(referencesIn(object.spec), ({ name }) => name)
  const all = [...keys].map(async ([name, references]) => {
    if (await cluster.read({ kind: 'Secret', namespace: namespaceOf(target.project), name })) return []
    const data = references.map(({ key }): [string, string] => [key, toBase64(randomBytes(24).toString('base64url'))])
    return [secretObject(target, name, Object.fromEntries(data))]
  })
  return (await Promise.all(all)).flat()
}

function referencesIn(part: unknown): { name: string; key: string }[] {
  if (typeof part !== 'object' || part === null) return []
  return Object.entries(part).flatMap(([member, value]) =>
    member === 'secretKeyRef' && typeof value?.name === 'string' && typeof value.key === 'string'
      ? [{ name: value.name, key: value.key }]
      : referencesIn(value),
  )
}
