import { alter, dropFinalizer } from './controllers.ts'
import type { Attempt, Core } from './core.ts'
import type { Json, KubeObject } from './object.ts'
import type { WorkQueue } from './work-queue.ts'

const claims = '/persistentvolumeclaims'
const volumes = '/persistentvolumes'
const finalizers = new Map([
  [claims, 'kubernetes.io/pvc-protection'],
  [volumes, 'kubernetes.io/pv-protection'],
])

/** The StorageObjectInUseProtection admission: a claim is held while a pod mounts it, a volume while it is bound. */
export const volumeProtection = ({ operation, type, object }: Attempt): void => {
  const finalizer = finalizers.get(type.bucket)
  if (operation !== 'create' || !finalizer || !object) return
  object.metadata.finalizers = [...new Set([...(object.metadata.finalizers ?? []), finalizer])]
}

const claimsOf = (pod: KubeObject): string[] =>
  (pod.spec?.volumes ?? []).flatMap((volume: Json) => volume.persistentVolumeClaim?.claimName ?? [])

/** Stand-in for kube-controller-manager's pvc-protection and pv-protection controllers: what is deleted goes once it is not in use. */
export function runVolumeProtection(core: Core, queue: WorkQueue): void {
  const isUsed = (resource: string, { metadata, status }: KubeObject): boolean =>
    resource === volumes
      ? status?.phase === 'Bound'
      : core.lookup.list('/pods', metadata.namespace).some((pod) => claimsOf(pod).includes(metadata.name))
  const releaseLater = (resource: string, namespace: string, name: string): void =>
    queue.add(`${resource} ${namespace}/${name}`, () => {
      const finalizer = finalizers.get(resource) ?? ''
      const object = core.lookup.get(resource, namespace, name)
      if (!object?.metadata.deletionTimestamp || !object.metadata.finalizers?.includes(finalizer)) return
      if (!isUsed(resource, object)) alter(core, resource, namespace, name, (held) => dropFinalizer(held, finalizer))
    })
  core.store.listeners.push(({ bucket, type, entry }) => {
    const { namespace = '', name, deletionTimestamp } = entry.object.metadata
    if (finalizers.has(bucket.resource) && type !== 'DELETED' && deletionTimestamp) releaseLater(bucket.resource, namespace, name)
    if (bucket.resource === '/pods' && type === 'DELETED')
      for (const claim of claimsOf(entry.object)) releaseLater(claims, namespace, claim)
  })
}
