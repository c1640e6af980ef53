import { stringify } from 'yaml'
import type { KubernetesObject } from '../../shared/kubernetes/objects.ts'
import { crateClasses } from './storage.ts'

/**
 * The manifest of the missing classes, made like an existing one: with the same provisioner and parameters, and volumes that can grow and are
 * placed with their pods. Empty if no class is missing.
 * @throws Error when there is no class of that name
 */
export function storageClassManifest(classes: readonly KubernetesObject[], from: string): string {
  const source = classes.find(({ metadata }) => metadata.name === from)
  if (!source)
    throw new Error(`there is no storage class ${from}, only ${classes.map(({ metadata }) => metadata.name).join(', ') || 'none at all'}`)
  const missing = crateClasses.filter((name) => classes.every(({ metadata }) => metadata.name !== name))
  return missing.map((name) => stringify(likeness(source, name))).join('---\n')
}

function likeness({ provisioner, parameters, mountOptions, reclaimPolicy }: KubernetesObject, name: string): object {
  return {
    apiVersion: 'storage.k8s.io/v1',
    kind: 'StorageClass',
    metadata: { name, labels: { 'app.kubernetes.io/part-of': 'skerry' } },
    provisioner,
    ...(parameters !== undefined && { parameters }),
    ...(mountOptions !== undefined && { mountOptions }),
    reclaimPolicy: reclaimPolicy ?? 'Delete',
    // Static volumes cannot grow.
    allowVolumeExpansion: provisioner !== 'kubernetes.io/no-provisioner',
    volumeBindingMode: 'WaitForFirstConsumer',
  }
}
