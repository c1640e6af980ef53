import type { Cache } from '../../../shared/kubernetes/cache.ts'
import type { EventRecorder, Occasion } from '../../../shared/kubernetes/event-recorder.ts'
import type { Leadership } from '../../../shared/kubernetes/lease.ts'
import type { KubernetesObject } from '../../../shared/kubernetes/objects.ts'
import type { Part } from '../../../shared/lifecycle.ts'
import { failures, ownFailures } from '../contract/failures.ts'
import type { RegistrationStatus } from './status.ts'

export type RegistrationStoryParts = {
  registration: Pick<Cache, 'values' | 'subscribe'>
  recorder: Pick<EventRecorder, 'record'>
  lease: Leadership
}

/**
 * The leader's part that tells each change of the registration as a Kubernetes Event, so that `kubectl describe` shows it. It reads the cache,
 * and nothing depends on it.
 */
export function createRegistrationStory({ registration, recorder, lease }: RegistrationStoryParts): Part {
  let unsubscribe: (() => void)[] = []

  function tell(object: KubernetesObject, previous?: KubernetesObject): void {
    const occasion = occasionOf(object.status, previous?.status)
    if (occasion !== undefined && lease.isLeader()) recorder.record({ about: object, ...occasion })
  }

  return {
    name: 'story of the registration',
    async start() {
      unsubscribe = [
        registration.subscribe(({ type, object, previous }) => {
          if (type !== 'removed') tell(object, previous)
        }),
        lease.onChange((leads) => {
          if (leads) for (const object of registration.values()) tell(object)
        }),
      ]
      for (const object of registration.values()) tell(object)
    },
    async stop() {
      for (const end of unsubscribe) end()
    },
  }
}

/**
 * What there is to tell about a change. A renewal that succeeds is none: it happens many times a day.
 * @param previous undefined to tell how things stand; whoever has told it before changes nothing
 */
export function occasionOf(
  now: RegistrationStatus | undefined,
  previous: RegistrationStatus | undefined,
): Omit<Occasion, 'about'> | undefined {
  if (now === undefined) return undefined
  if (now.state === previous?.state && now.reason === previous.reason) return restored(now, previous)
  if (isRoutine(now) || (now.state === 'Ready' && previous !== undefined && isRoutine(previous))) return undefined
  const message = [now.message, now.action].filter((text) => text !== undefined).join(' ')
  return { type: isTrouble(now) ? 'Warning' : 'Normal', reason: now.reason, message, at: now.since }
}

/** A cloud that knows less of the ledger than it did. */
function restored(now: RegistrationStatus, previous: RegistrationStatus): Omit<Occasion, 'about'> | undefined {
  const { ledgerKnown: known, lastHeard = now.since } = now
  const { ledgerKnown: before } = previous
  if (known === undefined || before === undefined || known >= before) return undefined
  const message = `The cloud knows operations up to ${known}, and knew them up to ${before}: it may have been restored from a backup.`
  return { type: 'Warning', reason: 'LedgerBehind', message, at: lastHeard }
}

function isRoutine({ state, reason }: RegistrationStatus): boolean {
  return state === 'Renewing' && reason === 'Due'
}

const troubles: ReadonlySet<string> = new Set([...Object.values(failures), ...Object.values(ownFailures)].map(({ reason }) => reason))

function isTrouble({ state, reason }: RegistrationStatus): boolean {
  return state === 'Refused' || troubles.has(reason)
}
