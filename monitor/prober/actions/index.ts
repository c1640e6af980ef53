import { hash } from 'node:crypto'
import type { Clock } from '../../../shared/clock.ts'
import type { Cluster } from '../../../shared/kubernetes/connection.ts'
import type { Log } from '../../../shared/log.ts'
import { tlsMeaning } from '../../../shared/tls-errors.ts'
import { shorten } from '../../wire/wording.ts'
import type { Act, ActionCause } from './act.ts'
import { type Action, type Occasion, targetOfAction } from './action.ts'
import { restartPods } from './restart-pod.ts'
import { restartUnit } from './restart-unit.ts'
import { callWebhook } from './webhook.ts'

/** What actions need. */
export type ActionNeeds = {
  clock: Clock
  log: Log
  /** For restart-pod, which fails without it. */
  cluster?: Pick<Cluster, 'request'> | undefined
  /** Whether this replica takes actions: of several replicas, one does. True when left out. */
  isLeader?: (() => boolean) | undefined
  /** The command that restarts units. */
  systemctl?: string | undefined
}

/** Time limit of an action. */
const timeoutMs = 60_000

/**
 * Takes actions: each action of a check at most once in its `everyMs`, whatever its outcome. One log line with `audit: true` records the
 * action, its cause and its outcome. Actions that are limited or refused are not recorded.
 */
export function createActions({ clock, log, cluster, isLeader = () => true, systemctl = 'systemctl' }: ActionNeeds): Act {
  const audit = log.child({ audit: true })
  const takenAt = new Map<string, number>()

  async function perform(
    action: Action,
    cause: ActionCause,
    { signal, occasion }: { signal: AbortSignal; occasion: Occasion },
  ): Promise<string> {
    switch (action.type) {
      case 'webhook':
        return callWebhook(action, cause, { signal, now: clock.now(), occasion })
      case 'restart-pod':
        return restartPods(action, { cluster, signal })
      case 'restart-unit':
        return restartUnit(action, { systemctl, signal })
    }
  }

  return async (action, cause, { signal, occasion }) => {
    if (!isLeader()) return 'refused'
    const target = targetOfAction(action)
    const key = JSON.stringify([cause.check.name, action.type, identityOf(action), occasion])
    const now = clock.monotonic()
    const before = takenAt.get(key)
    if (before !== undefined && now - before < action.everyMs) return 'limited'
    forgetOld(takenAt, now)
    takenAt.set(key, now)
    const { check, state, reason, detail } = cause
    const fields = { action: action.type, target, check: check.name, state, reason, detail }
    const tooLate = new AbortController()
    const over = new AbortController()
    clock.sleep(timeoutMs, over.signal).then(
      () => tooLate.abort(new DOMException('no end in time', 'TimeoutError')),
      () => {},
    )
    try {
      const did = await perform(action, cause, { signal: AbortSignal.any([signal, tooLate.signal]), occasion })
      audit.warn({ ...fields, outcome: 'done', did }, 'action taken')
      return 'done'
    } catch (error) {
      audit.error({ ...fields, outcome: 'failed', why: shorten(tlsMeaning(error) ?? (error as Error).message) }, 'action failed')
      return 'failed'
    } finally {
      over.abort()
    }
  }
}

/** What distinguishes an action from the others of its check. An address may contain a key, so only its hash is kept. */
function identityOf(action: Action): string {
  if (action.type !== 'webhook') return targetOfAction(action)
  return hash('sha256', typeof action.url === 'string' ? action.url : action.url.reveal())
}

/** The longest `everyMs` that the schema accepts. */
const longestLimitMs = 7 * 86_400_000

function forgetOld(takenAt: Map<string, number>, now: number): void {
  for (const [key, at] of takenAt) if (now - at > longestLimitMs) takenAt.delete(key)
}
