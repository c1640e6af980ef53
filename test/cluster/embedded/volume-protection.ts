import { alter, dropFinalizer } from './controllers.ts'
import type { Attempt, Core } from './core.ts'
import type { Json, KubeObject } from './object.ts'
import type { WorkQueue } from './work-queue.ts'

const claims = '/persistentvolumeclaims'
const finalizer = 'kubernetes.io/pvc-protection'

/** The StorageObjectInUseProtection admission, for claims: a claim is held while a pod mounts it. */
export const volumeProtection = ({ operation, type, object }: Attempt): void => {
  if (operation !== 'create' || type.bucket !== claims || !object) return
  object.metadata.finalizers = [...new Set([...(object.metadata.finalizers ?? []), finalizer])]
}

const claimsOf = (pod: KubeObject): string[] =>
  (pod.spec?.volumes ?? []).flatMap((volume: Json) => volume.persistentVolumeClaim?.claimName ?? [])

/** Stand-in for kube-controller-manager's pvc-protection controller: releases a deleted claim once no pod mounts it. */
export function runVolumeProtection(core: Core, queue: WorkQueue): void {
  const releaseLater = (namespace: string, name: string): void =>
    queue.add(`claim ${namespace}/${name}`, () => {
      const claim = core.lookup.get(claims, namespace, name)
      if (!claim?.metadata.deletionTimestamp || !claim.metadata.finalizers?.includes(finalizer)) return
      const mounted = core.lookup.list('/pods', namespace).some((pod) => claimsOf(pod).includes(name))
      if (!mounted) alter(core, claims, namespace, name, (object) => dropFinalizer(object, finalizer))
    })
  core.store.listeners.push(({ bucket, type, entry }) => {
    const { namespace = '', name, deletionTimestamp } = entry.object.metadata
    if (bucket.resource === claims && type !== 'DELETED' && deletionTimestamp) releaseLater(namespace, name)
    if (bucket.resource === '/pods' && type === 'DELETED') for (const claim of claimsOf(entry.object)) releaseLater(namespace, claim)
  })
}
