import { kinds } from '../../../shared/kubernetes/objects.ts'
import { listObjects } from '../../../shared/kubernetes/read.ts'
import type { NodesEvidence } from '../../resources/cratedb-undo.ts'
import { type DatabaseTarget, namespaceOf } from '../../resources/kind.ts'
import { nodesOf, readMissingNodes } from '../work/nodes-evidence.ts'
import type { DecisionParts } from './decision.ts'

/** The request with the nodes of its database, if one of them has no host: the plan may have to take back the change that waits for one. */
export async function withMissingNodes<Asked extends { target: DatabaseTarget }>(
  { accepted, caches, cluster }: DecisionParts,
  asked: Asked,
): Promise<Asked & { nodes?: NodesEvidence | undefined }> {
  const { project, database } = asked.target
  const { object } = accepted.database(project, database) ?? {}
  const pods = caches.pods.in(namespaceOf(project)).filter((pod) => pod.database === database)
  const isMissing = object && (pods.length < nodesOf(object) || pods.some(({ node }) => node === undefined))
  if (!isMissing) return asked
  const list = (kind: keyof typeof kinds, namespace: string | undefined, labelSelector?: string) =>
    listObjects(cluster, kinds[kind], { namespace, query: { labelSelector } })
  return { ...asked, nodes: await readMissingNodes({ list }, object) }
}
