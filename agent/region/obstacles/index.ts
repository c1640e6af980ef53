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

/** All rules, in the order of the answer: causes before their consequences. */
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

/** Finds the obstacles of targets that are not done. */
export type Obstacles = {
  /**
   * The obstacles of a target, causes before their consequences; empty if there are none. Never rejects: evidence that could not be read
   * is an obstacle too. The region has none of its own. The texts stay the same while the situation does, so they can be compared.
   */
  of(target: Target): Promise<Obstacle[]>
}

/** How long an answer is reused, in milliseconds: the status, the API and the executor ask at the same time. */
const freshMs = 2_000
/** Targets that are examined at the same time; each takes about ten requests. */
const concurrency = 4

export function createObstacles(tools: ReadingTools): Obstacles {
  const { clock } = tools
  const answers = new Map<string, { answer: Promise<Obstacle[]>; until: number }>()
  const limit = limitConcurrency(concurrency)

  function of(target: Target): Promise<Obstacle[]> {
    if (target.kind === 'region') return Promise.resolve([])
    const now = clock.monotonic()
    for (const [key, { until }] of answers) if (until <= now) answers.delete(key)
    const key = targetKey(target)
    const known = answers.get(key)
    if (known) return known.answer
    const answer = limit(async () => judge(await readEvidence(target, tools)))
    // Shared while it is being made, and fresh for a while afterwards.
    const entry = { answer, until: Number.POSITIVE_INFINITY }
    answers.set(key, entry)
    void answer.then(() => {
      entry.until = clock.monotonic() + freshMs
    })
    return answer
  }

  return { of }
}

/** Applies all rules. Pure. */
function judge(evidence: Evidence): Obstacle[] {
  return rules.flatMap((rule) => rule(evidence))
}

/** Evidence that the agent could not read. */
function evidenceUnread({ unread }: Evidence): Obstacle[] {
  const [first, ...others] = unread
  if (!first) return []
  const forbidden = unread.find(({ reason }) => reason === 'forbidden')
  const all = [...new Set(unread.map(({ what }) => what))]
  const { grant, apiServer } = cures.EvidenceUnread
  return [
    tell({
      code: 'EvidenceUnread',
      message: `The agent could not read ${all.slice(0, 3).join(', ')}${all.length > 3 ? ` and ${all.length - 3} more` : ''}: ${(forbidden ?? first).detail}`,
      evidence: others.length > 0 ? `${first.path} (and ${others.length} more)` : first.path,
      cures: [forbidden ? grant() : apiServer()],
    }),
  ]
}
