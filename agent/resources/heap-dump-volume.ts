import type { KubernetesObject } from '../../shared/kubernetes/objects.ts'
import { parseBytes } from '../../shared/kubernetes/quantity.ts'

/** The volume for heap dumps that the Crate Operator gives each node of a database. Unknown members are undefined. */
export type HeapDumpVolume = { size: string | undefined; storageClass: string | undefined }

type Container = { env?: { name: string; value?: string; valueFrom?: unknown }[]; envFrom?: unknown[] }

const prefix = 'CRATEDB_OPERATOR_'

/**
 * The volume as the operator reads it from its environment (config.py of 2.63.0). Without these variables it has 64 GiB and the class
 * `crate-standard`; the operator's chart sets `128GiB` and `default`. The operator reads them at its start, and a change of the Deployment
 * restarts it.
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

/** Undefined if the value comes from a ConfigMap, a Secret or another variable. */
function variable({ env = [], envFrom = [] }: Container, name: string, otherwise: string): string | undefined {
  // The last one takes precedence, as in Kubernetes.
  const found = env.findLast((each) => each.name === `${prefix}${name}`)
  if (!found) return envFrom.length > 0 ? undefined : otherwise
  return found.valueFrom !== undefined || found.value?.includes('$(') ? undefined : (found.value ?? '')
}
