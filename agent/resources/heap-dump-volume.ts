import type { KubernetesObject } from '../../shared/kubernetes/objects.ts'
import { parseBytes } from '../../shared/kubernetes/quantity.ts'
import { operatorVariable } from './operator-environment.ts'

/** The volume for heap dumps that the Crate Operator gives each node of a database. Unknown members are undefined. */
export type HeapDumpVolume = { size: string | undefined; storageClass: string | undefined }

/**
 * The volume as the operator reads it from its environment (config.py of 2.63.0). Without these variables it has 64 GiB and the class
 * `crate-standard`; the operator's chart sets `128GiB` and `default`.
 */
export function heapDumpVolumeOf(deployment: KubernetesObject): HeapDumpVolume {
  const size = variable(deployment, 'DEBUG_VOLUME_SIZE', '64GiB')
  return {
    size: size !== undefined && parseBytes(size) !== undefined ? size : undefined,
    storageClass: variable(deployment, 'DEBUG_VOLUME_STORAGE_CLASS', 'crate-standard'),
  }
}

/** Undefined if the value comes from a ConfigMap, a Secret or another variable. */
function variable(deployment: KubernetesObject, name: string, otherwise: string): string | undefined {
  const found = operatorVariable(deployment, name)
  return found.state === 'set' ? found.value : found.state === 'unset' ? otherwise : undefined
}
