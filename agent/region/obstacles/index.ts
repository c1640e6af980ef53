import { limitConcurrency } from '../../../shared/limit-concurrency.ts'
import type { Target } from '../../resources/kind.ts'
import { type Obstacle, targetKey } from '../../resources/operation.ts'
import { containerConfigError, imageNotPulled, initContainerFailing, podCrashLooping } from './containers.ts'
import { podRefused, quotaExceeded } from './creation.ts'
import { cures } from './cures.ts'
import { type Evidence, type Rule, tell } from './evidence.ts'
import { finalizerHeld } from './finalizers.ts'
import { nodeNotReady, podNotEnding } from './nodes.ts'
import { operatorNotRunning, operatorStalled, operatorStepFailed, upgradeRolledBack } from './operator.ts'
import { databasesRemain, namespaceMissing, namespaceTerminating, projectNotReady } from './project.ts'
import { type ReadingTools, readEvidence } from './reading.ts'
import { podUnschedulable } from './scheduling.ts'
import { secretMissing } from './secrets.ts'
import { loadBalancerWithoutAddress } from './services.ts'
import { classCannotGrow, volumeAttachmentOnDeadNode, volumeNotAttached, volumeNotBound, volumeNotResized } from './volumes.ts'

/** Everything that may stand in the way. What others follow from comes first: the answer is in this order. */
const rules: Rule[] = [
  evidenceUnread,
  operatorNotRunning,
  projectNotReady,
  namespaceMissing,
  namespaceTerminating,
  databasesRemain,
  finalizerHeld,
  nodeNotReady,
  podNotEnding,
  quotaExceeded,
  podRefused,
  secretMissing,
  volumeNotBound,
  classCannotGrow,
  volumeNotResized,
  volumeAttachmentOnDeadNode,
  volumeNotAttached,
  podUnschedulable,
  imageNotPulled,
  initContainerFailing,
  containerConfigError,
  podCrashLooping,
  loadBalancerWithoutAddress,
  upgradeRolledBack,
  operatorStepFailed,
  operatorStalled,
]

/** What stands in the way of a target: asked by everything that is not done. */
export type Obstacles = {
  /**
   * What keeps the target from being as it should be, what others follow from first; empty when nothing does. Never rejects:
   * what the agent could not see is an obstacle of its own. Texts change only when the matter does, so they can be compared.
   */
  of(target: Target): Promise<Obstacle[]>
}

/** How long an answer is given again, in milliseconds: the status, the API and the executor ask at the same time. */
const freshMs = 2_000
/** Targets that are looked at at the same time; each takes about ten requests. */
const concurrency = 4

export function createObstacles(tools: ReadingTools): Obstacles {
  const { clock } = tools
  const answers = new Map<string, { answer: Promise<Obstacle[]>; until: number }>()
  const limit = limitConcurrency(concurrency)

  function of(target: Target): Promise<Obstacle[]> {
    const now = clock.monotonic()
    for (const [key, { until }] of answers) if (until <= now) answers.delete(key)
    const key = targetKey(target)
    const known = answers.get(key)
    if (known) return known.answer
    const answer = limit(async () => judge(await readEvidence(target, tools)))
    // In use while it is being made, and fresh for a while from then on.
    const entry = { answer, until: Number.POSITIVE_INFINITY }
    answers.set(key, entry)
    void answer.then(() => {
      entry.until = clock.monotonic() + freshMs
    })
    return answer
  }

  return { of }
}

/** What the rules find in the evidence. Pure. */
function judge(evidence: Evidence): Obstacle[] {
  return rules.flatMap((rule) => rule(evidence))
}

/** What the agent itself could not look at. */
function evidenceUnread({ unread }: Evidence): Obstacle[] {
  const [first, ...others] = unread
  if (!first) return []
  const forbidden = unread.find(({ reason }) => reason === 'forbidden')
  const all = [...new Set(unread.map(({ what }) => what))]
  const { grant, apiServer } = cures.EvidenceUnread
  return [
    tell({
      code: 'EvidenceUnread',
      message: `The agent could not look at ${all.slice(0, 3).join(', ')}${all.length > 3 ? ` and ${all.length - 3} more` : ''}: ${(forbidden ?? first).detail}`,
      evidence: others.length > 0 ? `${first.path} (and ${others.length} more)` : first.path,
      cures: [forbidden ? grant() : apiServer()],
    }),
  ]
}
