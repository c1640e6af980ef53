import { Problem } from '../../../shared/errors.ts'
import type { KubernetesObject } from '../../../shared/kubernetes/objects.ts'
import { listed } from '../../region/obstacles/evidence.ts'
import { unlessNamespaceGone } from '../../region/project-rights.ts'
import { storageClassesOf } from '../../region/status.ts'
import { readDatabase } from '../../resources/cratedb.ts'
import { type StoredDatabaseSpec, secretsNeeded } from '../../resources/database.ts'
import { deletionConsequences } from '../../resources/database-plan.ts'
import { desiredSecrets } from '../../resources/database-secrets.ts'
import { type DatabaseTarget, namespaceOf, type Step } from '../../resources/kind.ts'
import { deletion, type Operation } from '../../resources/operation.ts'
import { usualDays } from '../../resources/project.ts'
import { asEntryHasIt } from '../../resources/retained-record.ts'
import { type AcceptedResource, isUnprotected } from '../accepted.ts'
import { type DecisionParts, type Proposed, sameJson, seconds } from '../deciding/decision.ts'
import { databaseOfRequest } from '../deciding/present.ts'
import { isDone, noteObserved, type Progress, type WorkContext } from '../work/context.ts'
import { readCrateDB } from '../work/database-steps.ts'
import { isProtected, stillProtected } from '../work/protection.ts'
import { type AsAccepted, howToHaveBack, noRecord, ownSecrets, recordDeleted } from '../work/retaining.ts'
import { type ClaimNotKept, claimsNotKept, keptVolumes, settleVolumes } from '../work/volumes.ts'
import { type Action, type Asked, databaseRequest, flag } from './action.ts'

/**
 * Deletes a database. The volumes are settled first: they are kept unless the request, or else the database, says otherwise. The Secrets are
 * deleted last, because pods need them to stop.
 */
export const deleteDatabase: Action<DatabaseTarget> = {
  name: deletion,
  phase: 'Deleting',
  requests: [
    databaseRequest({
      method: 'DELETE',
      operationId: 'deleteDatabase',
      summary: 'Deletes a database',
      description:
        'Refused while it is protected. The operation names the volumes that were kept, and the deleted database as which it can be had back: for as long as keepDeletedDays of the project says.',
      query: { retainVolumes: flag('Whether its volumes are kept; if left out, as the database itself says') },
      asksForState: false,
      decide,
    }),
  ],
  work: { advance },
}

function decide(parts: DecisionParts, asked: Asked<DatabaseTarget, { retainVolumes?: boolean | undefined }>): Proposed {
  const { target, query } = asked
  const present = databaseOfRequest(parts, asked, { seesOff: true })
  if (present.spec.deletionProtection) {
    throw new Problem('protected', `Database ${target.project}/${target.database} has deletionProtection. Set it to false first.`)
  }
  const retainVolumes = query.retainVolumes ?? present.spec.retainVolumes
  // What an earlier version accepted does not say it.
  const keepDays = parts.accepted.project(target.project)?.spec.keepDeletedDays ?? usualDays
  return {
    parameters: {
      retainVolumes,
      ...(retainVolumes && { keepDays, ...asAccepted(present) }),
      ...(isUnprotected(present) && { unprotected: true }),
    },
    timeoutSeconds: seconds(parts.config.timeouts.delete),
    plan: [stepOf(parts, target, { ...present, spec: { ...present.spec, retainVolumes } }, keepDays)],
  }
}

/** What it is, for its record: somebody else may delete the CrateDB before the operation does. While a change waits, what it will be. */
function asAccepted({ spec, object }: AcceptedResource<StoredDatabaseSpec>): AsAccepted {
  const cratedb = object && sameJson(spec, readDatabase(object)) ? asEntryHasIt(object) : undefined
  return cratedb ? { cratedb } : { wanted: spec }
}

function stepOf(
  { caches }: DecisionParts,
  target: DatabaseTarget,
  { spec, object }: Pick<AcceptedResource<StoredDatabaseSpec>, 'spec' | 'object'>,
  keepDays: number,
): Step {
  const { generate, missing } = secretsNeeded(spec)
  const secrets = desiredSecrets(target, spec, Object.fromEntries([...generate, ...missing].map((place) => [place, ''])))
  return {
    name: 'delete',
    consequences: deletionConsequences(spec, storageClassesOf(caches.storageClasses.values()), keepDays),
    objects: [],
    removed: [...(object ? [object] : []), ...secrets],
  }
}

async function advance(context: WorkContext<DatabaseTarget>): Promise<Progress> {
  const { operation } = context
  const current = await readCrateDB(context)
  if (current && operation.spec.parameters?.unprotected !== true && isProtected(current)) return stillProtected([current])
  if (!isDone(operation, volumeStep(operation)) && (current || volumeStep(operation) === 'retain-volumes'))
    return decideOnVolumes(context, current)
  if (current) return remove(context, current)
  const left = await whatIsLeft(context)
  if (left > 0) return { next: 'wait', message: `${left} objects of the database still exist.`, recheckMs: 500 }
  if (!isDone(operation, 'delete-secrets')) return removeSecrets(context)
  return { next: 'done', message: keptMessage(context) }
}

function volumeStep({ spec }: Operation): 'retain-volumes' | 'release-volumes' {
  return spec.parameters?.retainVolumes !== false ? 'retain-volumes' : 'release-volumes'
}

/** Somebody else may have deleted the CrateDB since the request was accepted: then what is kept is known by the volumes alone. */
async function decideOnVolumes(context: WorkContext<DatabaseTarget>, current: KubernetesObject | undefined): Promise<Progress> {
  const step = volumeStep(context.operation)
  if (!context.operation.status?.step) await context.begin(step)
  const retainedVolumes = current
    ? await settleVolumes(context, current, step === 'retain-volumes')
    : await keptVolumes(context, context.target, undefined)
  const notKept = current && step === 'retain-volumes' ? await claimsNotKept(context.cluster, current, retainedVolumes) : []
  const deletedDatabase = step === 'retain-volumes' ? await recordDeleted(context, context.target, current, retainedVolumes) : undefined
  // Recorded before the deletion: afterwards the claims are gone.
  await context.record({
    result: { retainedVolumes, ...(notKept.length > 0 && { notKept }), ...(deletedDatabase !== undefined && { deletedDatabase }) },
  })
  await context.finish(`${retainedVolumes.length} volumes will stay.`)
  return { next: 'again' }
}

async function remove(context: WorkContext<DatabaseTarget>, current: KubernetesObject): Promise<Progress> {
  if (context.operation.status?.step?.name !== 'delete') await context.begin('delete')
  await noteObserved(context, current)
  if (!current.metadata.deletionTimestamp) await context.cluster.remove(current)
  return { next: 'wait', message: 'The Crate Operator and the API server are deleting the database.' }
}

/**
 * Kubernetes deletes the operator's objects once the CrateDB is gone. Only afterwards is the name free: a new database must not find the
 * claims of the old one.
 */
async function whatIsLeft(context: WorkContext<DatabaseTarget>): Promise<number> {
  const { project, database } = context.target
  const selector = `app.kubernetes.io/name=${database},app.kubernetes.io/component=cratedb`
  const kindsOfChildren = ['StatefulSet', 'Pod', 'PersistentVolumeClaim'] as const
  const left = await Promise.all(kindsOfChildren.map((kind) => context.cluster.list(kind, namespaceOf(project), selector)))
  return left.flat().length
}

/** Deletes the Secrets of the request, which the operator does not own. */
async function removeSecrets(context: WorkContext<DatabaseTarget>): Promise<Progress> {
  if (context.operation.status?.step?.name === 'delete') await context.finish()
  if (!context.operation.status?.step) await context.begin('delete-secrets')
  const name = namespaceOf(context.target.project)
  const secrets = unlessNamespaceGone(context.cluster.list('Secret', name, ownSecrets(context.target)), () =>
    context.cluster.read({ kind: 'Namespace', name }),
  )
  // A namespace that goes takes them along.
  for (const secret of (await secrets) ?? []) await context.cluster.remove(secret)
  await context.finish()
  return { next: 'again' }
}

function keptMessage({ operation, target }: WorkContext<DatabaseTarget>): string {
  const { retainedVolumes = [], notKept = [], deletedDatabase } = (operation.status?.result ?? {}) as DeletionResult
  const kept = retainedVolumes.length
  const without = notKept.length > 0 ? ` Nothing was kept of ${listed(notKept.map(({ claim, why }) => `${claim} (${why})`))}.` : ''
  if (kept === 0) return `Deleted; no volume was kept.${without}`
  const [volumes, were, stay, goes] = kept === 1 ? ['1 volume', 'was', 'stays', 'goes'] : [`${kept} volumes`, 'were', 'stay', 'go']
  if (volumeStep(operation) !== 'retain-volumes')
    return `Deleted; ${volumes} ${stay} nevertheless, since the cluster retains them: see the result, and delete them by hand.`
  if (deletedDatabase === undefined) return `Deleted; ${volumes} ${were} kept, see the result.${without} ${noRecord}`
  const { keepDays } = (operation.spec.parameters ?? {}) as { keepDays?: number }
  if (keepDays === 0) return `Deleted; ${volumes} ${goes} right away, since keepDeletedDays of the project is 0.${without}`
  const days = keepDays === undefined ? '' : ` for ${keepDays === 1 ? 'a day' : `${keepDays} days`}`
  return `Deleted; ${volumes} ${were} kept${days}, see the result.${without} ${howToHaveBack(target, deletedDatabase)}`
}

type DeletionResult = { retainedVolumes?: unknown[]; notKept?: ClaimNotKept[]; deletedDatabase?: string }
