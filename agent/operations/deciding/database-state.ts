import { type Fault, Problem } from '../../../shared/errors.ts'
import type { KubernetesObject } from '../../../shared/kubernetes/objects.ts'
import { isReady } from '../../region/obstacles/evidence.ts'
import { storageClassesOf, usableHosts } from '../../region/status.ts'
import { desiredCrateDB } from '../../resources/cratedb.ts'
import { type StoredDatabaseSpec, secretsNeeded } from '../../resources/database.ts'
import { planDatabase } from '../../resources/database-plan.ts'
import { refusals } from '../../resources/database-rules.ts'
import type { DatabaseTarget, Secrets, Step } from '../../resources/kind.ts'
import type { ProjectSpec } from '../../resources/project.ts'
import type { AcceptedResource } from '../accepted.ts'
import type { Asked as AskedOf } from '../actions/action.ts'
import { type DecisionParts, onlyUnprotects, type Proposed, refusal, sameJson, seconds } from './decision.ts'
import { leavingProblem, noSuchDatabase, projectAround } from './present.ts'
import { differingSecrets } from './present-secrets.ts'

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
  { target, guard, presentSecrets, passwordAt }: Asked,
  intent: (present: Present | undefined) => { spec: StoredDatabaseSpec; secrets: Secrets },
): Proposed | undefined {
  const present = parts.accepted.database(target.project, target.database)
  guard(present)
  const project = projectAround(parts, target, { seesOff: true })
  if (present?.leaving) throw leavingProblem(target, present)
  const given = intent(present)
  const wanted = { ...given.spec, id: target.database }
  if (project.leaving && !(present && onlyUnprotects(wanted, present.spec)))
    throw leavingProblem({ kind: 'project', project: target.project }, project)
  const ownFaults = ownRules(given.spec, target, present)
  const secrets = secretsOf(wanted, given.secrets, present, presentSecrets, passwordAt)
  refuse(parts, target, wanted, present, project.spec, secrets, ownFaults)
  const decided = { target, wanted, present, project, secrets, options: parts.config }
  const steps = plan(decided)
  if (isUnchanged(decided, steps)) return undefined
  const credentials = secrets.generated.map((place) => ({ user: userAt(wanted, place), password: passwordAt(place) }))
  return { ...proposalOf(parts, decided, steps), credentials }
}

/** Rules that depend on the path of the request, or on a creation that is not finished: the rules about databases know neither. */
function ownRules(given: StoredDatabaseSpec, { database }: DatabaseTarget, present: Present | undefined): Fault[] {
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
  options: { imageRegistry: string }
}

type SecretsToKeep = {
  /** Those that are stored with the operation. */
  values: Secrets
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
  if (!presentSecrets && Object.keys(given).length === 0 && present.object) return { values: {}, changed: [], generated: [], missing: [] }
  if (!presentSecrets) throw new Problem('conflict', `Database ${wanted.id} was created by another request at the same time.`)
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
  const parts = ['backups.', 'ssl.'].filter((part) => changed.some((place) => place.startsWith(part)))
  const values = Object.fromEntries(Object.entries(all).filter(([place]) => parts.some((part) => place.startsWith(part))))
  const missing = secretsNeeded(wanted, all).missing.filter((place) => parts.some((part) => place.startsWith(part)))
  return { values, changed, generated: [], missing }
}

/** The user of `users.<index>.password`. */
function userAt({ users }: StoredDatabaseSpec, place: string): string {
  return users[Number(place.split('.')[1])]?.name ?? ''
}

/** @throws Problem of the most severe type, with the faults of all types */
function refuse(
  { accepted, caches, heapDumpVolume }: DecisionParts,
  target: DatabaseTarget,
  wanted: StoredDatabaseSpec,
  present: Present | undefined,
  project: ProjectSpec,
  secrets: SecretsToKeep,
  ownFaults: Fault[],
): void {
  // Only if there is a quota: reading a thousand databases takes milliseconds.
  const siblings = project.quota === undefined ? [] : accepted.databases(target.project).map(({ spec }) => spec)
  const found = refusals({
    target,
    wanted,
    current: present?.spec,
    storageClasses: storageClassesOf(caches.storageClasses.values()),
    project,
    siblings: siblings.filter(({ id }) => id !== target.database),
    changedSecrets: secrets.changed,
    missingSecrets: secrets.missing,
    heapDumpVolume: heapDumpVolume(),
  })
  const all = [...(ownFaults.length > 0 ? [{ type: 'invalid-fields' as const, faults: ownFaults }] : []), ...found]
  const [gravest] = all
  if (gravest)
    throw refusal(
      gravest.type,
      all.flatMap(({ faults }) => faults),
    )
}

function plan({ target, wanted, present, secrets, options }: Decided): Step[] {
  const { values, changed } = secrets
  return planDatabase(target, present?.object, wanted, values, { imageRegistry: options.imageRegistry, changedSecrets: changed })
}

/** Nothing to do: this state is already accepted, or the cluster is in this state and no operation is open. */
function isUnchanged({ wanted, present, secrets }: Decided, steps: Step[]): boolean {
  if (!present || secrets.changed.length > 0) return false
  return sameJson(wanted, present.spec) || (present.object !== undefined && !present.operation && steps.length === 0)
}

function proposalOf({ config, caches }: DecisionParts, decided: Decided, steps: Step[]): Proposed {
  const { wanted, present, secrets } = decided
  const scarce = scarcity(wanted, usableHosts(caches.nodes.values()).length)
  return {
    wanted,
    ...(Object.keys(secrets.values).length > 0 && { secrets: secrets.values }),
    timeoutSeconds: seconds(config.timeouts[present ? 'change' : 'create']),
    tryOut: tryOut(decided, steps),
    plan: steps.map((step) => (startsNodes.has(step.name) ? { ...step, consequences: [...step.consequences, ...scarce] } : step)),
  }
}

const startsNodes = new Set(['create', 'scale', 'resume'])

/** A host takes only one node of a database. The request is not refused: hosts can be added at any time, and the operation waits. */
function scarcity({ nodes, master }: StoredDatabaseSpec, hosts: number): string[] {
  const count = nodes.count + (master?.count ?? 0)
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
