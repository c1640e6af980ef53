import { stringify } from 'yaml'
import type { KubernetesObject } from '../../shared/kubernetes/objects.ts'
import { crateClasses } from './storage.ts'

/**
 * The manifest of the classes that are missing, made like an existing one: same provisioner and parameters, volumes that can grow
 * and are placed with their pods. Empty when none is missing.
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
    // Statically made volumes cannot grow, and saying otherwise would only be found out later.
    allowVolumeExpansion: provisioner !== 'kubernetes.io/no-provisioner',
    volumeBindingMode: 'WaitForFirstConsumer',
  }
}
