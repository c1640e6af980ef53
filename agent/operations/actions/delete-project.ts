import { isProblem, Problem } from '../../../shared/errors.ts'
import { type KubernetesObject, kinds } from '../../../shared/kubernetes/objects.ts'
import { listObjects } from '../../../shared/kubernetes/read.ts'
import { storageClassesOf } from '../../region/status.ts'
import type { StoredDatabaseSpec } from '../../resources/database.ts'
import { deletionConsequences } from '../../resources/database-plan.ts'
import { namespaceOf, type ProjectTarget, type Step } from '../../resources/kind.ts'
import { deletedWith, deletion } from '../../resources/operation.ts'
import { usualDays } from '../../resources/project.ts'
import type { RetainedDatabaseVolume } from '../../resources/retained-database.ts'
import { type AcceptedResource, isUnprotected } from '../accepted.ts'
import { type DecisionParts, type Proposed, seconds } from '../deciding/decision.ts'
import { leavesUnasked, leavingProblem, noSuchProject } from '../deciding/present.ts'
import { isDone, noteObserved, type Progress, type WorkContext } from '../work/context.ts'
import { isProtected, stillProtected } from '../work/protection.ts'
import { recordDeleted } from '../work/retaining.ts'
import { seeToVanished } from '../work/vanished-databases.ts'
import { type ClaimNotKept, claimsNotKept, settleVolumes } from '../work/volumes.ts'
import { type Action, type Asked, flag, projectRequest } from './action.ts'

/**
 * Deletes a project: first its databases, each with its volumes kept or let go, then the Project, whose controller deletes the namespace.
 * Never the namespace first: the Crate Operator gives up in a namespace that terminates.
 */
export const deleteProject: Action<ProjectTarget> = {
  name: deletion,
  phase: 'Deleting',
  requests: [
    projectRequest({
      method: 'DELETE',
      operationId: 'deleteProject',
      summary: 'Deletes a project',
      description:
        'Refused while it is protected, and while it has databases unless `cascade=true`, which needs `databases:write` too; protected databases are never taken along. Databases can be had back for as long as its keepDeletedDays says, once the project is put again.',
      problems: ['not-empty'],
      query: {
        cascade: flag('Deletes its databases first', false),
        retainVolumes: flag('Keeps the volumes of databases that go with it', true),
      },
      asksForState: false,
      takesAlong: ({ cascade }) => (cascade ? ['database'] : []),
      prepare: async (parts, asked) => ({ ...asked, volumeSnapshots: await countVolumeSnapshots(parts, asked.target) }),
      decide,
    }),
  ],
  work: { advance },
}

type Given = { cascade: boolean; retainVolumes: boolean }

function decide(parts: DecisionParts, asked: Asked<ProjectTarget, Given>): Proposed {
  const { target, guard, query } = asked
  const present = parts.accepted.project(target.project)
  guard(present)
  if (!present) throw noSuchProject(target.project)
  if (present.leaving && !leavesUnasked(present)) throw leavingProblem(target, present)
  if (present.spec.deletionProtection) {
    throw new Problem('protected', `Project ${target.project} has deletionProtection. Set it to false first.`)
  }
  // What an earlier version accepted does not say it.
  const keepDays = present.spec.keepDeletedDays ?? usualDays
  const databases = parts.accepted.databases(target.project)
  refuseUnlessDeletable(target, databases, query)
  const unprotected = databases.filter(isUnprotected).map(({ spec }) => spec.id)
  return {
    parameters: {
      ...query,
      ...(query.retainVolumes && { keepDays }),
      ...(unprotected.length > 0 && { unprotected }),
    },
    timeoutSeconds: seconds(parts.config.timeouts.delete),
    plan: [...databasesStep(parts, databases, query, keepDays), projectStep(target, present.object, asked.volumeSnapshots)],
  }
}

/** @throws Problem when databases prevent the deletion */
function refuseUnlessDeletable({ project }: ProjectTarget, databases: AcceptedResource<StoredDatabaseSpec>[], { cascade }: Given): void {
  const ids = databases.map(({ spec }) => spec.id)
  if (databases.length > 0 && !cascade) {
    const detail = `Project ${project} has ${databases.length === 1 ? 'a database' : `${databases.length} databases`}: ${listed(ids)}. Delete them first, or ask with cascade=true.`
    throw new Problem('not-empty', detail, { extensions: { databases: ids } })
  }
  const kept = databases.filter(({ spec }) => spec.deletionProtection).map(({ spec }) => spec.id)
  if (kept.length === 0) return
  throw new Problem('protected', `Of its databases these have deletionProtection: ${listed(kept)}. Set it to false first.`, {
    extensions: { databases: kept },
  })
}

function databasesStep(
  { caches }: DecisionParts,
  databases: AcceptedResource<StoredDatabaseSpec>[],
  { retainVolumes }: Given,
  keepDays: number,
): Step[] {
  if (databases.length === 0) return []
  const classes = storageClassesOf(caches.storageClasses.values())
  const consequences = databases.flatMap(({ spec }) =>
    deletionConsequences({ ...spec, retainVolumes }, classes, keepDays).map((sentence) => `${spec.id}: ${sentence}`),
  )
  const removed = databases.map(({ object }) => object).filter((object) => object !== undefined)
  return [{ name: 'databases', consequences, objects: [], removed }]
}

/** Undefined where there are no such kinds, and where the agent may not see them. */
async function countVolumeSnapshots({ accepted, cluster }: DecisionParts, { project }: ProjectTarget): Promise<number | undefined> {
  if (accepted.project(project)?.object === undefined) return undefined
  try {
    return (await listObjects(cluster, kinds.VolumeSnapshot, { namespace: namespaceOf(project) })).length
  } catch (error) {
    if (isProblem(error, 'not-served', 'cluster-forbidden')) return undefined
    throw error
  }
}

function projectStep({ project }: ProjectTarget, object: KubernetesObject | undefined, volumeSnapshots = 0): Step {
  const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespaceOf(project) } }
  return {
    name: 'delete',
    consequences: [
      `The namespace ${namespace.metadata.name} and everything in it is deleted.`,
      ...(volumeSnapshots > 0
        ? [
            `That includes ${volumeSnapshots} volume ${volumeSnapshots === 1 ? 'snapshot' : 'snapshots'}: their data is deleted too, unless the deletionPolicy of their class is Retain.`,
          ]
        : []),
    ],
    objects: [],
    removed: [...(object ? [object] : []), namespace],
  }
}

function listed(names: string[], most = 10): string {
  return names.length > most ? `${names.slice(0, most).join(', ')} and ${names.length - most} more` : names.join(', ')
}

async function advance(context: WorkContext<ProjectTarget>): Promise<Progress> {
  const { project } = context.target
  const databases = await context.cluster.list('CrateDB', namespaceOf(project))
  if (databases.length > 0) return removeDatabases(context, databases)
  const standing = await context.cluster.read({ kind: 'Project', name: project })
  const waiting = standing && !standing.metadata.deletionTimestamp ? await seeToVanished(context) : undefined
  if (waiting) return waiting
  if (context.operation.status?.step?.name === 'databases') await context.finish()
  if (!standing) return finish(context)
  if (context.operation.status?.step?.name !== 'delete') await context.begin('delete')
  await noteObserved(context, standing)
  if (!standing.metadata.deletionTimestamp) await context.cluster.remove(standing)
  return { next: 'wait', message: 'The namespace of the project is being deleted.' }
}

async function removeDatabases(context: WorkContext<ProjectTarget>, databases: KubernetesObject[]): Promise<Progress> {
  const { parameters } = context.operation.spec
  if (parameters?.cascade !== true) {
    const names = databases.map(({ metadata }) => metadata.name).join(', ')
    return {
      next: 'failed',
      reason: 'NotEmpty',
      message: `The project contains databases: ${names}.`,
      action: 'Delete them first, or ask with cascade=true.',
    }
  }
  const unprotected = (parameters.unprotected ?? []) as string[]
  const kept = databases.filter((database) => isProtected(database) && !unprotected.includes(database.metadata.name))
  if (kept.length > 0) return stillProtected(kept)
  if (context.operation.status?.step?.name !== 'databases') await context.begin('databases')
  const { result = {} } = context.operation.status ?? {}
  const retained = (result.retainedVolumes ?? []) as RetainedDatabaseVolume[]
  const notKept = [...((result.notKept ?? []) as ClaimNotKept[])]
  const recorded = new Set((result.deletedDatabases ?? []) as string[])
  const deleted = [...deletedWith(context.operation)]
  for (const database of databases.filter(({ metadata }) => !metadata.deletionTimestamp)) {
    const claimed = new Set(retained.map(({ claim }) => claim))
    const settled = await settleVolumes(context, database, parameters.retainVolumes !== false)
    if (parameters.retainVolumes !== false)
      notKept.push(...(await claimsNotKept(context.cluster, database, settled)).filter(isNew(notKept)))
    retained.push(...settled.filter(({ claim }) => !claimed.has(claim)))
    const { name: id, uid = '' } = database.metadata
    const target = { kind: 'database' as const, project: context.target.project, database: id }
    const record = parameters.retainVolumes === false ? undefined : await recordDeleted(context, target, database, settled)
    if (record !== undefined) recorded.add(record)
    if (!deleted.some((other) => other.uid === uid)) deleted.push({ id, uid })
    const without = notKept.length > 0 && { notKept }
    await context.record({ result: { retainedVolumes: retained, ...without, databases: deleted, deletedDatabases: [...recorded] } })
    await context.cluster.remove(database)
  }
  return { next: 'wait', message: `${databases.length} databases are being deleted.` }
}

/** A look may be repeated. */
function isNew(known: readonly ClaimNotKept[]): (found: ClaimNotKept) => boolean {
  const claims = new Set(known.map(({ claim }) => claim))
  return ({ claim }) => !claims.has(claim)
}

async function finish(context: WorkContext<ProjectTarget>): Promise<Progress> {
  if (context.operation.status?.step) await context.finish()
  return { next: 'done', message: isDone(context.operation, 'databases') ? 'Deleted with its databases.' : 'Deleted.' }
}
