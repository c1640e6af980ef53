import type { ExportedDatabase, RegionContent } from '../../../agent/region-file/schema.ts'
import { databaseSpec } from '../../../agent/resources/database.ts'
import { projectSpec } from '../../../agent/resources/project.ts'
import { type VolumeManifest, volumeManifestOf } from '../../../agent/resources/volume-manifest.ts'
import type { KubernetesObject } from '../../../shared/kubernetes/objects.ts'

/** A PersistentVolume of a CSI driver that serves a data claim, as Kubernetes has it. */
export function csiVolume(
  project: string,
  database: string,
  node: number,
  given: { name?: string; handle?: string } = {},
): KubernetesObject {
  const { name = `pvc-${project}-${database}-${node}`, handle = `vol-${project}-${database}-${node}` } = given
  return {
    apiVersion: 'v1',
    kind: 'PersistentVolume',
    metadata: {
      name,
      uid: `uid-of-${name}`,
      resourceVersion: '4711',
      creationTimestamp: '2026-01-31T12:00:00Z',
      finalizers: ['kubernetes.io/pv-protection', 'external-attacher/ebs-csi-aws-com'],
      labels: { 'skerry.dev/project': project, 'skerry.dev/database': database },
      annotations: {
        'pv.kubernetes.io/provisioned-by': 'ebs.csi.aws.com',
        'pv.kubernetes.io/bound-by-controller': 'yes',
        'volume.kubernetes.io/provisioner-deletion-secret-name': 'ebs-deletion',
        'volume.kubernetes.io/provisioner-deletion-secret-namespace': 'kube-system',
        'skerry.dev/retained-from': `project-${project}/data0-crate-data-hot-${database}-${node}`,
        'skerry.dev/reclaim-policy': 'Delete',
      },
    },
    spec: {
      accessModes: ['ReadWriteOnce'],
      capacity: { storage: '64Gi' },
      claimRef: {
        apiVersion: 'v1',
        kind: 'PersistentVolumeClaim',
        namespace: `project-${project}`,
        name: `data0-crate-data-hot-${database}-${node}`,
        resourceVersion: '4700',
        uid: `claim-${node}`,
      },
      csi: {
        driver: 'ebs.csi.aws.com',
        volumeHandle: handle,
        fsType: 'ext4',
        volumeAttributes: { 'storage.kubernetes.io/csiProvisionerIdentity': '1796000000000-8081-ebs.csi.aws.com' },
        controllerExpandSecretRef: { name: 'ebs-expand', namespace: 'kube-system' },
      },
      nodeAffinity: {
        required: {
          nodeSelectorTerms: [{ matchExpressions: [{ key: 'topology.ebs.csi.aws.com/zone', operator: 'In', values: ['eu-north-1a'] }] }],
        },
      },
      persistentVolumeReclaimPolicy: 'Retain',
      storageClassName: 'crate-premium',
      volumeMode: 'Filesystem',
    },
    status: { phase: 'Bound' },
  }
}

/** Such a volume as somebody may apply it: a real control plane releases one whose claim has a uid that there is not. */
export function appliedVolume(project: string, database: string, node: number): KubernetesObject {
  const { status: _status, metadata, spec, ...kind } = csiVolume(project, database, node)
  const { uid: _uid, resourceVersion: _version, ...claimRef } = spec.claimRef
  return { ...kind, metadata: { name: metadata.name, ...(metadata.labels && { labels: metadata.labels }) }, spec: { ...spec, claimRef } }
}

/** A database of three nodes with its volumes, as a region file has it. */
export function exportedDatabase(project: string, id: string): ExportedDatabase {
  const nodes = { count: 3, cpu: 2, memory: '4Gi', disk: { size: '64Gi', storageClass: 'crate-premium' } }
  const body = databaseSpec.parse({ id, version: '5.10.1', nodes, users: [{ name: 'harbourmaster' }], allowedCIDRs: ['10.20.0.0/16'] })
  const volumes = [0, 1, 2].map((node) => volumeManifestOf(csiVolume(project, id, node)) as VolumeManifest)
  return { project, body: body as ExportedDatabase['body'], volumes }
}

/** A region with one project and these databases. */
export function regionContent(databases: ExportedDatabase[] = [exportedDatabase('harbour', 'tidal-gauge')]): RegionContent {
  return {
    kind: 'SkerryRegion',
    version: 1,
    region: { id: 'harbour-1', name: 'Harbour' },
    createdAt: '2026-01-31T12:00:00.000Z',
    clock: { cloud: { offsetMs: 12, uncertaintyMs: 30 }, apiServer: null },
    ledger: { sequence: 117, hash: `sha256:${'4c'.repeat(32)}` },
    kubernetes: { version: 'v1.34.1', cluster: '7b0c0c9e-6f4e-4f0f-9d0b-3d1f6d7c1f10' },
    skerry: { version: '0.1.0' },
    components: [{ name: 'crate-operator', namespace: 'crate-operator', chart: '2.64.0' }],
    projects: [projectSpec.parse({ id: 'harbour', quota: { cpu: 24 } })],
    databases,
    retained: [],
    deployments: [],
    backups: [],
    tunnel: null,
  }
}
