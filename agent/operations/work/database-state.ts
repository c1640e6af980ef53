import { pointerTo } from '../../../shared/json-pointer.ts'
import type { KubernetesObject } from '../../../shared/kubernetes/objects.ts'
import { describeObject, listed } from '../../region/obstacles/evidence.ts'
import { movesBackups } from '../../resources/backup-place.ts'
import { firstDifference } from '../../resources/covers.ts'
import { readDatabase } from '../../resources/cratedb.ts'
import { readOperatorRun, undoneBy } from '../../resources/cratedb-run.ts'
import { type StoredDatabaseSpec, secretsNeeded } from '../../resources/database.ts'
import { planDatabase } from '../../resources/database-plan.ts'
import { changedSecrets, readSecrets } from '../../resources/database-secrets.ts'
import { managersOf, namesOf, valueAt } from '../../resources/field-owners.ts'
import { keepsVolumes } from '../../resources/kept-volume.ts'
import { type DatabaseTarget, namespaceOf, type Secrets } from '../../resources/kind.ts'
import { label } from '../../resources/labels.ts'
import type { StepRecord } from '../../resources/operation.ts'
import { isDone, type Progress, type WorkContext } from './context.ts'
import { advanceSteps, readCrateDB, wasWritten } from './database-steps.ts'
import { readMissingNodes } from './nodes-evidence.ts'
import { settleVolumes } from './volumes.ts'

/** Brings a database to the state in the operation's `wanted`, one kind of change at a time. */
export async function advanceToState(context: WorkContext<DatabaseTarget>): Promise<Progress> {
  const wanted = context.operation.spec.wanted as StoredDatabaseSpec
  const current = await readCrateDB(context)
  if (current?.metadata.deletionTimestamp) return { next: 'wait', message: 'The database of this name is still being deleted.' }
  if (current && wasRolledBack(current, wanted, context.operation.status?.step)) {
    const { version } = current.spec.cluster
    const message = `The upgrade to ${wanted.version} failed and the Crate Operator wrote version ${version} back.`
    return {
      next: 'failed',
      reason: 'UpgradeRolledBack',
      message,
      action: "See the operator's log for why; the database may run either version until a pod restarts.",
    }
  }
  const secrets = await secretsToApply(context, current, wanted)
  if (!current && lacksSecrets(wanted, secrets.values)) return gone
  if (current && movesBackups(readDatabase(current), wanted)) {
    const { missing } = secretsNeeded({ ...wanted, users: [], ssl: undefined, snapshots: undefined }, secrets.values)
    if (missing.length > 0) return withoutCredentials(missing)
  }
  const plan = planDatabase(context.target, current, wanted, secrets.values, {
    ...context.options,
    changedSecrets: secrets.changed,
    nodes: current && isToPlan(context.operation.status?.step) ? await readMissingNodes(context.cluster, current) : undefined,
    now: context.clock.now(),
  })
  const progress = await advanceSteps(context, current, plan)
  if (progress.next !== 'done' || !current) return progress
  const unheld = whatIsNotHeld(current, wanted)
  if (unheld) return unheld
  // At the end, the volumes are kept or let go as requested.
  await settleVolumes(context, current, keepsVolumes(wanted))
  return progress
}

/** Whether the next step is still to be written, so that it may be one that takes a change back. */
function isToPlan(step: StepRecord | undefined): boolean {
  return step === undefined || (undoneBy(step.name) !== undefined && step.note?.written !== true)
}

/**
 * What was requested and is not in the CrateDB, although no step is left. The order of networks has no meaning: `allow-list` has compared
 * them. Requests do not change users, and the operator itself renames the first one after a restore.
 */
function whatIsNotHeld(current: KubernetesObject, wanted: StoredDatabaseSpec): Progress | undefined {
  const is = readDatabase(current)
  const { users: _users, allowedCIDRs: _networks, ...compared } = wanted
  const path = firstDifference(is, compared)
  if (!path) return undefined
  const setters = namesOf(managersOf(current, ['spec']))
  const [value, requested] = [is, wanted].map((spec) => JSON.stringify(valueAt(spec, path)))
  return {
    next: 'failed',
    reason: 'FieldConflict',
    message: `${pointerTo(path)} of the database is ${value}, although ${requested} was requested: somebody changed ${describeObject(current)} meanwhile. Besides Skerry, ${setters} has set fields of its spec.`,
    action: 'Make them leave the object alone, and repeat the request.',
  }
}

/** The database was deleted between the acceptance of a change and its execution. */
const gone = {
  next: 'failed' as const,
  reason: 'Disappeared',
  message: 'The database no longer exists, and its passwords went with it.',
  action: 'Put it again, with passwords or with "generate".',
}

/** Somebody deleted the Secret of the backups, or a part of it, between the acceptance of another place for them and its execution. */
function withoutCredentials(missing: string[]): Progress {
  return {
    next: 'failed',
    reason: 'SecretMissing',
    message: `The backups keep their place: their Secret no longer has ${listed(missing)}.`,
    action: 'Put the database again, with the place of its backups and their credentials.',
  }
}

function lacksSecrets(wanted: StoredDatabaseSpec, given: Secrets): boolean {
  const { generate, missing } = secretsNeeded(wanted, given)
  return generate.length > 0 || missing.length > 0
}

/**
 * For a creation all secrets of the request; later those that differ from the cluster. Those in the cluster are added if the backups go to
 * another place: that is in the same Secret, which is applied as a whole.
 */
async function secretsToApply(context: WorkContext<DatabaseTarget>, current: KubernetesObject | undefined, wanted: StoredDatabaseSpec) {
  const { operation } = context
  const isCreation = operation.status?.step?.name === 'create' || isDone(operation, 'create')
  const brings = operation.spec.secretName !== undefined && !(current && isCreation)
  const moves = current !== undefined && movesBackups(readDatabase(current), wanted)
  if (current && !brings && !moves) return { values: {}, changed: [] }
  const given = brings || !current ? await context.secrets() : {}
  if (!current) return { values: given, changed: [] }
  const target = context.target
  const objects = await context.cluster.list('Secret', namespaceOf(target.project), `${label.database}=${target.database}`)
  const present = readSecrets(target, wanted, objects)
  return { values: moves ? { ...present, ...given } : given, changed: changedSecrets(given, present) }
}

/**
 * The operator reverts the version in the spec when a step of an upgrade fails, and sets a mark. The mark stays forever, so it counts only
 * after this upgrade was written.
 */
function wasRolledBack(current: KubernetesObject, wanted: StoredDatabaseSpec, step: StepRecord | undefined): boolean {
  if (step?.name !== 'upgrade' || current.spec.cluster.version === wanted.version || !wasWritten(step, current)) return false
  return (
    current.metadata.annotations?.['operator.cloud.crate.io/rollback-upgrade'] !== undefined && readOperatorRun(current).state !== 'working'
  )
}
