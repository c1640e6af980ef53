import assert from 'node:assert/strict'
import { test } from 'node:test'
import { volumeManifest, volumeManifestOf } from '../../../agent/resources/volume-manifest.ts'
import { parseWith } from '../../../shared/faults.ts'
import type { KubernetesObject } from '../../../shared/kubernetes/objects.ts'
import { assertGolden } from './golden.ts'

type Given = { annotations?: Record<string, string>; spec: object; policy?: string }

/** A volume as Kubernetes shows it while it serves a claim. */
function boundVolume(name: string, { annotations = {}, spec, policy = 'Retain' }: Given): KubernetesObject {
  return {
    apiVersion: 'v1',
    kind: 'PersistentVolume',
    metadata: {
      name,
      uid: '7b0c0c9e-6f4e-4f0f-9d0b-3d1f6d7c1f10',
      resourceVersion: '4711',
      creationTimestamp: '2026-01-31T12:00:00Z',
      finalizers: ['kubernetes.io/pv-protection'],
      labels: { 'skerry.dev/project': 'harbour', 'skerry.dev/database': 'tidal-gauge' },
      annotations: {
        'pv.kubernetes.io/bound-by-controller': 'yes',
        'kubectl.kubernetes.io/last-applied-configuration': '{}',
        'skerry.dev/retained-from': 'project-harbour/data0-crate-data-hot-tidal-gauge-0',
        ...annotations,
      },
    },
    spec: {
      accessModes: ['ReadWriteOnce'],
      capacity: { storage: '96Gi' },
      claimRef: {
        apiVersion: 'v1',
        kind: 'PersistentVolumeClaim',
        name: 'data0-crate-data-hot-tidal-gauge-0',
        namespace: 'project-harbour',
        resourceVersion: '4700',
        uid: 'c0ffee00-0000-4000-8000-000000000000',
      },
      persistentVolumeReclaimPolicy: policy,
      storageClassName: 'crate-premium',
      volumeMode: 'Filesystem',
      ...spec,
    },
    status: { phase: 'Bound', lastPhaseTransitionTime: '2026-01-31T12:00:00Z' },
  }
}

const onHost = (host: string) => ({
  required: { nodeSelectorTerms: [{ matchExpressions: [{ key: 'kubernetes.io/hostname', operator: 'In', values: [host] }] }] },
})

/** What the drivers of these kinds write, as their own documentation shows it. */
const kindsOfVolumes: Record<string, Given> = {
  csi: {
    annotations: {
      'pv.kubernetes.io/provisioned-by': 'rook-ceph.rbd.csi.ceph.com',
      'volume.kubernetes.io/provisioner-deletion-secret-name': 'rook-csi-rbd-provisioner',
      'volume.kubernetes.io/provisioner-deletion-secret-namespace': 'rook-ceph',
      'skerry.dev/reclaim-policy': 'Delete',
    },
    spec: {
      csi: {
        driver: 'rook-ceph.rbd.csi.ceph.com',
        volumeHandle: '0001-0009-rook-ceph-0000000000000002-1f6d7c1f-10aa-4b1e-9f6e-2f6d7c1f10aa',
        fsType: 'ext4',
        volumeAttributes: {
          clusterID: 'rook-ceph',
          imageFeatures: 'layering',
          imageName: 'csi-vol-1f6d7c1f-10aa-4b1e-9f6e-2f6d7c1f10aa',
          journalPool: 'replicapool',
          pool: 'replicapool',
          'storage.kubernetes.io/csiProvisionerIdentity': '1796000000000-8081-rook-ceph.rbd.csi.ceph.com',
        },
        controllerExpandSecretRef: { name: 'rook-csi-rbd-provisioner', namespace: 'rook-ceph' },
        controllerPublishSecretRef: { name: 'rook-csi-rbd-provisioner', namespace: 'rook-ceph' },
        nodeExpandSecretRef: { name: 'rook-csi-rbd-node', namespace: 'rook-ceph' },
        nodePublishSecretRef: { name: 'rook-csi-rbd-node', namespace: 'rook-ceph' },
        nodeStageSecretRef: { name: 'rook-csi-rbd-node', namespace: 'rook-ceph' },
      },
      mountOptions: ['discard'],
      volumeAttributesClassName: 'gold',
    },
  },
  cinder: {
    annotations: { 'pv.kubernetes.io/provisioned-by': 'kubernetes.io/cinder', 'pv.kubernetes.io/migrated-to': 'cinder.csi.openstack.org' },
    spec: {
      cinder: { fsType: 'ext4', volumeID: '2f6d7c1f-10aa-4b1e-9f6e-1f6d7c1f10aa' },
      nodeAffinity: {
        required: {
          nodeSelectorTerms: [{ matchExpressions: [{ key: 'topology.cinder.csi.openstack.org/zone', operator: 'In', values: ['nova'] }] }],
        },
      },
    },
    policy: 'Delete',
  },
  hostPath: {
    annotations: { 'pv.kubernetes.io/provisioned-by': 'rancher.io/local-path', 'local.path.provisioner/selected-node': 'edge-1' },
    spec: {
      hostPath: { path: '/opt/local-path-provisioner/pvc-1_project-harbour_data0-crate-data-hot-tidal-gauge-0', type: 'DirectoryOrCreate' },
      nodeAffinity: onHost('edge-1'),
    },
  },
  local: { spec: { local: { path: '/mnt/disks/ssd1', fsType: 'xfs' }, nodeAffinity: onHost('edge-2'), storageClassName: 'crate-local' } },
}

for (const [kind, given] of Object.entries(kindsOfVolumes)) {
  test(`a volume of the kind ${kind} is made again with all that it is, and nothing of the cluster that it was in`, () => {
    const manifest = volumeManifestOf(boundVolume(`pv-${kind.toLowerCase()}`, given))
    assertGolden(`volume-manifest-${kind.toLowerCase()}`, [manifest], import.meta.url)
    const read = parseWith(volumeManifest, manifest)
    assert.ok(read.ok, JSON.stringify(read))
    assert.deepEqual(read.value, manifest)
  })
}

test('a volume that no claim was meant for has no manifest', () => {
  const volume = boundVolume('pv', { spec: { claimRef: undefined } })
  assert.equal(volumeManifestOf(volume), undefined)
})
