import { isProblem } from '../../../shared/errors.ts'
import { applyObject } from '../../../shared/kubernetes/apply.ts'
import type { Cluster } from '../../../shared/kubernetes/connection.ts'
import { type KubernetesObject, pathOfObject } from '../../../shared/kubernetes/objects.ts'
import { readObject } from '../../../shared/kubernetes/read.ts'
import type { Step } from '../../resources/kind.ts'
import { fieldManager } from '../../resources/labels.ts'
import { type Difference, differenceOf } from './difference.ts'

/** The planned change of one object. */
export type PlannedObject = {
  kind: string
  namespace?: string
  name: string
  change: 'create' | 'change' | 'none' | 'delete'
  diff: Difference[]
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
    planned.push({ name, consequences, objects: [...changes, ...removed.map(removal)] })
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
  const before = seen.has(path) ? seen.get(path) : await readObject(cluster, path)
  const after = await dryRun(cluster, object)
  seen.set(path, after)
  const diff = differenceOf(before && { ...before, kind: object.kind }, { ...after, kind: object.kind })
  return { ...named(object), change: before === undefined ? 'create' : diff.length > 0 ? 'change' : 'none', diff }
}

async function dryRun(cluster: Cluster, object: KubernetesObject): Promise<KubernetesObject> {
  try {
    return await applyObject(cluster, object, { fieldManager, force: true, dryRun: true })
  } catch (error) {
    // Its namespace does not exist yet: the object is shown as it will be sent.
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
