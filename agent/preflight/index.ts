import type { Clock } from '../../shared/clock.ts'
import type { Cluster } from '../../shared/kubernetes/connection.ts'
import { capacity } from './capacity.ts'
import { clocks } from './clock.ts'
import type { Evidence } from './evidence.ts'
import { type Finding, type Rule, warn } from './finding.ts'
import { kubernetesVersion, leastVersions } from './kubernetes.ts'
import { leftOvers } from './left-overs.ts'
import { networks } from './networks.ts'
import { nodes } from './nodes.ts'
import { outbound } from './outbound.ts'
import { boundary, permissions } from './permissions.ts'
import { type ReadingOptions, readEvidence } from './reading.ts'
import { repositories } from './repositories.ts'
import { backupImage, defaultStorageClass, heapDumps, storageClasses } from './storage.ts'

/** Every group of findings. The answer is in this order. */
const groups = {
  kubernetes: (evidence) => [...kubernetesVersion(evidence), ...leastVersions(evidence)],
  nodes,
  capacity,
  storage: (evidence) => [...storageClasses(evidence), ...defaultStorageClass(evidence), ...heapDumps(evidence), ...backupImage(evidence)],
  permissions: (evidence) => [...permissions(evidence), ...boundary(evidence)],
  'left-overs': leftOvers,
  clock: clocks,
  outbound: (evidence) => [...outbound(evidence), ...repositories(evidence)],
  networks,
  evidence: evidenceUnread,
} satisfies Record<string, Rule>

/** Applies all rules to the evidence. Pure. */
export function judge(evidence: Evidence): Finding[] {
  return Object.values(groups).flatMap((rule: Rule) => rule(evidence))
}

/**
 * Examines the cluster and, if requested, its connections to the outside.
 * @throws Problem when the API server does not answer at all, or rejects the credentials
 */
export async function preflight(options: ReadingOptions, tools: { cluster: Cluster; clock: Clock }): Promise<Finding[]> {
  return judge(await readEvidence(options, tools))
}

/** Parts of the evidence that could not be read. */
function evidenceUnread({ unread }: Evidence): Finding[] {
  return unread.map(({ what, detail }) =>
    warn(
      `unread/${what}`,
      `${what} could not be read: ${detail}`,
      'Faults in them go unnoticed.',
      'Use an account that may read them, and run this again.',
    ),
  )
}
