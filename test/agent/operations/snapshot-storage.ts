import type { Cluster } from '../../../shared/kubernetes/connection.ts'
import { kinds, pathOf } from '../../../shared/kubernetes/objects.ts'
import { provisioner } from '../../cluster/index.ts'
import { install } from '../../shared/kubernetes/connected.ts'

type ClassKind = 'VolumeSnapshotClass' | 'VolumeGroupSnapshotClass'

/** Installs the CRDs of volume snapshots, as an administrator does before the cluster can take any. */
export function installSnapshotKinds(admin: Cluster): Promise<void> {
  return install(admin, ['test/cluster/crds/snapshots.yaml'])
}

/** Creates a class of the storage of the stand-ins, or deletes it. */
export async function makeSnapshotClass(admin: Cluster, kind: ClassKind, name: string): Promise<void> {
  const { apiVersion } = kinds[kind]
  const body = { apiVersion, kind, metadata: { name }, driver: provisioner, deletionPolicy: 'Delete' }
  await admin.request({ method: 'POST', path: pathOf(kinds[kind]), body })
}
