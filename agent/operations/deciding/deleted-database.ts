import * as z from 'zod'
import { type BodyFault, Problem } from '../../../shared/errors.ts'
import type { KindName, KubernetesObject } from '../../../shared/kubernetes/objects.ts'
import { kinds, pathOf } from '../../../shared/kubernetes/objects.ts'
import { readObject } from '../../../shared/kubernetes/read.ts'
import { storageClassesOf } from '../../region/status.ts'
import { readDatabase } from '../../resources/cratedb.ts'
import { groupsOf } from '../../resources/database.ts'
import { quotaExceeded } from '../../resources/database-usage.ts'
import { projectId, retainedDatabaseId } from '../../resources/identifiers.ts'
import type { DatabaseTarget } from '../../resources/kind.ts'
import type { Operation } from '../../resources/operation.ts'
import type { RetainedDatabase } from '../../resources/retained-database.ts'
import { sumOfRetained } from '../../resources/retained-keeping.ts'
import { readRetained } from '../../resources/retained-reading.ts'
import { readRetainedSecret } from '../../resources/retained-record.ts'
import type { UndeleteEvidence, Undeletion } from '../../resources/undelete.ts'
import { missingHosts } from '../../resources/volume-host.ts'
import type { Place } from '../actions/action.ts'
import type { DecisionParts } from './decision.ts'
import { retainedOf } from './retained.ts'

/** The parameters of a path to a deleted database. */
export const deletedParams = z.strictObject({
  project: projectId.describe('Id of the project, which may be gone').meta({ example: 'harbour' }),
  deleted: retainedDatabaseId.describe('Id of the deleted database').meta({ example: 'tidal-gauge.3f9a01bc' }),
})

/** The chapter of deleted databases in the OpenAPI document. */
export const deletedTag = 'Deleted databases'

/** Below `/v1`. */
export const deletedPath = '/projects/{project}/deleted-databases/{deleted}'

/** The place of a request about a deleted database: its target is the database that it was. @param under what follows its path */
export function deletedPlace(under: string): Place<DatabaseTarget> {
  return {
    path: `${deletedPath}${under}`,
    tag: deletedTag,
    params: deletedParams,
    targetOf: ({ project = '', deleted = '' }) => ({ kind: 'database', project, database: databaseIn(deleted) }),
  }
}

/** `tidal-gauge` of `tidal-gauge.3f9a01bc`. */
function databaseIn(id: string): string {
  return id.slice(0, id.lastIndexOf('.'))
}

/** Reads one object. */
type Read = (ref: { kind: KindName; namespace?: string; name: string }) => Promise<KubernetesObject | undefined>

/** The record of a deleted database; undefined if it has none. @throws Problem `wrong-state` when it cannot be believed */
export async function readRecord(read: Read, namespace: string, id: string): Promise<RetainedDatabase | undefined> {
  const record = (await read({ kind: 'RetainedDatabase', namespace, name: id })) as RetainedDatabase | undefined
  return record && believed(record)
}

/** Whoever may edit a record by hand must not get at the volumes of another database by it. @throws Problem `wrong-state` */
function believed(record: RetainedDatabase): RetainedDatabase {
  const { spec, fault } = readRetained(record)
  if (spec) return { ...record, spec }
  throw new Problem('wrong-state', `The record ${record.metadata.name} cannot be read, so nothing is done by it: ${fault}.`)
}

/**
 * What there is of a deleted database; undefined if it has no record.
 * @param namespace the agent's own
 * @throws Problem `wrong-state` when the record cannot be believed
 */
export async function readDeleted(read: Read, namespace: string, id: string): Promise<UndeleteEvidence | undefined> {
  const record = await readRecord(read, namespace, id)
  if (!record) return undefined
  const { volumes, secrets } = record.spec
  const [standing, claims, kept] = await Promise.all([
    Promise.all(volumes.map(({ volume }) => read({ kind: 'PersistentVolume', name: volume }))),
    Promise.all(
      volumes.map(async ({ claim }) => {
        const [home = '', name = ''] = claim.split('/')
        return (await read({ kind: 'PersistentVolumeClaim', namespace: home, name })) ? [claim] : []
      }),
    ),
    secrets.length > 0 ? readRetainedSecret(record, (name) => read({ kind: 'Secret', namespace, name })) : undefined,
  ])
  return {
    record,
    volumes: standing.filter((volume) => volume !== undefined),
    claims: claims.flat(),
    secrets: secrets.filter((name) => kept?.data?.[name] !== undefined),
  }
}

/** The request with what there is of the deleted database that it names. */
export async function withDeleted<Asked extends { params: Readonly<Record<string, string>> }>(
  { cluster, config }: DecisionParts,
  asked: Asked,
): Promise<Asked & { deleted?: UndeleteEvidence | undefined }> {
  const read: Read = ({ kind, namespace, name }) => readObject(cluster, pathOf(kinds[kind], namespace, name))
  return { ...asked, deleted: await readDeleted(read, config.namespace, asked.params.deleted ?? '') }
}

/** The deleted database of a request. @throws Problem `not-found` */
export function deletedOfRequest({
  target,
  params,
  deleted,
}: {
  target: DatabaseTarget
  params: Readonly<Record<string, string>>
  deleted?: UndeleteEvidence | undefined
}): UndeleteEvidence {
  if (deleted && deleted.record.spec.project === target.project) return deleted
  throw noSuchDeletedDatabase(target.project, params.deleted ?? '')
}

/** No deleted database has that id. */
export function noSuchDeletedDatabase(project: string, id: string): Problem {
  const detail = `Project ${project} has no deleted database ${id}: it was never there, was had back or purged, or its record cannot be read. GET /v1/projects/${project}/deleted-databases lists them.`
  return new Problem('not-found', detail)
}

/** The open operation on this deleted database, if there is one. */
export function workingOn({ journal }: Pick<DecisionParts, 'journal'>, target: DatabaseTarget, id: string): Operation | undefined {
  return journal.unended(target).find(({ spec }) => spec.parameters?.deleted === id)
}

/** What stands in the way of an undelete in the cluster as it is now, besides what its own plan found. */
export function surroundingFaults(
  { caches, heapDumpVolume }: DecisionParts,
  { used, cratedb }: Undeletion,
  { volumes }: UndeleteEvidence,
): BodyFault[] {
  const nodes = [...caches.nodes.values()]
  const names = new Set(used.map(({ volume }) => volume))
  const hosts = volumes.flatMap((volume) => {
    const where = names.has(volume.metadata.name) ? missingHosts(volume, nodes) : undefined
    return where === undefined ? [] : [`volume ${volume.metadata.name} can only be used on a host that is not in this cluster: ${where}`]
  })
  const classes = storageClassesOf(caches.storageClasses.values()).map(({ name }) => name)
  const debug = heapDumpVolume().storageClass
  const needed = new Set([...groupsOf(readDatabase(cratedb)).map(({ disk }) => disk.storageClass), ...(debug === undefined ? [] : [debug])])
  const absent = [...needed].filter((name) => !classes.includes(name))
  return [
    ...hosts,
    ...absent.map((name) => `this cluster has no storage class ${name}, which claims of its volumes name: make it again`),
  ].map((message) => ({ path: '', message }))
}

/** The dimensions of the quota of its project that do not leave room for the database. */
export function quotaFaults(
  parts: DecisionParts,
  target: DatabaseTarget,
  { cratedb }: Undeletion,
  { record }: UndeleteEvidence,
): BodyFault[] {
  const { accepted, heapDumpVolume } = parts
  const project = accepted.project(target.project)?.spec
  if (project?.quota === undefined) return []
  const siblings = accepted.databases(target.project).map(({ spec }) => spec)
  const wanted = { ...readDatabase(cratedb), suspended: false }
  // Its own volumes count as those of the database that comes back.
  const retained = sumOfRetained(retainedOf(target.project, parts, record.metadata.name))
  const found = quotaExceeded({ wanted, current: undefined, project, siblings, retained, heapDumpVolume: heapDumpVolume() })
  return found.map(({ message }) => ({ path: '', message }))
}
