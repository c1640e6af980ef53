import type { KubernetesObject } from '../../../shared/kubernetes/objects.ts'
import { readDatabase } from '../../resources/cratedb.ts'
import type { NodesEvidence } from '../../resources/cratedb-undo.ts'
import { groupsOf } from '../../resources/database.ts'
import type { WorkCluster } from './cluster.ts'

type Lists = Pick<WorkCluster, 'list'>

/** The pods, claims and StatefulSets of a database, from the API server, if a node of it has no host; else undefined. */
export async function readMissingNodes(cluster: Lists, current: KubernetesObject): Promise<NodesEvidence | undefined> {
  const { name, namespace } = current.metadata
  const list = (kind: 'Pod' | 'PersistentVolumeClaim' | 'StatefulSet') =>
    cluster.list(kind, namespace, `app.kubernetes.io/name=${name},app.kubernetes.io/component=cratedb`)
  const pods = await list('Pod')
  const isMissing = pods.length < nodesOf(current) || pods.some(({ spec }) => spec?.nodeName === undefined)
  if (!isMissing) return undefined
  const [claims, statefulSets] = await Promise.all([list('PersistentVolumeClaim'), list('StatefulSet')])
  return { pods, claims, statefulSets }
}

/** How many nodes a database has by its spec. */
export function nodesOf(current: KubernetesObject): number {
  const spec = readDatabase(current)
  return spec.suspended ? 0 : groupsOf(spec).reduce((sum, { count }) => sum + count, 0)
}
