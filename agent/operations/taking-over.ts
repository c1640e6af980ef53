import { Problem } from '../../shared/errors.ts'
import { pointerTo } from '../../shared/json-pointer.ts'
import { applyObject } from '../../shared/kubernetes/apply.ts'
import type { Cluster } from '../../shared/kubernetes/connection.ts'
import { type KubernetesObject, pathOfObject } from '../../shared/kubernetes/objects.ts'
import { mergePatch } from '../../shared/kubernetes/patch.ts'
import { describeObject } from '../region/obstacles/evidence.ts'
import { droppedObjects, foreignFields, namesOf, type OwnedField, removing, unheldField, withoutFields } from '../resources/field-owners.ts'
import { fieldManager } from '../resources/labels.ts'

/**
 * Makes an object what is wanted, whoever wrote it before (decision 23): values of others are replaced, and fields of others are removed where
 * Skerry decides on every field. The result is read back.
 *
 * If fields are to be removed, one merge patch writes everything, and the server-side apply that follows changes no value: for the Crate
 * Operator, a second edit would come in the middle of its run.
 *
 * @param before the object as it was read just before; undefined if it does not exist
 * @param alongside a merge patch for other fields, which the same write makes
 * @param mustAct called before each write; it throws to prevent the write
 * @returns the object as the API server has stored it
 * @throws Problem `field-conflict` when a field is not as it was written; `conflict` when somebody writes at the same time; and those of
 *   `applyObject`
 */
export async function takeOver(
  cluster: Cluster,
  object: KubernetesObject,
  { before, alongside, mustAct }: { before: KubernetesObject | undefined; alongside?: object | undefined; mustAct: () => void },
): Promise<KubernetesObject> {
  const removed = before ? [...foreignFields(before, object, before), ...droppedObjects(before, object)] : []
  let wanted = object
  if (before && (removed.length > 0 || alongside)) {
    mustAct()
    const change = combined(removing(removed, withVersion(object, before.metadata.resourceVersion)), alongside)
    const patched = await mergePatch(cluster, pathOfObject(object), change, { fieldManager })
    wanted = withVersion(object, patched.metadata.resourceVersion)
  }
  mustAct()
  const standing = await applyObject(cluster, wanted, { fieldManager, force: true })
  const unheld = unheldField(standing, readBack(object))
  if (unheld) throw notHeld(object, unheld)
  const [left] = foreignFields(standing, object)
  if (left)
    throw new Problem(
      'conflict',
      `${pointerTo(left.path)} of ${describeObject(object)} was set by ${namesOf(left.managers)} at the same time.`,
    )
  return standing
}

/** The object as `takeOver` would leave it. Nothing is written. @throws Problem those of `applyObject` */
export async function tryTakeOver(
  cluster: Cluster,
  object: KubernetesObject,
  before: KubernetesObject | undefined,
): Promise<KubernetesObject> {
  const dropped = before ? droppedObjects(before, object) : []
  const after =
    dropped.length > 0
      ? await mergePatch(cluster, pathOfObject(object), removing(dropped, object), { fieldManager, dryRun: true })
      : await applyObject(cluster, object, { fieldManager, force: true, dryRun: true })
  return withoutFields(after, foreignFields(after, object, before), object)
}

/** Both merge patches in one. Where both have a value, it is that of the second. */
function combined(one: unknown, other: unknown): unknown {
  if (other === undefined) return one
  if (!isMap(one) || !isMap(other)) return other
  const names = new Set([...Object.keys(one), ...Object.keys(other)])
  return Object.fromEntries([...names].map((name) => [name, combined(one[name], other[name])]))
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function withVersion({ metadata, ...object }: KubernetesObject, resourceVersion: string | undefined): KubernetesObject {
  return { ...object, metadata: { ...metadata, ...(resourceVersion !== undefined && { resourceVersion }) } } as KubernetesObject
}

/** The version is a condition of the write, not a part of the result; and others may add owners, each with an entry of its own. */
function readBack({ metadata, ...object }: KubernetesObject): KubernetesObject {
  const { resourceVersion: _, ownerReferences: __, ...rest } = metadata
  return { ...object, metadata: rest } as KubernetesObject
}

/** The failure of a write that the API server accepted, and that is not in effect. Values of a Secret are not shown. */
function notHeld(object: KubernetesObject, { path, value, wanted, managers }: OwnedField & { wanted: unknown }): Problem {
  const shown = (given: unknown) => (given === undefined ? 'missing' : JSON.stringify(given))
  const values = object.kind === 'Secret' ? 'is not as it was written' : `is ${shown(value)}, although ${shown(wanted)} was written`
  return new Problem('field-conflict', `${pointerTo(path)} of ${describeObject(object)} ${values}: ${namesOf(managers)} sets it.`)
}
