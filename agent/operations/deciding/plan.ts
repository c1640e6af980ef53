import { stepsOf } from '../../../shared/json-pointer.ts'
import type { Cluster } from '../../../shared/kubernetes/connection.ts'
import { unlessGone } from '../../../shared/kubernetes/failures.ts'
import { type KubernetesObject, kinds, pathOf, pathOfObject } from '../../../shared/kubernetes/objects.ts'
import { readObject } from '../../../shared/kubernetes/read.ts'
import { listed } from '../../region/obstacles/evidence.ts'
import { unlessNamespaceGone } from '../../region/project-rights.ts'
import { managersOf, namesOf } from '../../resources/field-owners.ts'
import type { Step } from '../../resources/kind.ts'
import { tryTakeOver } from '../taking-over.ts'
import { type Difference, differenceOf } from './difference.ts'

/** The planned change of one object. `setBy`: the field managers that have set the present value, unless that is Skerry. */
export type PlannedObject = {
  kind: string
  namespace?: string
  name: string
  change: 'create' | 'change' | 'none' | 'delete'
  diff: (Difference & { setBy?: string[] })[]
}

/** One step of a plan, with its consequences for users of the resource. */
export type PlannedStep = { name: string; consequences: string[]; objects: PlannedObject[] }

/**
 * The planned change of each object, by a dry run on the API server, compared with the result of the steps before. Nothing is written.
 *
 * @throws Problem `rejected-by-cluster` and others, when the API server would refuse an object
 */
export async function dryRunOf(cluster: Cluster, plan: Step[]): Promise<PlannedStep[]> {
  const seen = new Map<string, KubernetesObject | undefined>()
  const planned: PlannedStep[] = []
  for (const { name, consequences, objects, removed = [] } of plan) {
    const changes: PlannedObject[] = []
    for (const object of objects) changes.push(await tryOut(cluster, object, seen))
    planned.push({ name, consequences: [...consequences, ...changes.flatMap(takenOver)], objects: [...changes, ...removed.map(removal)] })
  }
  return planned
}

/**
 * The change of an object by a dry run on the API server, compared with its present state. Nothing is written.
 * @param seen the results of the steps before, by path; the result of this one is added
 */
export async function tryOut(
  cluster: Cluster,
  object: KubernetesObject,
  seen: Map<string, KubernetesObject | undefined>,
): Promise<PlannedObject> {
  const path = pathOfObject(object)
  const { namespace } = object.metadata
  const readNamespace = () => readObject(cluster, pathOf(kinds.Namespace, undefined, namespace))
  const inside = <T>(request: Promise<T>) => (namespace === undefined ? request : unlessNamespaceGone(request, readNamespace))
  const before = seen.has(path) ? seen.get(path) : await inside(readObject(cluster, path))
  // Its namespace does not exist yet: the object is shown as it will be sent.
  const after = (await inside(dryRun(cluster, object, before))) ?? object
  seen.set(path, after)
  const differences = differenceOf(before && { ...before, kind: object.kind }, { ...after, kind: object.kind })
  const diff = differences.map((difference) => ({ ...difference, ...(before && settersOf(before, difference)) }))
  return { ...named(object), change: before === undefined ? 'create' : diff.length > 0 ? 'change' : 'none', diff }
}

/** Who has set the present value of a field that changes, unless that is Skerry. */
function settersOf(before: KubernetesObject, { path, from }: Difference): { setBy?: string[] } {
  if (from === undefined) return {}
  const managers = managersOf(before, stepsOf(path))
  return managers.length === 0 ? {} : { setBy: managers }
}

/** What an object loses of others: a sentence for each manager. */
function takenOver({ kind, name, diff }: PlannedObject): string[] {
  const bySetter = Map.groupBy(
    diff.filter(({ setBy }) => setBy !== undefined),
    ({ setBy = [] }) => namesOf(setBy),
  )
  return [...bySetter].map(
    ([setter, fields]) => `Takes over what ${setter} has set in ${kind} ${name}: ${listed(fields.map(({ path }) => path))}.`,
  )
}

function dryRun(cluster: Cluster, object: KubernetesObject, before: KubernetesObject | undefined): Promise<KubernetesObject | undefined> {
  return unlessGone(tryTakeOver(cluster, object, before))
}

function removal(object: KubernetesObject): PlannedObject {
  return { ...named(object), change: 'delete', diff: [] }
}

function named({ kind, metadata: { namespace, name } }: KubernetesObject) {
  return { kind, ...(namespace !== undefined && { namespace }), name }
}
