import type { KindName, KubernetesObject } from '../../../shared/kubernetes/objects.ts'
import { readDatabase } from '../../resources/cratedb.ts'
import type { DatabaseTarget, Step } from '../../resources/kind.ts'
import { label } from '../../resources/labels.ts'
import { readRetainedSecret, secretsIn } from '../../resources/retained-record.ts'
import { planUndelete, type UndeleteBody, type UndeleteEvidence, type Undeletion, undeleteBody } from '../../resources/undelete.ts'
import { type DecisionParts, type Proposed, refusal, seconds } from '../deciding/decision.ts'
import {
  deletedOfRequest,
  deletedPlace,
  quotaFaults,
  readDeleted,
  readRecord,
  surroundingFaults,
  withDeleted,
  workingOn,
} from '../deciding/deleted-database.ts'
import { leavingProblem, projectAround } from '../deciding/present.ts'
import { sharedFolder } from '../deciding/snapshot-folder.ts'
import { isDone, observedOf, type Progress, type WorkContext } from '../work/context.ts'
import { advanceSteps, readCrateDB } from '../work/database-steps.ts'
import { claimsAreTheirs, giveUpVolumes, reserveVolumes } from '../work/reattach.ts'
import { showPhase } from '../work/retaining.ts'
import { type Action, type Asked, databaseRequest, flag } from './action.ts'

/**
 * Brings a deleted database back: its volumes are reserved for their claims, its Secrets returned, and its CrateDB created as it stood. The
 * volumes come first: a class with immediate binding makes empty ones as soon as there is a claim. The record goes last, once every claim has
 * its own volume.
 */
export const undelete: Action<DatabaseTarget> = {
  name: 'undelete',
  phase: 'Updating',
  requests: [
    databaseRequest({
      method: 'POST',
      at: deletedPlace('/actions/undelete'),
      operationId: 'undeleteDatabase',
      summary: 'Brings a deleted database back, with its data',
      description:
        'It becomes what it was, under the same name, on the same volumes and with the same passwords. Refused with every reason if a part of it cannot be had back.',
      query: {
        startsEmpty: flag(
          'Starts nodes whose volumes no longer exist with empty ones: their data is lost unless others have replicas',
          false,
        ),
      },
      body: undeleteBody.optional(),
      example: {},
      asksForState: false,
      prepare: withDeleted,
      decide,
    }),
  ],
  work: { advance, leave },
}

type Given = { deleted: string; startsEmpty?: true; body?: UndeleteBody }

function decide(parts: DecisionParts, asked: Asked<DatabaseTarget, { startsEmpty: boolean }, UndeleteBody | undefined>): Proposed {
  const { target, query, body, guard } = asked
  const evidence = deletedOfRequest(asked)
  const { name } = evidence.record.metadata
  guard(evidence.record)
  projectAround(parts, target)
  const present = parts.accepted.database(target.project, target.database)
  if (present?.leaving) throw leavingProblem(target, present)
  const { startsEmpty } = query
  const plan = planUndelete(evidence, { startsEmpty, body }, parts.config)
  const invalid = plan.faults.filter(({ path }) => path !== '')
  if (invalid.length > 0) throw refusal('invalid-fields', plan.faults)
  const working = workingOn(parts, target, name)
  const standing = [
    ...(working ? [`operation ${working.metadata.name} (${working.spec.action}) of it has not ended`] : []),
    ...(present && !working
      ? [`there is a database ${target.database} in project ${target.project}: a deleted one comes back under its own name`]
      : []),
  ].map((message) => ({ path: '', message }))
  // Whoever set up another database to restore its snapshots into may have given that one its folder.
  const taken = sharedFolder(target, readDatabase(plan.cratedb), undefined, parts).map(() => ({ path: '', message: folderTaken }))
  const faults = [...standing, ...taken, ...plan.faults, ...(plan.faults.length > 0 ? [] : surroundingFaults(parts, plan, evidence))]
  const quota = faults.length > 0 && plan.used.length === 0 ? [] : quotaFaults(parts, target, plan, evidence)
  if (faults.length > 0) throw refusal('wrong-state', [...faults, ...quota])
  if (quota.length > 0) throw refusal('quota-exceeded', quota)
  return {
    wanted: readDatabase(plan.cratedb),
    parameters: { deleted: name, ...(startsEmpty && { startsEmpty }), ...(body && Object.keys(body).length > 0 && { body }) },
    timeoutSeconds: seconds(parts.config.timeouts.create),
    plan: stepsOf(plan, evidence),
  }
}

const folderTaken =
  'another database of this region has its snapshots in the folder of this one, and each needs its own; give that one another "snapshots.s3.basePath" first'

function stepsOf({ cratedb, used, unused, notes }: Undeletion, { record, secrets }: UndeleteEvidence): Step[] {
  const nodes = readDatabase(cratedb)
  const left = unused.map(({ volume, claim }) => `Volume ${volume} of ${claim} is needed by no node, and stays in the record.`)
  return [
    {
      name: 'reserve-volumes',
      objects: [],
      consequences: [`Reserves ${used.length} ${used.length === 1 ? 'volume' : 'volumes'} for their former claims.`, ...left],
    },
    ...(secrets.length > 0
      ? [
          {
            name: 'return-secrets',
            objects: [],
            consequences: [`Makes its Secrets again: ${secrets.join(', ')}. Passwords are as before.`],
          },
        ]
      : []),
    {
      name: 'create',
      objects: [cratedb],
      consequences: [
        `Starts the database of ${record.spec.deletedAt} with version ${nodes.version} on its former volumes.`,
        ...notes,
        'The external address may be another one.',
      ],
    },
  ]
}

const given = (context: WorkContext<DatabaseTarget>) => context.operation.spec.parameters as Given

async function advance(context: WorkContext<DatabaseTarget>): Promise<Progress> {
  const { operation } = context
  const current = await readCrateDB(context)
  if (current?.metadata.deletionTimestamp) return { next: 'wait', message: 'The database of this name is still being deleted.' }
  const evidence = await readDeleted((ref) => context.cluster.read(ref), context.options.namespace, given(context).deleted)
  if (!evidence) return withoutRecord(context, current)
  const { startsEmpty = false, body } = given(context)
  const hasBegun = isDone(operation, 'reserve-volumes')
  const plan = planUndelete(hasBegun ? bound(evidence) : evidence, { startsEmpty, body }, context.options)
  if (!hasBegun) return current ? taken(context) : reserve(context, evidence, plan)
  if (evidence.secrets.length > 0 && !isDone(operation, 'return-secrets')) return returnSecrets(context, evidence)
  return isDone(operation, 'create') ? finish(context, evidence, plan, current) : create(context, plan, current)
}

/** Once its claims are there, they and their volumes say nothing against it. */
function bound(evidence: UndeleteEvidence): UndeleteEvidence {
  return { ...evidence, claims: [] }
}

function withoutRecord(context: WorkContext<DatabaseTarget>, current: KubernetesObject | undefined): Progress {
  const { deleted } = given(context)
  if (current && isDone(context.operation, 'create'))
    return { next: 'done', message: 'The database is back.', observed: observedOf(current) }
  return { next: 'failed', reason: 'Disappeared', message: `The record ${deleted} of the deleted database is gone.` }
}

function taken({ target }: WorkContext<DatabaseTarget>): Progress {
  return {
    next: 'failed',
    reason: 'NameTaken',
    message: `Somebody made a database ${target.database} in project ${target.project} meanwhile. The deleted one is kept as before.`,
  }
}

async function reserve(context: WorkContext<DatabaseTarget>, evidence: UndeleteEvidence, plan: Undeletion): Promise<Progress> {
  const { record } = evidence
  const [fault] = plan.faults
  if (fault) {
    const message = `It cannot be had back as it was accepted: ${plan.faults.map((each) => each.message).join('; ')}.`
    return { next: 'failed', reason: 'NotAsAccepted', message }
  }
  if (!context.operation.status?.step) await context.begin('reserve-volumes')
  await showPhase(context, record, { phase: 'Undeleting', message: `Operation ${context.operation.metadata.name} brings it back.` })
  const progress = await reserveVolumes(context, plan.used)
  if (progress) return progress
  await context.finish(`${plan.used.length} volumes are reserved.`)
  // A cancellation between two steps would leave them reserved.
  await context.begin(evidence.secrets.length > 0 ? 'return-secrets' : 'create')
  return { next: 'again' }
}

/** Without the database, its volumes are for nobody again: a new one of that name must not get them. */
async function leave(context: WorkContext<DatabaseTarget>): Promise<undefined> {
  const record = await readRecord((ref) => context.cluster.read(ref), context.options.namespace, given(context).deleted)
  if (!record || (await readCrateDB(context))) return
  const names = record.spec.volumes.map(({ volume }) => volume)
  await giveUpVolumes(context, names, record.metadata.uid ?? '')
}

/** Before the CrateDB, which refers to them. Those that stand are overwritten only if they are Skerry's own, of this database. */
async function returnSecrets(context: WorkContext<DatabaseTarget>, { record, secrets }: UndeleteEvidence): Promise<Progress> {
  const { cluster, options, target } = context
  const isOwn = ({ metadata: { labels = {} } }: KubernetesObject) =>
    labels['app.kubernetes.io/managed-by'] === 'skerry' &&
    labels[label.project] === target.project &&
    labels[label.database] === target.database
  if (!context.operation.status?.step) await context.begin('return-secrets')
  const { namespace: home } = options
  const kept = secrets.length > 0 && (await readRetainedSecret(record, (name) => cluster.read({ kind: 'Secret', namespace: home, name })))
  for (const secret of kept ? secretsIn(kept, record.spec.project) : []) {
    if (!secrets.includes(secret.metadata.name)) continue
    const { name, namespace = '' } = secret.metadata
    const standing = await cluster.read({ kind: 'Secret' satisfies KindName, namespace, name })
    if (!standing || isOwn(standing)) await cluster.apply(secret, standing)
  }
  await context.finish(`${secrets.length} Secrets are back.`)
  await context.begin('create')
  return { next: 'again' }
}

async function create(context: WorkContext<DatabaseTarget>, plan: Undeletion, current: KubernetesObject | undefined): Promise<Progress> {
  const theirs = current && (await claimsAreTheirs(context, plan.used))
  if (theirs?.next === 'failed') return theirs
  return advanceSteps(context, current, current ? [] : [{ name: 'create', objects: [plan.cratedb], consequences: [] }])
}

async function finish(
  context: WorkContext<DatabaseTarget>,
  { record }: UndeleteEvidence,
  { used, unused }: Undeletion,
  current: KubernetesObject | undefined,
): Promise<Progress> {
  if (!current) return { next: 'failed', reason: 'Disappeared', message: 'The database was deleted by somebody else while it came back.' }
  const theirs = await claimsAreTheirs(context, used)
  if (theirs) return theirs
  // Before the record changes or goes: after a crash the volumes are not known from it any more.
  if (!context.operation.status?.result) await context.record({ result: { volumes: used } })
  if (unused.length === 0) await context.cluster.remove(record)
  else await keepUnused(context, record, unused)
  const needless = unused.length === 1 ? '1 volume that no node needs stays' : `${unused.length} volumes that no node needs stay`
  const left = unused.length === 0 ? '' : ` ${needless} in the record ${record.metadata.name}.`
  return { next: 'done', message: `The database is back, on its volumes.${left}`, observed: observedOf(current) }
}

async function keepUnused({ cluster }: WorkContext, { metadata }: UndeleteEvidence['record'], unused: Undeletion['unused']): Promise<void> {
  const { name, namespace = '', resourceVersion } = metadata
  await cluster.patch({ kind: 'RetainedDatabase', namespace, name }, { metadata: { resourceVersion }, spec: { volumes: unused } })
}
