import type { KubernetesObject } from '../../../shared/kubernetes/objects.ts'
import { handledState, readOperatorRun } from '../../resources/cratedb-run.ts'
import { fieldManager } from '../../resources/labels.ts'
import type { Obstacle } from '../../resources/operation.ts'
import { conditionOf, describeObject, type Evidence, isPast, latestEvent } from './evidence.ts'

/** The operator retries after 15 to 60 seconds: without a sign of life for longer than that after its last mark it is not at it. */
const stalledAfterMs = 60_000

const prefix = 'operator.cloud.crate.io/'

export function operatorNotRunning({ target, operator, operatorName, databases }: Evidence): Obstacle[] {
  // A project needs the operator only where databases are to go.
  if (operator === undefined || (target.kind === 'project' && databases.length === 0)) return []
  const { namespace, name } = operatorName
  const answer = (message: string, cure: string): Obstacle[] => [
    { code: 'OperatorNotRunning', message, evidence: `Deployment ${namespace}/${name}`, cure },
  ]
  if (operator === null)
    return answer(
      `The Crate Operator is not installed: there is no Deployment ${namespace}/${name}.`,
      "Install it, or name its Deployment in the agent's configuration: kubectl get deployments --all-namespaces | grep crate-operator",
    )
  if (operator.spec?.replicas === 0)
    return answer(
      `The Crate Operator is scaled to 0 (Deployment ${namespace}/${name}).`,
      `kubectl --namespace ${namespace} scale deployment ${name} --replicas=1`,
    )
  if ((operator.status?.readyReplicas ?? 0) > 0) return []
  const why = conditionOf(operator, 'Available')
  return answer(
    `The Crate Operator is not ready: Deployment ${namespace}/${name} has no ready pod${why?.status === 'False' && why.message ? ` (${why.message})` : ''}.`,
    `kubectl --namespace ${namespace} describe deployment ${name}; kubectl --namespace ${namespace} logs deployment/${name}`,
  )
}

/** What the operator gave up with, or what it waits for, in its own words. */
export function operatorStepFailed({ databases, target, operatorName, events }: Evidence): Obstacle[] {
  const database = theDatabase(target, databases)
  if (!database || database.metadata.deletionTimestamp !== undefined) return []
  const logs = `kubectl --namespace ${operatorName.namespace} logs deployment/${operatorName.name}`
  const evidence = describeObject(database)
  const { state, failure, message } = readOperatorRun(database)
  if (failure !== undefined)
    return [
      {
        code: 'OperatorStepFailed',
        message: `The Crate Operator gave up a step: ${failure}`,
        evidence,
        cure: `Its log tells more: ${logs}`,
      },
    ]
  if (message !== undefined)
    return [
      {
        code: 'OperatorStepDelayed',
        message: `The Crate Operator waits: ${message}`,
        evidence,
        cure: `None if it passes. Its log tells more: ${logs}`,
      },
    ]
  if (state !== 'ended' || database.status?.['cluster_create/bootstrap']?.success) return []
  const said = latestEvent(events, database, ({ type }) => type !== 'Normal')?.message
  return [
    {
      code: 'OperatorStepFailed',
      message: `The Crate Operator ended the creation without having set up the database${said ? `: ${said}` : '.'}`,
      evidence,
      cure: `It does not try again by itself: delete the database and create it anew, once its log has said why: ${logs}`,
    },
  ]
}

/** The operator runs, and nothing moves. Where it does not run, that is told instead. */
export function operatorStalled(evidence: Evidence): Obstacle[] {
  const { databases, target, operator, operatorName, now } = evidence
  const database = theDatabase(target, databases)
  if (!database || operator === undefined || operatorNotRunning(evidence).length > 0) return []
  const { state } = readOperatorRun(database)
  const mark = state === 'working' ? latestMark(database) : state === 'unseen' ? latestChange(database) : undefined
  if (!isPast(mark, stalledAfterMs, now)) return []
  const { namespace, name } = operatorName
  return [
    {
      code: 'OperatorStalled',
      message:
        state === 'working'
          ? `The Crate Operator began on this and has left no sign of life since ${mark}.`
          : `The Crate Operator has not begun on the change of ${mark}, though it runs. It may not watch this namespace.`,
      evidence: describeObject(database),
      cure: `See whether it mentions the database, and start it anew: kubectl --namespace ${namespace} logs deployment/${name} | grep ${database.metadata.name}; kubectl --namespace ${namespace} rollout restart deployment ${name}`,
    },
  ]
}

/**
 * The operator put the version back after an upgrade failed. It leaves a mark that stays for ever, so what counts is that the
 * version is no longer what Skerry wrote, or that the pods still run another image than the spec says.
 */
export function upgradeRolledBack({ databases, target, statefulSets }: Evidence): Obstacle[] {
  const database = theDatabase(target, databases)
  const mark = database?.metadata.annotations?.[`${prefix}rollback-upgrade`]
  if (!database || mark === undefined || readOperatorRun(database).state === 'working') return []
  const { version, imageRegistry } = database.spec.cluster
  const others = statefulSets.filter((set) => crateImage(set) !== undefined && crateImage(set) !== `${imageRegistry}:${version}`)
  const settled = readOperatorRun(database).state === 'ended'
  if (mark !== 'true' && !(settled && (others.length > 0 || !isSkerrys(database)))) return []
  const left = others[0]
  return [
    {
      code: 'UpgradeRolledBack',
      message: left
        ? `The Crate Operator rolled the upgrade back to ${version}, but ${left.metadata.name} is still set to ${crateImage(left)}.`
        : `The Crate Operator rolled the upgrade back: the version is ${version} again.`,
      evidence: describeObject(left ?? database),
      cure: `See why in its events, mend that and ask for the upgrade again: kubectl --namespace ${database.metadata.namespace} describe cratedb ${database.metadata.name}`,
    },
  ]
}

function theDatabase(target: Evidence['target'], databases: KubernetesObject[]): KubernetesObject | undefined {
  return target.kind === 'database' ? databases[0] : undefined
}

/** The latest moment in the operator's progress annotations: when it began, ended or means to try again. */
function latestMark({ metadata }: KubernetesObject): string | undefined {
  const moments = Object.entries(metadata.annotations ?? {}).flatMap(([name, value]) => {
    if (!name.startsWith(prefix) || !value.startsWith('{') || name === `${prefix}last`) return []
    try {
      const { started, stopped, delayed } = JSON.parse(value) as Record<string, string | null>
      return [started, stopped, delayed].filter((moment) => typeof moment === 'string')
    } catch {
      return [] // not the operator's
    }
  })
  return moments.sort((a, b) => Date.parse(a) - Date.parse(b)).at(-1)
}

/** When anybody last wrote what the operator acts on. The object itself has no such time, but its managed fields have. */
function latestChange(database: KubernetesObject): string | undefined {
  const { creationTimestamp = '' } = database.metadata
  if (handledState(database) === undefined) return creationTimestamp
  const written = fieldOwners(database).filter(({ fieldsV1 }) => fieldsV1?.['f:spec'] !== undefined)
  return written
    .map(({ time }) => time ?? creationTimestamp)
    .sort()
    .at(-1)
}

type FieldOwner = { manager: string; time?: string; fieldsV1?: Record<string, Record<string, Record<string, unknown>>> }

function fieldOwners({ metadata }: KubernetesObject): FieldOwner[] {
  return (metadata as { managedFields?: FieldOwner[] }).managedFields ?? []
}

/** Whether the version is as Skerry wrote it: an applied field that somebody else changes becomes theirs. */
function isSkerrys(database: KubernetesObject): boolean {
  const owners = fieldOwners(database).filter(({ fieldsV1 }) => fieldsV1?.['f:spec']?.['f:cluster']?.['f:version'] !== undefined)
  return owners.length === 0 || owners.some(({ manager }) => manager === fieldManager)
}

function crateImage({ spec }: KubernetesObject): string | undefined {
  const containers: { name: string; image?: string }[] = spec?.template?.spec?.containers ?? []
  return containers.find(({ name }) => name === 'crate')?.image
}
