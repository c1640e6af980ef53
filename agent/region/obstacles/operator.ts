import type { KubernetesObject } from '../../../shared/kubernetes/objects.ts'
import { handledState, readOperatorRun } from '../../resources/cratedb-run.ts'
import type { Cure } from '../../resources/cure.ts'
import { fieldManager } from '../../resources/labels.ts'
import type { Obstacle } from '../../resources/operation.ts'
import { cures } from './cures.ts'
import { deletionOf } from './deletion.ts'
import { conditionOf, describeObject, type Evidence, isPast, latestEvent, tell } from './evidence.ts'

/** The operator retries after 15 to 60 seconds. If it leaves no new mark for longer than this, in milliseconds, it is not working. */
const stalledAfterMs = 60_000

const prefix = 'operator.cloud.crate.io/'

export function operatorNotRunning({ target, operator, operatorName, databases }: Evidence): Obstacle[] {
  // A project needs the operator only for the deletion of its databases.
  if (operator === undefined || (target.kind === 'project' && databases.length === 0)) return []
  const { namespace, name } = operatorName
  const named = { namespace, deployment: name }
  const { find, start, describe, pods, log } = cures.OperatorNotRunning
  const answer = (message: string, ...cures: Cure[]): Obstacle[] => [
    tell({ code: 'OperatorNotRunning', message, evidence: `Deployment ${namespace}/${name}`, cures }),
  ]
  if (operator === null) return answer(`The Crate Operator is not installed: there is no Deployment ${namespace}/${name}.`, find())
  if (operator.spec?.replicas === 0) return answer(`The Crate Operator is scaled to 0 (Deployment ${namespace}/${name}).`, start(named))
  if ((operator.status?.readyReplicas ?? 0) > 0) return []
  const why = conditionOf(operator, 'Available')
  return answer(
    `The Crate Operator is not ready: Deployment ${namespace}/${name} has no ready pod${why?.status === 'False' && why.message ? ` (${why.message})` : ''}.`,
    describe(named),
    pods({ namespace, selector: selectorOf(operator) }),
    log(named),
  )
}

/** Why the operator gave up, or what it waits for, in its own words. */
export function operatorStepFailed({ databases, target, operatorName: { namespace, name }, events }: Evidence): Obstacle[] {
  const database = theDatabase(target, databases)
  if (!database || database.metadata.deletionTimestamp !== undefined) return []
  const operator = { namespace, deployment: name }
  const evidence = describeObject(database)
  const { state, failure, message } = readOperatorRun(database)
  if (failure !== undefined)
    return [
      tell({
        code: 'OperatorStepFailed',
        message: `The Crate Operator gave up on a step: ${failure}`,
        evidence,
        cures: [cures.OperatorStepFailed.log(operator)],
      }),
    ]
  if (message !== undefined)
    return [
      tell({
        code: 'OperatorStepDelayed',
        message: `The Crate Operator waits: ${message}`,
        evidence,
        cures: [cures.OperatorStepDelayed.log(operator)],
      }),
    ]
  if (state !== 'ended' || database.status?.['cluster_create/bootstrap']?.success) return []
  const said = latestEvent(events, database, ({ type }) => type !== 'Normal')?.message
  return [
    tell({
      code: 'OperatorStepFailed',
      message: `The Crate Operator ended the creation without having set up the database${said ? `: ${said}` : '.'}`,
      evidence,
      cures: [cures.OperatorStepFailed.why(operator), ...deletionOf(database, cures.OperatorStepFailed)],
    }),
  ]
}

/** The operator runs but makes no progress. If it does not run, another rule reports that. */
export function operatorStalled(evidence: Evidence): Obstacle[] {
  const { databases, target, operator, operatorName, now } = evidence
  const database = theDatabase(target, databases)
  if (!database || operator === undefined || operatorNotRunning(evidence).length > 0) return []
  const { state } = readOperatorRun(database)
  const mark = state === 'working' ? latestMark(database) : state === 'unseen' ? latestChange(database) : undefined
  if (!isPast(mark, stalledAfterMs, now)) return []
  const { namespace, name } = operatorName
  const named = { namespace, deployment: name }
  return [
    tell({
      code: 'OperatorStalled',
      message:
        state === 'working'
          ? `The Crate Operator began on this, but has shown no progress since ${mark}.`
          : `The Crate Operator has not begun on the change of ${mark}, though it runs. It may not watch this namespace.`,
      evidence: describeObject(database),
      cures: [cures.OperatorStalled.log({ ...named, database: database.metadata.name }), cures.OperatorStalled.restart(named)],
    }),
  ]
}

/**
 * The operator restored the version after a failed upgrade. Its mark stays forever. So the mark counts only if the version is no longer the
 * one that Skerry wrote, or if pods still run another image than that of the spec.
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
  const { namespace = '', name } = database.metadata
  return [
    tell({
      code: 'UpgradeRolledBack',
      message: left
        ? `The Crate Operator rolled the upgrade back to ${version}, but ${left.metadata.name} is still set to ${crateImage(left)}.`
        : `The Crate Operator rolled the upgrade back: the version is ${version} again.`,
      evidence: describeObject(left ?? database),
      cures: [cures.UpgradeRolledBack.events({ namespace, database: name })],
    }),
  ]
}

/** The selector of a Deployment's pods, as kubectl takes it. */
function selectorOf({ spec }: KubernetesObject): string {
  const labels: Record<string, string> = spec?.selector?.matchLabels ?? {}
  return Object.entries(labels)
    .map((pair) => pair.join('='))
    .join(',')
}

function theDatabase(target: Evidence['target'], databases: KubernetesObject[]): KubernetesObject | undefined {
  return target.kind === 'database' ? databases[0] : undefined
}

/** The latest time in the operator's progress annotations: of a start, an end or a planned retry. */
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

/** When the spec was last written. Only the managed fields have such a time. */
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

/** Whether Skerry still owns the field with the version: another manager that changes it becomes its owner. */
function isSkerrys(database: KubernetesObject): boolean {
  const owners = fieldOwners(database).filter(({ fieldsV1 }) => fieldsV1?.['f:spec']?.['f:cluster']?.['f:version'] !== undefined)
  return owners.length === 0 || owners.some(({ manager }) => manager === fieldManager)
}

function crateImage({ spec }: KubernetesObject): string | undefined {
  const containers: { name: string; image?: string }[] = spec?.template?.spec?.containers ?? []
  return containers.find(({ name }) => name === 'crate')?.image
}
