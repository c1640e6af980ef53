import { isProblem } from '../../../shared/errors.ts'
import type { KindName, KubernetesObject } from '../../../shared/kubernetes/objects.ts'
import { limitConcurrency } from '../../../shared/limit-concurrency.ts'
import { holdsData } from '../../resources/data-claims.ts'
import { type DatabaseTarget, namespaceOf } from '../../resources/kind.ts'
import { label } from '../../resources/labels.ts'
import { type SnapshotFacts, snapshotClassOf } from '../../resources/volume-snapshots.ts'
import type { WorkCluster } from './cluster.ts'

type Reads = Pick<WorkCluster, 'list' | 'read'>

/**
 * Everything that decides about volume snapshots of a database, from the API server. Nothing watches these kinds, since most clusters do not
 * have them, and nobody can be told of a CRD that comes.
 */
export async function readSnapshotFacts(cluster: Reads, { project, database }: DatabaseTarget): Promise<SnapshotFacts> {
  const ifServed = (kind: KindName) =>
    cluster.list(kind, undefined).then(
      (objects) => objects.map(snapshotClassOf),
      (error: unknown) => {
        if (isProblem(error, 'not-served')) return undefined
        throw error
      },
    )
  const [classes, current, all, kept] = await Promise.all([
    ifServed('VolumeSnapshotClass'),
    ifServed('VolumeGroupSnapshotClass'),
    cluster.list('PersistentVolumeClaim', namespaceOf(project), `app.kubernetes.io/name=${database}`),
    cluster.list('PersistentVolume', undefined, `${label.project}=${project},${label.database}=${database}`),
  ])
  const claims = all.filter(({ metadata }) => holdsData(metadata.name))
  const older = current === undefined ? await ifServed('VolumeGroupSnapshotClassBeta') : undefined
  const groups = current ?? older
  const volumes = [...kept, ...(await readOthers(cluster, claims, kept))]
  return { classes, groups: groups && { classes: groups, beta: current === undefined }, claims, volumes }
}

/** Only kept volumes bear the labels of their database. */
async function readOthers({ read }: Reads, claims: KubernetesObject[], kept: KubernetesObject[]): Promise<KubernetesObject[]> {
  const known = new Set(kept.map(({ metadata }) => metadata.name))
  const names = claims.flatMap(({ spec }): string[] => spec?.volumeName ?? []).filter((name) => !known.has(name))
  const limit = limitConcurrency(8)
  const found = await Promise.all(names.map((name) => limit(() => read({ kind: 'PersistentVolume', name }))))
  return found.filter((volume) => volume !== undefined)
}
