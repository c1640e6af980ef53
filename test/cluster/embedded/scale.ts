import { equal, type Json, type KubeObject } from './object.ts'
import { labelSelectorText } from './selectors.ts'

/** The `scale` subresource of a workload: its replicas and nothing else. */
export function scaleOf({ metadata, spec, status }: KubeObject): Json {
  const { name, namespace, uid, resourceVersion, creationTimestamp } = metadata
  return {
    kind: 'Scale',
    apiVersion: 'autoscaling/v1',
    metadata: { name, namespace, uid, resourceVersion, creationTimestamp },
    spec: { replicas: spec?.replicas ?? 0 },
    status: { replicas: status?.replicas ?? 0, selector: labelSelectorText(spec?.selector) },
  }
}

/** A workload with the replicas and the metadata of a Scale. */
export function scaled(workload: KubeObject, scale: Json): Json {
  const { resourceVersion = workload.metadata.resourceVersion, uid = workload.metadata.uid } = scale?.metadata ?? {}
  const replicas = scale?.spec?.replicas ?? 0
  if (equal(workload.spec?.replicas, replicas) && resourceVersion === workload.metadata.resourceVersion) return workload
  return { ...workload, metadata: { ...workload.metadata, resourceVersion, uid }, spec: { ...workload.spec, replicas } }
}
