import { isProblem, Problem } from '../../../shared/errors.ts'
import type { KubernetesObject } from '../../../shared/kubernetes/objects.ts'
import { unlessNamespaceGone } from '../../region/project-rights.ts'
import { claimGroups, claimsOfGroup, groupNames, isClaimOf } from '../../resources/data-claims.ts'
import type { StoredDatabaseSpec } from '../../resources/database.ts'
import { type DatabaseShape, readShape } from '../../resources/kept-volume.ts'
import { type DatabaseTarget, namespaceOf } from '../../resources/kind.ts'
import { label } from '../../resources/labels.ts'
import type {
  RetainedDatabase,
  RetainedDatabaseSpec,
  RetainedDatabaseStatus,
  RetainedDatabaseVolume,
} from '../../resources/retained-database.ts'
import {
  type DeletedDatabase,
  type DeletionFacts,
  recordedCrateDB,
  retainedDatabase,
  retainedSecret,
  secretsNamedBy,
} from '../../resources/retained-record.ts'
import type { WorkContext } from './context.ts'
import { keepSecrets } from './retained-secret.ts'
import { unlessNotServed } from './unless-not-served.ts'

type Context = Pick<WorkContext, 'cluster' | 'operation' | 'options'>

/** After so many attempts it counts as missing: a starting API server does not serve the kinds of its CRDs yet. */
const patience = 5

/**
 * Writes the record of a deleted database, with its Secrets, while they are there. It may be interrupted and called again.
 *
 * @returns the name of the record; undefined if there is no data to have back, or if the cluster cannot hold the record: its CRD or the
 *   permission for it is missing after an upgrade by hand. The volumes are kept all the same.
 */
export async function keepRecord(
  context: Context,
  target: DatabaseTarget,
  deleted: Omit<DeletedDatabase, 'secrets' | 'shape'>,
  facts: DeletionFacts,
): Promise<string | undefined> {
  // A class that retains keeps heap dumps too, which nobody has back.
  const groups = groupNames(deleted.cratedb?.spec)
  const volumes = deleted.volumes.filter(({ claim }) => isClaimOf(claim.slice(claim.indexOf('/') + 1), target.database, groups))
  if (volumes.length === 0) return undefined
  const secrets = await secretsOf(context, target, deleted.cratedb)
  const shape = deleted.cratedb ? undefined : await shapeOn(context, volumes)
  const wanted = retainedDatabase(
    context.options.namespace,
    target,
    { ...deleted, shape, volumes, secrets: secrets.map(({ metadata }) => metadata.name) },
    facts,
  )
  try {
    const record = await write(context, wanted)
    await keepSecrets(context, retainedSecret(record, secrets))
    return record.metadata.name
  } catch (error) {
    const isMissing = isProblem(error, 'not-served', 'cluster-forbidden') && (context.operation.status?.attempts ?? 0) >= patience
    if (isMissing) return undefined
    throw error
  }
}

/** What a deletion says of its database, of before it began: the CrateDB as it stood, or the state that a waiting change had asked for. */
export type AsAccepted = Pick<RetainedDatabaseSpec, 'cratedb' | 'wanted'>

/**
 * The record of a database that an operation deletes: until when its data is kept was decided at acceptance. What earlier versions accepted
 * expires never, as they said.
 */
export async function recordDeleted(
  context: Context,
  target: DatabaseTarget,
  cratedb: KubernetesObject | undefined,
  volumes: RetainedDatabaseVolume[],
): Promise<string | undefined> {
  const { metadata, spec, status } = context.operation
  const { keepDays, wanted, ...accepted } = (spec.parameters ?? {}) as { keepDays?: number } & AsAccepted
  const before = cratedb ? undefined : await ownRecord(context, target)
  const stood = cratedb ?? recordedCrateDB(before ?? { spec: { ...target, cratedb: accepted.cratedb } })
  return keepRecord(
    context,
    target,
    { cratedb: stood, wanted: wanted && has(target, wanted, volumes) ? wanted : undefined, volumes: before?.spec.volumes ?? volumes },
    {
      origin: 'operation',
      // The same in every attempt.
      deletedAt: status?.startedAt ?? spec.acceptedAt,
      deletedBy: spec.requestedBy,
      operation: metadata.name,
      uid: before?.spec.uid ?? cratedb?.metadata.uid,
      keepDays,
    },
  )
}

/** Whether the volumes are those of that state: else nobody knows how far the change to it had come, and they alone say what there was. */
function has({ database }: DatabaseTarget, wanted: StoredDatabaseSpec, volumes: RetainedDatabaseVolume[]): boolean {
  const names = volumes.map(({ claim }) => claim.slice(claim.indexOf('/') + 1)).filter((name) => isClaimOf(name, database, undefined))
  const expected = new Set(claimGroups(wanted).flatMap((group) => claimsOfGroup(database, group)))
  return names.length === expected.size && names.every((name) => expected.has(name))
}

/** What an attempt before this one has recorded, while the CrateDB was there. */
async function ownRecord({ cluster, operation, options }: Context, target: DatabaseTarget): Promise<RetainedDatabase | undefined> {
  const selector = `${label.project}=${target.project},${label.database}=${target.database}`
  const records = await unlessNotServed(cluster.list('RetainedDatabase', options.namespace, selector))
  const own = records?.find(({ spec }) => spec?.operation === operation.metadata.name && spec.cratedb !== undefined)
  return own as RetainedDatabase | undefined
}

/** How to have a deleted database back, for a message. */
export function howToHaveBack({ project }: DatabaseTarget, id: string): string {
  return `POST /v1/projects/${project}/deleted-databases/${id}/actions/undelete brings it back with them.`
}

/** That a deleted database has no record, for a message. */
export const noRecord = 'There is no record of it to have it back by: the CRD or the permission for that is missing.'

/** What the volumes say of their database, as the controller of volumes noted on them. */
async function shapeOn({ cluster }: Context, [first]: RetainedDatabaseVolume[]): Promise<DatabaseShape | undefined> {
  const volume = first && (await cluster.read({ kind: 'PersistentVolume', name: first.volume }))
  return volume && readShape(volume)
}

async function write({ cluster }: Context, wanted: RetainedDatabase): Promise<RetainedDatabase> {
  const { name, namespace = '' } = wanted.metadata
  const before = (await cluster.read({ kind: 'RetainedDatabase', namespace, name })) as RetainedDatabase | undefined
  const others = whyOfOthers(before, wanted.spec.project)
  if (others !== undefined) throw new Problem('wrong-state', others)
  // An attempt before this one may have seen Secrets that have gone with the namespace since.
  const secrets = [...new Set([...wanted.spec.secrets, ...(before?.spec.secrets ?? [])])].sort()
  return (await cluster.apply({ ...wanted, spec: { ...wanted.spec, secrets } }, before)) as RetainedDatabase
}

/**
 * Why a record must not be replaced; undefined if it may. Its name does not say the project, and a region file can name any database.
 * @param record the one that stands
 */
export function whyOfOthers(record: KubernetesObject | undefined, project: string): string | undefined {
  if (record === undefined || record.spec?.project === project) return undefined
  return `The record ${record.metadata.name} is that of a database of project ${record.spec?.project}.`
}

/** Its own Secrets, and those of another tool that its CrateDB refers to: they may go with the namespace. */
async function secretsOf({ cluster }: Context, target: DatabaseTarget, cratedb: KubernetesObject | undefined): Promise<KubernetesObject[]> {
  const namespace = namespaceOf(target.project)
  const inside = <T>(request: Promise<T>) => unlessNamespaceGone(request, () => cluster.read({ kind: 'Namespace', name: namespace }))
  const own = (await inside(cluster.list('Secret', namespace, ownSecrets(target)))) ?? []
  const known = new Set(own.map(({ metadata }) => metadata.name))
  const named = secretsNamedBy(cratedb ?? noObject).filter((name) => !known.has(name))
  const others = await Promise.all(named.map((name) => inside(cluster.read({ kind: 'Secret', namespace, name }))))
  const all = [...own, ...others.filter((secret) => secret !== undefined)]
  return all.filter(({ metadata }) => !metadata.name.startsWith('restore-from-backup-'))
}

const noObject: KubernetesObject = { apiVersion: '', kind: '', metadata: { name: '' } }

/** Selects the Secrets that the API made for a database. */
export function ownSecrets({ project, database }: DatabaseTarget): string {
  return `app.kubernetes.io/managed-by=skerry,${label.project}=${project},${label.database}=${database}`
}

/** Shows what an operation does with a deleted database. The controller of deleted databases shows the rest. */
export async function showPhase(
  { cluster }: Context,
  { metadata, status }: RetainedDatabase,
  shown: Pick<RetainedDatabaseStatus, 'phase' | 'message'>,
): Promise<void> {
  if (status?.phase === shown.phase && status.message === shown.message) return
  const { name, namespace = '' } = metadata
  await cluster.patchStatus({ kind: 'RetainedDatabase', namespace, name }, { status: shown })
}
