import type { Client } from './connection.ts'
import { isFailure } from './failures.ts'
import type { Kind } from './objects.ts'

const cluster = (apiVersion: string, kind: string, plural: string): Kind => ({ apiVersion, kind, plural, namespaced: false })
const inNamespace = (apiVersion: string, kind: string, plural: string): Kind => ({ apiVersion, kind, plural, namespaced: true })

/** The kinds that the stand-ins read or write. */
const kinds = {
  Namespace: cluster('v1', 'Namespace', 'namespaces'),
  Node: cluster('v1', 'Node', 'nodes'),
  PersistentVolume: cluster('v1', 'PersistentVolume', 'persistentvolumes'),
  StorageClass: cluster('storage.k8s.io/v1', 'StorageClass', 'storageclasses'),
  VolumeAttachment: cluster('storage.k8s.io/v1', 'VolumeAttachment', 'volumeattachments'),
  ConfigMap: inNamespace('v1', 'ConfigMap', 'configmaps'),
  Event: inNamespace('v1', 'Event', 'events'),
  PersistentVolumeClaim: inNamespace('v1', 'PersistentVolumeClaim', 'persistentvolumeclaims'),
  Pod: inNamespace('v1', 'Pod', 'pods'),
  Secret: inNamespace('v1', 'Secret', 'secrets'),
  Service: inNamespace('v1', 'Service', 'services'),
  ServiceAccount: inNamespace('v1', 'ServiceAccount', 'serviceaccounts'),
  Deployment: inNamespace('apps/v1', 'Deployment', 'deployments'),
  StatefulSet: inNamespace('apps/v1', 'StatefulSet', 'statefulsets'),
  CronJob: inNamespace('batch/v1', 'CronJob', 'cronjobs'),
  Job: inNamespace('batch/v1', 'Job', 'jobs'),
  Lease: inNamespace('coordination.k8s.io/v1', 'Lease', 'leases'),
  PodDisruptionBudget: inNamespace('policy/v1', 'PodDisruptionBudget', 'poddisruptionbudgets'),
  Role: inNamespace('rbac.authorization.k8s.io/v1', 'Role', 'roles'),
  RoleBinding: inNamespace('rbac.authorization.k8s.io/v1', 'RoleBinding', 'rolebindings'),
  CrateDB: inNamespace('cloud.crate.io/v1', 'CrateDB', 'cratedbs'),
  VolumeSnapshot: inNamespace('snapshot.storage.k8s.io/v1', 'VolumeSnapshot', 'volumesnapshots'),
  VolumeGroupSnapshot: inNamespace('groupsnapshot.storage.k8s.io/v1', 'VolumeGroupSnapshot', 'volumegroupsnapshots'),
} satisfies Record<string, Kind>

/** The name of a kind in the table. */
export type StandInKind = keyof typeof kinds

/** The table, in the versions that one API server serves. */
export type StandInKinds = Record<StandInKind, Kind>

/** Kinds of which Kubernetes 1.20 serves only an older version. */
const older: Partial<Record<StandInKind, string>> = { PodDisruptionBudget: 'policy/v1beta1', CronJob: 'batch/v1beta1' }

/** The kinds in the versions that this API server serves. */
export async function discoverKinds(client: Client): Promise<StandInKinds> {
  const found: StandInKinds = { ...kinds }
  for (const [name, apiVersion] of Object.entries(older) as [StandInKind, string][]) {
    if (!(await serves(client, found[name]))) found[name] = { ...found[name], apiVersion }
  }
  return found
}

async function serves(client: Client, { apiVersion, plural }: Kind): Promise<boolean> {
  try {
    const { resources } = await client.request<{ resources: { name: string }[] }>({ method: 'GET', path: `/apis/${apiVersion}` })
    return resources.some(({ name }) => name === plural)
  } catch (error) {
    if (isFailure(error, 'not-served')) return false
    throw error
  }
}
