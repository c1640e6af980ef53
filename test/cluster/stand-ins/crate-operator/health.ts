import type { KubernetesObject } from '../../client/objects.ts'
import { keyOfDatabase, type Operator } from './operator.ts'
import { finalizer, lastHandled, managedKey } from './traces.ts'

/** Checks a database and writes its health in a separate patch, if it has changed. */
export async function pingDatabase(operator: Operator, object: KubernetesObject, signal: AbortSignal): Promise<void> {
  const { staleHealth, neverStart } = operator.faults.of(keyOfDatabase(object))
  if (neverStart || staleHealth === true || object.metadata.deletionTimestamp !== undefined) return
  // Long after the start of the creation: the real one waits 15 s.
  if (!object.metadata.finalizers?.includes(finalizer) || object.metadata.annotations?.[managedKey] === undefined) return
  const health = staleHealth || healthOf(operator, object)
  if (object.status?.crateDBStatus?.health === health) return
  await operator.patch('CrateDB', object, { status: { crateDBStatus: { health } } }, signal)
  operator.webhooks.send(keyOfDatabase(object), { event: 'health', status: 'success', payload: { status: health } })
}

function healthOf(operator: Operator, object: KubernetesObject): string {
  // According to the spec, even while pods still exist.
  if (object.spec.nodes.data.every(({ replicas }: { replicas: number }) => replicas === 0)) return 'SUSPENDED'
  if (operator.options.withoutPods) return lastHandled(object) ? 'GREEN' : 'UNREACHABLE'
  return operator.databases.health(keyOfDatabase(object))
}
