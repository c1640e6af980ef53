import { type KubernetesObject, kinds, type ObjectMeta } from '../../shared/kubernetes/objects.ts'
import { databaseLabels } from './database-secrets.ts'
import { type DatabaseTarget, namespaceOf } from './kind.ts'
import { annotation, label } from './labels.ts'

/** A set of snapshots of one database. `id` is unique: when the request was accepted, and its place in the ledger. */
export type SnapshotSet = { target: DatabaseTarget; id: string }

/** `20260131120000-42` */
export function snapshotSetId({ acceptedAt, sequence }: { acceptedAt: string; sequence: number }): string {
  return `${acceptedAt.replace(/\.\d+/, '').replace(/\D/g, '')}-${sequence}`
}

/** The label by which everything of a set is found. */
export function setSelector({ id }: SnapshotSet): string {
  return `${label.snapshotSet}=${id}`
}

/** No object has the CrateDB as its owner: the snapshots outlive it. */
function metadataOf({ target, id }: SnapshotSet, name: string): ObjectMeta {
  return { name, namespace: namespaceOf(target.project), labels: { ...databaseLabels(target), [label.snapshotSet]: id } }
}

/** A snapshot of the volume of one claim. */
export function volumeSnapshot(set: SnapshotSet, claim: KubernetesObject, className: string): KubernetesObject {
  const { apiVersion, kind } = kinds.VolumeSnapshot
  const name = `${claim.metadata.name}-${set.id}`
  const metadata = { ...metadataOf(set, name), annotations: { [annotation.snapshotClaim]: JSON.stringify(claimFrom(name, claim)) } }
  const source = { persistentVolumeClaimName: claim.metadata.name }
  return { apiVersion, kind, metadata, spec: { volumeSnapshotClassName: className, source } }
}

/** A snapshot of all volumes whose claims bear the label of the set. */
export function volumeGroupSnapshot(set: SnapshotSet, { class: className, beta }: { class: string; beta: boolean }): KubernetesObject {
  const { apiVersion, kind } = groupKind(beta)
  const source = { selector: { matchLabels: { [label.snapshotSet]: set.id } } }
  const metadata = metadataOf(set, `crate-${set.target.database}-${set.id}`)
  return { apiVersion, kind, metadata, spec: { volumeGroupSnapshotClassName: className, source } }
}

/** The kind of a group, in the version that the cluster serves. */
function groupKind(beta: boolean) {
  return beta ? kinds.VolumeGroupSnapshotBeta : kinds.VolumeGroupSnapshot
}

/** What a snapshot lacks that the controller made for a member of a group. */
export function memberMarks(set: SnapshotSet, snapshot: KubernetesObject, claim: KubernetesObject) {
  const { labels } = metadataOf(set, snapshot.metadata.name)
  return { labels, annotations: { [annotation.snapshotClaim]: JSON.stringify(claimFrom(snapshot.metadata.name, claim)) } }
}

/**
 * The claim that gets a volume from this snapshot, as `kubectl apply` takes it. A StatefulSet uses the claim that has the name that it would
 * give; with the labels of its selector, the agent finds it too.
 */
function claimFrom(snapshot: string, { metadata, spec, status }: KubernetesObject): KubernetesObject {
  const { [label.snapshotSet]: _, ...labels } = metadata.labels ?? {}
  return {
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: { name: metadata.name, ...(metadata.namespace !== undefined && { namespace: metadata.namespace }), labels },
    spec: {
      accessModes: spec?.accessModes,
      ...(spec?.volumeMode !== undefined && { volumeMode: spec.volumeMode }),
      ...(spec?.storageClassName !== undefined && { storageClassName: spec.storageClassName }),
      resources: { requests: { storage: status?.capacity?.storage ?? spec?.resources?.requests?.storage } },
      dataSource: { apiGroup: 'snapshot.storage.k8s.io', kind: 'VolumeSnapshot', name: snapshot },
    },
  }
}
