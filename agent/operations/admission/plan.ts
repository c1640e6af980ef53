import { isProblem } from '../../../shared/errors.ts'
import { applyObject } from '../../../shared/kubernetes/apply.ts'
import type { Cluster } from '../../../shared/kubernetes/connection.ts'
import { unlessGone } from '../../../shared/kubernetes/failures.ts'
import { type KubernetesObject, pathOfObject } from '../../../shared/kubernetes/objects.ts'
import { storageClassesOf, usableHosts } from '../../region/status.ts'
import { type StoredDatabaseSpec, secretsNeeded } from '../../resources/database.ts'
import { restoreStep, type StoredRestore } from '../../resources/database-actions.ts'
import { deletionConsequences, planDatabase } from '../../resources/database-plan.ts'
import { type DatabaseTarget, desiredSecrets, secretObject, toBase64, userSecretName } from '../../resources/database-secrets.ts'
import { namespaceOf, type Step } from '../../resources/kind.ts'
import { fieldManager } from '../../resources/labels.ts'
import { desiredProject, type ProjectSpec } from '../../resources/project.ts'
import type { Proposal } from '../journal.ts'
import type { AdmissionParts } from './admission.ts'
import { type Difference, differenceOf } from './difference.ts'

/** What would be done with one object. */
export type PlannedObject = {
  kind: string
  namespace?: string
  name: string
  change: 'create' | 'change' | 'none' | 'delete'
  diff: Difference[]
}

/** One step of a plan, with what it means for whoever uses the resource. */
export type PlannedStep = { name: string; consequences: string[]; objects: PlannedObject[] }

/** A step as it would be carried out, or the objects that it would take away. */
type Draft = { name: string; consequences: string[]; objects: KubernetesObject[]; removed?: KubernetesObject[] }

/**
 * What would come of a proposal: its steps, and of each object what the API server itself says it would become (dry run), in
 * comparison with what it is before that step. Nothing is written.
 *
 * @throws Problem `rejected-by-cluster` and others, when the API server would refuse an object
 */
export async function planOf(parts: AdmissionParts & { cluster: Cluster }, proposal: Proposal): Promise<PlannedStep[]> {
  const seen = new Map<string, KubernetesObject | undefined>()
  const planned: PlannedStep[] = []
  for (const { name, consequences, objects, removed = [] } of draftsOf(parts, proposal)) {
    const changes: PlannedObject[] = []
    for (const object of objects) changes.push(await tryOut(parts.cluster, object, seen))
    planned.push({ name, consequences, objects: [...changes, ...removed.map(removal)] })
  }
  return planned
}

function draftsOf(parts: AdmissionParts, proposal: Proposal): Draft[] {
  const { target, action } = proposal
  if (target.kind === 'project') return action === 'delete' ? projectDeletion(parts, proposal) : projectPut(parts, proposal)
  const present = parts.accepted.database(target.project, target.database)
  switch (action) {
    case 'delete':
      return databaseDeletion(parts, target, proposal, present)
    case 'restart':
      return [{ name: 'restart', consequences: restartConsequences(present?.spec), objects: [] }]
    case 'restore': {
      if (!present?.object) return [{ name: 'restore', consequences: [notYet], objects: [] }]
      return [restoreStep(target, present.object, proposal.parameters as StoredRestore, proposal.secrets ?? {})]
    }
    case 'rotate-password':
      return [passwordStep(target, present?.spec, proposal)]
    default:
      return desiredState(parts, target, proposal, present?.object)
  }
}

const notYet = 'The database is still to be created; what this would change cannot be told before.'

/** A project becomes a namespace: the controller makes what is in it, and heals it. */
function projectPut({ accepted }: AdmissionParts, { wanted, target }: Proposal): Draft[] {
  const spec = wanted as ProjectSpec
  const before = accepted.project(target.project)?.spec
  const lowered = before?.quota !== undefined || spec.quota !== undefined
  const consequences = [
    ...(before ? [] : [`Makes the namespace ${namespaceOf(spec.id)} with its quota, its network policies and copies of its pull secrets.`]),
    ...(before && lowered
      ? ['A quota that is lower than what is in use takes nothing away; nothing can be added until there is room.']
      : []),
    ...(before?.deletionProtection && !spec.deletionProtection ? ['The project can be deleted from then on.'] : []),
  ]
  return [{ name: 'apply', consequences, objects: [desiredProject(spec)] }]
}

function projectDeletion({ accepted, caches }: AdmissionParts, { target, parameters }: Proposal): Draft[] {
  const project = accepted.project(target.project)
  const databases = accepted.databases(target.project)
  const retainVolumes = parameters?.retainVolumes !== false
  const classes = storageClassesOf(caches.storageClasses.values())
  const consequences = databases.flatMap(({ spec }) =>
    deletionConsequences({ ...spec, retainVolumes }, classes).map((sentence) => `${spec.id}: ${sentence}`),
  )
  const standing = databases.map(({ object }) => object).filter((object) => object !== undefined)
  const first: Draft[] = databases.length === 0 ? [] : [{ name: 'databases', consequences, objects: [], removed: standing }]
  const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespaceOf(target.project) } }
  const last = {
    name: 'delete',
    consequences: [`The namespace ${namespace.metadata.name} and everything in it is deleted.`],
    objects: [],
    removed: [...(project?.object ? [project.object] : []), namespace],
  }
  return [...first, last]
}

function databaseDeletion(
  { caches }: AdmissionParts,
  target: DatabaseTarget,
  { parameters }: Proposal,
  present: { spec: StoredDatabaseSpec; object: KubernetesObject | undefined } | undefined,
): Draft[] {
  if (!present) return []
  const spec = { ...present.spec, retainVolumes: parameters?.retainVolumes !== false }
  const { generate, missing } = secretsNeeded(spec)
  const secrets = desiredSecrets(target, spec, Object.fromEntries([...generate, ...missing].map((place) => [place, ''])))
  const removed = [...(present.object ? [present.object] : []), ...secrets]
  return [
    { name: 'delete', consequences: deletionConsequences(spec, storageClassesOf(caches.storageClasses.values())), objects: [], removed },
  ]
}

function restartConsequences(spec: StoredDatabaseSpec | undefined): string[] {
  const nodes = (spec?.nodes.count ?? 0) + (spec?.master?.count ?? 0)
  return [
    `Restarts ${nodes === 1 ? 'the only node: nobody can connect meanwhile' : `all ${nodes} nodes, one after the other`}; queries on the node that restarts fail.`,
    'Goes on to the next node only when the database is GREEN.',
  ]
}

function passwordStep(target: DatabaseTarget, spec: StoredDatabaseSpec | undefined, { parameters, secrets }: Proposal): Draft {
  const index = spec?.users.findIndex(({ name }) => name === parameters?.user) ?? -1
  const object = secretObject(target, userSecretName(target.database, index), { password: toBase64(secrets?.password ?? '') })
  const consequences = ['New connections need the new password; those that are open stay.']
  return { name: 'rotate-password', consequences, objects: [object] }
}

function desiredState(
  { config, caches }: AdmissionParts,
  target: DatabaseTarget,
  proposal: Proposal,
  object: KubernetesObject | undefined,
): Draft[] {
  const { wanted, secrets = {} } = proposal
  const places = object ? Object.keys(secrets) : []
  const steps: Step[] = planDatabase(target, object, wanted as StoredDatabaseSpec, secrets, {
    imageRegistry: config.imageRegistry,
    changedSecrets: places,
  })
  const scarce = scarcity(wanted as StoredDatabaseSpec, usableHosts(caches.nodes.values()).length)
  return steps.map((step) => (startsNodes.has(step.name) ? { ...step, consequences: [...step.consequences, ...scarce] } : step))
}

const startsNodes = new Set(['create', 'scale', 'resume'])

/** No host takes two nodes of a database. It is not refused: hosts can be added at any time, and the operation waits for them. */
function scarcity({ nodes, master }: StoredDatabaseSpec, hosts: number): string[] {
  const count = nodes.count + (master?.count ?? 0)
  if (count <= hosts) return []
  return [`Its ${count} nodes need a host each, and ${hosts} can take one at the moment: the others start when there are more.`]
}

/**
 * What the API server would make of the object, on top of what earlier steps would have left.
 * @param seen objects as the steps before would have left them
 */
/**
 * What the API server says an object would become, in comparison with what it is; nothing is written.
 * @param seen what objects became in the steps before, by path; this one is added
 */
export async function tryOut(
  cluster: Cluster,
  object: KubernetesObject,
  seen: Map<string, KubernetesObject | undefined>,
): Promise<PlannedObject> {
  const path = pathOfObject(object)
  const before = seen.has(path) ? seen.get(path) : await read(cluster, path)
  const after = await dryRun(cluster, object)
  seen.set(path, after)
  const diff = differenceOf(before && { ...before, kind: object.kind }, { ...after, kind: object.kind })
  return { ...named(object), change: before === undefined ? 'create' : diff.length > 0 ? 'change' : 'none', diff }
}

async function read(cluster: Cluster, path: string): Promise<KubernetesObject | undefined> {
  return unlessGone(cluster.request<KubernetesObject>({ method: 'GET', path }))
}

async function dryRun(cluster: Cluster, object: KubernetesObject): Promise<KubernetesObject> {
  try {
    return await applyObject(cluster, object, { fieldManager, force: true, dryRun: true })
  } catch (error) {
    // Its namespace is still to be made: the object is shown as it will be sent.
    if (isProblem(error, 'not-found')) return object
    throw error
  }
}

function removal(object: KubernetesObject): PlannedObject {
  return { ...named(object), change: 'delete', diff: [] }
}

function named({ kind, metadata: { namespace, name } }: KubernetesObject) {
  return { kind, ...(namespace !== undefined && { namespace }), name }
}
