import type { KubernetesObject } from '../../shared/kubernetes/objects.ts'
import { parseBytes } from '../../shared/kubernetes/quantity.ts'

/** The volume for heap dumps that the Crate Operator gives each node of a database. What cannot be told is undefined. */
export type HeapDumpVolume = { size: string | undefined; storageClass: string | undefined }

type Container = { env?: { name: string; value?: string; valueFrom?: unknown }[]; envFrom?: unknown[] }

const prefix = 'CRATEDB_OPERATOR_'

/**
 * As the operator reads it from its environment (config.py of 2.63.0): without these variables its volumes have 64 GiB and the class
 * `crate-standard`; its chart sets `128GiB` and `default`. It reads them when it starts, and a change of the Deployment starts it anew.
 */
export function heapDumpVolumeOf({ spec }: KubernetesObject): HeapDumpVolume {
  const containers: Container[] = spec?.template?.spec?.containers ?? []
  const own = containers.find(({ env = [] }) => env.some(({ name }) => name.startsWith(prefix))) ?? containers[0] ?? {}
  const size = variable(own, 'DEBUG_VOLUME_SIZE', '64GiB')
  return {
    size: size !== undefined && parseBytes(size) !== undefined ? size : undefined,
    storageClass: variable(own, 'DEBUG_VOLUME_STORAGE_CLASS', 'crate-standard'),
  }
}

/** Undefined when it comes from elsewhere: from a ConfigMap, a Secret or another variable. */
function variable({ env = [], envFrom = [] }: Container, name: string, otherwise: string): string | undefined {
  // The last one counts, as for Kubernetes.
  const found = env.findLast((each) => each.name === `${prefix}${name}`)
  if (!found) return envFrom.length > 0 ? undefined : otherwise
  return found.valueFrom !== undefined || found.value?.includes('$(') ? undefined : (found.value ?? '')
}
