import * as z from 'zod'
import type { KubernetesObject } from '../../shared/kubernetes/objects.ts'
import { volumeAnnotation } from './kept-volume.ts'

const texts = z.record(z.string().max(317), z.string().max(64 * 1024))

/**
 * A PersistentVolume as it is made again in another cluster: pre-bound by name to the claim that it served. Of its `spec`, what only some kinds
 * of volumes have stays as it is: `csi`, `cinder`, `hostPath`, `local` and the like, with all of their members.
 */
export const volumeManifest = z.strictObject({
  apiVersion: z.literal('v1'),
  kind: z.literal('PersistentVolume'),
  metadata: z.strictObject({
    name: z
      .string()
      .max(253)
      .regex(/^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/, 'must be the name of a PersistentVolume'),
    labels: texts.optional(),
    annotations: texts.optional(),
  }),
  spec: z.looseObject({
    capacity: z.looseObject({ storage: z.string().max(64) }).describe('As it is now, which may be more than at creation'),
    accessModes: z.array(z.string().max(64)).min(1).max(8),
    claimRef: z
      .strictObject({
        apiVersion: z.literal('v1'),
        kind: z.literal('PersistentVolumeClaim'),
        namespace: z.string().max(63),
        name: z
          .string()
          .max(253)
          .regex(/^data\d/, 'must be a claim for data, such as "data0-crate-data-hot-tidal-gauge-0"'),
      })
      .describe('Without uid and resourceVersion: those of the former claim would keep another one from binding'),
    persistentVolumeReclaimPolicy: z.literal('Retain').describe('Whatever it was before, which an annotation says'),
    storageClassName: z.string().max(253).optional(),
    volumeMode: z.enum(['Filesystem', 'Block']).optional(),
    mountOptions: z.array(z.string().max(1024)).max(64).optional(),
    nodeAffinity: z.record(z.string(), z.unknown()).optional(),
  }),
})

export type VolumeManifest = z.infer<typeof volumeManifest>

/**
 * Annotations that say something about the present cluster only. `bound-by-controller` would let Kubernetes give the volume to nobody once its
 * claim is gone; the rest stays: without `provisioned-by` no provisioner would ever delete it.
 */
const ofThisCluster = new Set<string>([
  'pv.kubernetes.io/bound-by-controller',
  'kubectl.kubernetes.io/last-applied-configuration',
  volumeAnnotation.letGo,
])

/** The annotations that a volume has in every cluster. */
export function lastingVolumeAnnotations(annotations: Record<string, string> = {}): Record<string, string> {
  return Object.fromEntries(Object.entries(annotations).filter(([name]) => !ofThisCluster.has(name)))
}

/**
 * All that a PersistentVolume needs to be made again. Its policy becomes `Retain`, so that a rebuild that goes wrong deletes nothing; the
 * annotation with which a kept volume is let go remembers the former one. Pure.
 *
 * @returns undefined if the volume serves no claim
 */
export function volumeManifestOf({ metadata, spec = {} }: KubernetesObject): VolumeManifest | undefined {
  const { claimRef, persistentVolumeReclaimPolicy: policy = 'Delete', ...rest } = spec
  if (typeof claimRef?.namespace !== 'string' || typeof claimRef.name !== 'string') return undefined
  const kept = lastingVolumeAnnotations(metadata.annotations)
  const annotations = { ...kept, ...(policy !== 'Retain' && { [volumeAnnotation.policy]: String(policy) }) }
  const labels = metadata.labels ?? {}
  return {
    apiVersion: 'v1',
    kind: 'PersistentVolume',
    metadata: {
      name: metadata.name,
      ...(Object.keys(labels).length > 0 && { labels: { ...labels } }),
      ...(Object.keys(annotations).length > 0 && { annotations }),
    },
    spec: {
      ...rest,
      claimRef: { apiVersion: 'v1', kind: 'PersistentVolumeClaim', namespace: claimRef.namespace, name: claimRef.name },
      persistentVolumeReclaimPolicy: 'Retain',
    },
  }
}
