import type { KubernetesObject } from '../../client/objects.ts'
import type { Call } from './handling.ts'
import type { OperationType } from './plan.ts'
import type { Run } from './sub-handlers.ts'
import { prefix, progressOf, rollbackKey } from './traces.ts'

/** Marks the next edit as the operator's own rollback. */
export function isRollingBack({ metadata }: KubernetesObject): boolean {
  return metadata.annotations?.[rollbackKey] === 'true'
}

const className = 'RollbackUpgradeSubHandler'

/**
 * Rolls a failed upgrade back: in the spec, and only the version. The StatefulSets keep the new image.
 *
 * It leaves an annotation named after its own class, which no cycle ever removes, and a result of that name.
 */
export function finalRollback({ object, old, patch }: Call, run: Run, chain: string[], operation: OperationType): void {
  const failed = chain.some((id) => progressOf(object, id) !== undefined && !progressOf(object, id)?.success)
  if (!failed || operation !== 'upgrade') return
  const before = old?.spec.cluster.version as string | undefined
  if (before && before !== object.spec.cluster.version) {
    patch.metadata.annotations[rollbackKey] = 'true'
    patch.spec = { cluster: { version: before } }
  }
  patch.metadata.annotations[`${prefix}/${className}`] = '{"success": true, "failure": false}'
  patch.status[className] = { ref: run.ref, success: true }
  if (object.status?.pendingPods !== undefined) Object.assign(patch.status, { pendingPods: null, pendingPodsTotal: null })
}
