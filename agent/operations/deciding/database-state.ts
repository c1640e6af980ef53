import { type BodyFault, Problem } from '../../../shared/errors.ts'
import type { KubernetesObject } from '../../../shared/kubernetes/objects.ts'
import { describeBytes, parseBytes, parseMillicores } from '../../../shared/kubernetes/quantity.ts'
import { isReady } from '../../region/obstacles/evidence.ts'
import { storageClassesOf, usableHosts } from '../../region/status.ts'
import { foreignSecrets, inexpressible, uncountedWhy } from '../../resources/adopted.ts'
import type { BackupImage } from '../../resources/backup-image.ts'
import { movesBackups } from '../../resources/backup-place.ts'
import { desiredCrateDB } from '../../resources/cratedb.ts'
import type { NodesEvidence } from '../../resources/cratedb-undo.ts'
import { groupsOf, type Rehearsal, type StoredDatabaseSpec, secretsNeeded } from '../../resources/database.ts'
import { planDatabase } from '../../resources/database-plan.ts'
import { refusals } from '../../resources/database-rules.ts'
import type { DatabaseTarget, Secrets, Step } from '../../resources/kind.ts'
import { bringsBack, type Operation } from '../../resources/operation.ts'
import type { ProjectSpec } from '../../resources/project.ts'
import { sumOfRetained } from '../../resources/retained-keeping.ts'
import { snapshotKeys } from '../../resources/snapshots.ts'
import type { AcceptedResource } from '../accepted.ts'
import type { Asked as AskedOf } from '../actions/action.ts'
import { hasBegun } from '../precedence.ts'
import { certainFaults, doubtsOf } from './bucket-trial.ts'
import { type DecisionParts, onlyUnprotects, type Proposed, refusal, sameJson, seconds } from './decision.ts'
import { leavingProblem, noSuchDatabase, projectAround } from './present.ts'
import { differingSecrets } from './present-secrets.ts'
import { retainedOf } from './retained.ts'
import { tooFrequent } from './schedule-pace.ts'
import { sharedFolder, withFolder } from './snapshot-folder.ts'

type Present = AcceptedResource<StoredDatabaseSpec>

/** The part of a request that a decision about the state of a database needs. */
type Asked = Omit<AskedOf<DatabaseTarget>, 'query' | 'body'>

/** Stops a database's nodes, or starts them again. Nothing changes if they are already stopped or running. */
export function decideSuspension(parts: DecisionParts, asked: Asked, suspended: boolean): Proposed | undefined {
  return decideState(parts, asked, (present) => {
    if (!present) throw noSuchDatabase(asked.target)
    if (!present.object) {
      const message = `the database is still to be created, by operation ${present.operation?.metadata.name}; repeat the request when that has ended`
      throw refusal('wrong-state', [{ path: '', message }])
    }
    return { spec: { ...present.spec, suspended }, secrets: {} }
  })
}

/**
 * Decides on the desired state of a database, with its secrets. Passwords that a creation lacks are generated.
 * @param intent returns the requested state, given the state that was last accepted
 */
export function decideState(
  parts: DecisionParts,
  { target, guard, presentSecrets, passwordAt, nodes, findings }: Asked,
  intent: (present: Present | undefined) => Intent,
): Proposed | undefined {
  const present = parts.accepted.database(target.project, target.database)
  guard(present)
  const project = projectAround(parts, target, { seesOff: true })
  if (present?.leaving) throw leavingProblem(target, present)
  if (present?.spec.rehearsal) throw refusal('wrong-state', [{ path: '', message: belongsToRehearsal(present.spec.rehearsal) }])
  if (present && !present.object) refuseInstead(parts, target)
  const given = intent(present)
  const wanted = withFolder({ ...given.spec, ...carriedOver(given.spec, present), id: target.database }, present?.spec, {
    ...target,
    region: parts.config.region,
  })
  if (project.leaving && !(present && onlyUnprotects(wanted, present.spec)))
    throw leavingProblem({ kind: 'project', project: target.project }, project)
  const secrets = secretsOf(wanted, given.secrets, present, presentSecrets, passwordAt)
  const ownFaults = [
    ...ownRules(given.spec, target, present),
    ...adoptedRules(given, present, secrets.changed),
    ...sharedFolder(target, wanted, present?.spec, parts),
    ...(given.isStored ? [] : tooFrequent(wanted, present?.spec)),
    ...certainFaults(findings, (field) => `/snapshots/s3${field === undefined ? '' : `/${field}`}`),
  ]
  refuse(parts, wanted, { target, present, project: project.spec, secrets, ownFaults, takesBack: given.takesBack })
  const decided = {
    target,
    wanted,
    present,
    project,
    secrets,
    nodes,
    doubts: doubtsOf(findings),
    options: parts.config,
    backupImage: parts.backupImage(),
  }
  const steps = plan(decided)
  if (isUnchanged(decided, steps)) return undefined
  const credentials = secrets.generated.map((place) => ({ user: userAt(wanted, place), password: passwordAt(place) }))
  return { ...proposalOf(parts, decided, steps), credentials }
}

function belongsToRehearsal({ operation, of }: Rehearsal): string {
  return `the database is part of the rehearsal of ${of}, and is deleted when operation ${operation} ends; cancel that, or wait`
}

/** @throws Problem while an operation creates the database on the volumes that it had: after its failure this one would use empty ones */
function refuseInstead({ journal }: Pick<DecisionParts, 'journal'>, target: DatabaseTarget): void {
  const before = journal.unended(target).find(bringsBack)
  if (!before) return
  const message = `the database comes back with its volumes by operation ${before.metadata.name}; repeat the request when that has ended`
  throw refusal('wrong-state', [{ path: '', message }])
}

type Intent = {
  spec: StoredDatabaseSpec
  secrets: Secrets
  /** Whether the request itself names the number of nodes. */
  counts?: boolean
  /** The deleted database whose volumes it takes: they do not count twice. */
  takesBack?: string | undefined
  /** It was accepted before, perhaps by an earlier version: in the region that a file is of. */
  isStored?: boolean
}

/** What another tool made, and a request need not repeat: the other groups, and members with values that the schema of the API refuses. */
function carriedOver(given: StoredDatabaseSpec, present: Present | undefined): Partial<StoredDatabaseSpec> {
  if (!present?.object) return {}
  const { spec } = present
  const members = new Set(['otherGroups', ...inexpressible(spec).map(({ path }) => path.split('/')[1])])
  return Object.fromEntries(
    Object.entries(spec).filter(([name]) => members.has(name) && isLeftOut((given as Record<string, unknown>)[name])),
  )
}

/** Also an empty map or list, which is the default. */
function isLeftOut(value: unknown): boolean {
  return value === undefined || (typeof value === 'object' && value !== null && Object.keys(value).length === 0)
}

/** Rules about a CrateDB that another tool made or suspended. */
function adoptedRules({ spec, counts = false }: Intent, present: Present | undefined, changedSecrets: string[]): BodyFault[] {
  if (!present?.object) return []
  const { object } = present
  const uncounted = spec.suspended ? undefined : uncountedWhy(object, present.spec)
  const isUncounted = uncounted !== undefined && !(counts && present.spec.otherGroups === undefined)
  return [
    ...(isUncounted ? [{ path: '/nodes/count', message: uncounted }] : []),
    ...foreignSecrets(object)
      .filter(({ place }) => changedSecrets.includes(place))
      .map(({ place, secret }) => ({
        path: `/${place.replaceAll('.', '/')}`,
        message: `is in the Secret ${secret} of another tool, which the API does not overwrite; change it there`,
      })),
  ]
}

/** Rules that depend on the path of the request, or on a creation that is not finished: the rules about databases know neither. */
function ownRules(given: StoredDatabaseSpec, { database }: DatabaseTarget, present: Present | undefined): BodyFault[] {
  return [
    ...(given.id === database ? [] : [{ path: '/id', message: `must be "${database}", as in the path` }]),
    ...(present && !present.object && given.suspended
      ? [
          {
            path: '/suspended',
            message: `must be false until the database has been created (operation ${present.operation?.metadata.name})`,
          },
        ]
      : []),
  ]
}

type Decided = {
  target: DatabaseTarget
  wanted: StoredDatabaseSpec
  present: Present | undefined
  project: AcceptedResource<ProjectSpec>
  secrets: SecretsToKeep
  nodes: NodesEvidence | undefined
  /** What is said of a trial of its bucket that did not get through. */
  doubts: readonly string[]
  options: { imageRegistry: string }
  backupImage: BackupImage
}

type SecretsToKeep = {
  /** Those that are stored with the operation. */
  values: Secrets
  /** Those that stay, and are written again because the rest of their Secret changes: the operation reads them from there. */
  standing?: Secrets
  /** Places whose value differs from the present one. */
  changed: string[]
  /** Places of passwords that were generated. */
  generated: string[]
  /** Places without a value. */
  missing: string[]
}

/** The secrets that are stored with the operation: all for a creation; later all of each part in which one has changed. */
function secretsOf(
  wanted: StoredDatabaseSpec,
  given: Secrets,
  present: Present | undefined,
  presentSecrets: Secrets | undefined,
  passwordAt: (place: string) => string,
): SecretsToKeep {
  if (!present) {
    const { generate, missing } = secretsNeeded(wanted, given)
    return {
      values: { ...given, ...Object.fromEntries(generate.map((place) => [place, passwordAt(place)])) },
      changed: [],
      generated: generate,
      missing,
    }
  }
  const moves = movesBackups(present.spec, wanted)
  const lacking = wanted.snapshots && !present.spec.snapshots ? snapshotKeys.filter((place) => !Object.hasOwn(given, place)) : []
  if (!presentSecrets && Object.keys(given).length === 0 && present.object && !moves)
    return { values: {}, changed: [], generated: [], missing: lacking }
  if (!presentSecrets) throw new Problem('conflict', `Database ${wanted.id} was created or changed by another request at the same time.`)
  const changed = differingSecrets(given, presentSecrets)
  const all = { ...presentSecrets, ...given }
  // If the creation ends without having created anything, this operation creates the database, and needs all secrets.
  if (!present.object) {
    const { generate, missing } = secretsNeeded(wanted, all)
    // Generated passwords are stored with the creation. If they are missing, it has ended, and the watch has not delivered that yet.
    if (generate.length > 0) throw new Problem('conflict', `The creation of database ${wanted.id} ended at the same time.`)
    return { values: all, changed, generated: [], missing }
  }
  // A Secret is applied as a whole, so unchanged credentials and keystores are stored together with the changed ones.
  const parts = ['backups.', 'snapshots.', 'ssl.'].filter((part) => changed.some((place) => place.startsWith(part)))
  const values = ofParts(all, parts)
  const standing = moves ? ofParts(all, ['backups.']) : {}
  const written = moves ? [...parts, 'backups.'] : parts
  const missing = secretsNeeded(wanted, all).missing.filter((place) => written.some((part) => place.startsWith(part)))
  return { values, standing, changed, generated: [], missing: [...new Set([...missing, ...lacking])] }
}

function ofParts(secrets: Secrets, parts: string[]): Secrets {
  return Object.fromEntries(Object.entries(secrets).filter(([place]) => parts.some((part) => place.startsWith(part))))
}

/** The user of `users.<index>.password`. */
function userAt({ users }: StoredDatabaseSpec, place: string): string {
  return users[Number(place.split('.')[1])]?.name ?? ''
}

type Judged = {
  target: DatabaseTarget
  present: Present | undefined
  project: ProjectSpec
  secrets: SecretsToKeep
  ownFaults: BodyFault[]
  takesBack: string | undefined
}

/** @throws Problem of the most severe type, with the faults of all types */
function refuse(
  parts: DecisionParts,
  wanted: StoredDatabaseSpec,
  { target, present, project, secrets, ownFaults, takesBack }: Judged,
): void {
  const { accepted, caches, config, heapDumpVolume } = parts
  // Only if there is a quota: reading a thousand databases takes milliseconds.
  const siblings = project.quota === undefined ? [] : accepted.databases(target.project).map(({ spec }) => spec)
  const found = refusals({
    target,
    wanted,
    current: present?.spec,
    storageClasses: storageClassesOf(caches.storageClasses.values()),
    project,
    siblings: siblings.filter(({ id }) => id !== target.database),
    retained: sumOfRetained(project.quota === undefined ? [] : retainedOf(target.project, parts, takesBack)),
    changedSecrets: secrets.changed,
    missingSecrets: secrets.missing,
    heapDumpVolume: heapDumpVolume(),
    backupEndpointIsRead: present?.object && present.object.spec?.backups?.aws?.endpointUrl !== undefined,
    allowedKeys: config.allowedKeys,
    endpoints: config.endpoints,
  })
  const all = [...(ownFaults.length > 0 ? [{ type: 'invalid-fields' as const, faults: ownFaults }] : []), ...found]
  const [gravest] = all
  if (gravest)
    throw refusal(
      gravest.type,
      all.flatMap(({ faults }) => faults),
    )
}

function plan({ target, wanted, present, secrets, nodes, options: { imageRegistry }, backupImage }: Decided): Step[] {
  const { values, standing, changed } = secrets
  return planDatabase(
    target,
    present?.object,
    wanted,
    { ...standing, ...values },
    { imageRegistry, changedSecrets: changed, nodes, backupImage },
  )
}

/** Nothing to do: this state is already accepted, or the cluster is in this state and no operation is open. */
function isUnchanged({ wanted, present, secrets }: Decided, steps: Step[]): boolean {
  if (!present || secrets.changed.length > 0 || steps[0]?.alongside) return false
  return sameJson(wanted, present.spec) || (present.object !== undefined && !present.operation && steps.length === 0)
}

function proposalOf({ config, caches, journal }: DecisionParts, decided: Decided, steps: Step[]): Proposed {
  const { wanted, present, secrets } = decided
  const hosts = usableHosts(caches.nodes.values())
  const large = tooLarge(wanted, hosts)
  const scarce = [...scarcity(wanted, hosts.length), ...large]
  const told = (step: Step) => [
    ...(step.alongside ? overtakes(journal.unended(decided.target)) : []),
    ...(step === steps[0] && !step.alongside ? waitsFor(journal.unended(decided.target)) : []),
    ...step.consequences,
    ...(step.name === (present ? 'snapshots' : 'create') ? decided.doubts : []),
    ...(startsNodes.has(step.name) ? scarce : []),
    ...(step.name === 'compute' && large.length > 0 && needsEveryNode(wanted) ? [cannotBeTakenBack.compute] : []),
    ...(step.name === 'scale' && scarce.length > 0 && isForGood(wanted, present, large.length > 0 ? 0 : hosts.length)
      ? [cannotBeTakenBack.scale]
      : []),
  ]
  return {
    wanted,
    ...(Object.keys(secrets.values).length > 0 && { secrets: secrets.values }),
    timeoutSeconds: seconds(config.timeouts[present ? 'change' : 'create']),
    tryOut: tryOut(decided, steps),
    plan: steps.map((step) => ({ ...step, consequences: told(step) })),
  }
}

/** The effect on the open operations of the database if the change that they wait for is taken back. */
function overtakes(open: Operation[]): string[] {
  const ending = open.filter(({ spec }) => spec.wanted !== undefined)
  const others = open.filter(({ spec }) => spec.wanted === undefined)
  const [begun, waiting] = [others.filter(hasBegun), others.filter((operation) => !hasBegun(operation))]
  return [
    ...(begun.length > 0 ? [`Waits for ${named(begun)}, which ${have(begun)} begun.`] : []),
    ...(ending.length > 0
      ? [
          `Supersedes ${named(ending)}, which ${have(ending)} not ended: what ${ending.length === 1 ? 'it waits' : 'they wait'} for is taken back.`,
        ]
      : []),
    ...(waiting.length > 0 ? [`Takes precedence over ${named(waiting)}, which ${have(waiting)} not begun.`] : []),
  ]
}

/** The operation that waits for hosts, if the request does not take back what it waits for. */
function waitsFor(open: Operation[]): string[] {
  const isUnschedulable = ({ status }: Operation) => status?.blockers?.some(({ code }) => code === 'PodUnschedulable') ?? false
  return open
    .filter((operation) => operation.status?.step !== undefined && isUnschedulable(operation))
    .map(
      (operation) =>
        `Waits for ${named([operation])}: its step "${operation.status?.step?.name}" waits for hosts, and this request does not take it back.`,
    )
}

/** `operation op-1`, or `operations op-1, op-2 and op-3`. */
function named(operations: Operation[]): string {
  const names = operations.map(({ metadata }) => metadata.name)
  return names.length === 1 ? `operation ${names[0]}` : `operations ${names.slice(0, -1).join(', ')} and ${names.at(-1)}`
}

function have(operations: Operation[]): string {
  return operations.length === 1 ? 'has' : 'have'
}

const startsNodes = new Set(['create', 'compute', 'scale', 'resume'])

/** Whether the database has no majority while one of its nodes is missing (decision 24). */
function needsEveryNode({ nodes, master }: StoredDatabaseSpec): boolean {
  return nodes.count === 1 || (master === undefined && nodes.count === 2)
}

/** Whether no request could take back new nodes that wait for hosts: of one node without a second, or of several groups (decision 24). */
function isForGood({ nodes: { count } }: StoredDatabaseSpec, present: Present | undefined, hosts: number): boolean {
  const { nodes, otherGroups = [] } = present?.spec ?? {}
  return nodes !== undefined && count > nodes.count && (otherGroups.length > 0 || (nodes.count === 1 && hosts < 2))
}

const cannotBeTakenBack = {
  compute: 'Until then the database does not answer, and the change cannot be taken back.',
  scale: 'Until then the change cannot be taken back.',
}

/** What no host has as much of as a node asks for. The request is not refused, for the same reason. */
function tooLarge(spec: StoredDatabaseSpec, hosts: KubernetesObject[]): string[] {
  if (hosts.length === 0) return []
  const most = (resource: 'cpu' | 'memory', read: (quantity: string) => bigint | number | undefined) =>
    hosts.map(({ status }) => BigInt(read(status?.allocatable?.[resource] ?? '0') ?? 0)).reduce((a, b) => (a > b ? a : b))
  const cores = Number(most('cpu', parseMillicores)) / 1000
  const bytes = most('memory', parseBytes)
  const waits = 'The first node that starts with that waits until a host has it, and is missing until then.'
  return groupsOf(spec).flatMap(({ cpu, memory }) => [
    ...(cpu > cores ? [`A node asks for ${cpu} cores, and the largest host has ${cores} in all. ${waits}`] : []),
    ...((parseBytes(memory) ?? 0n) > bytes
      ? [
          `A node asks for ${describeBytes(parseBytes(memory) ?? 0n)} of memory, and the largest host has ${describeBytes(bytes)} in all. ${waits}`,
        ]
      : []),
  ])
}

/** A host takes only one node of a database. The request is not refused: hosts can be added at any time, and the operation waits. */
function scarcity(spec: StoredDatabaseSpec, hosts: number): string[] {
  const count = groupsOf(spec).reduce((sum, group) => sum + group.count, 0)
  if (count <= hosts) return []
  return [`Its ${count} nodes need a host each, and ${hosts} can take one at the moment: the others start when there are more.`]
}

/**
 * The objects for the dry run: the CrateDB of the first step, for which the API server has a schema and perhaps a policy. None while the
 * namespace of the project does not exist, since the dry run would only report that.
 */
function tryOut({ target, wanted, present, project, options }: Decided, steps: Step[]): KubernetesObject[] {
  if (present && !present.object) return []
  if (present) return (steps[0]?.objects ?? []).filter(({ kind }) => kind === 'CrateDB')
  return project.object && isReady(project.object) ? [desiredCrateDB(target, wanted, options)] : []
}
