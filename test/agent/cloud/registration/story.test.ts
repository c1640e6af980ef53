import assert from 'node:assert/strict'
import { test } from 'node:test'
import { failures, ownFailures } from '../../../../agent/cloud/contract/failures.ts'
import type { RegistrationState, RegistrationStatus } from '../../../../agent/cloud/registration/status.ts'
import { createRegistrationStory, occasionOf } from '../../../../agent/cloud/registration/story.ts'
import type { Change } from '../../../../shared/kubernetes/cache.ts'
import type { Occasion } from '../../../../shared/kubernetes/event-recorder.ts'
import type { KubernetesObject } from '../../../../shared/kubernetes/objects.ts'
import { leaseInHand } from '../../controllers/region.ts'

function statusOf(state: RegistrationState, reason: string, action?: string): RegistrationStatus {
  const texts = { message: `It is ${state}.`, ...(action !== undefined && { action }) }
  return { state, reason, ...texts, since: '2026-01-01T00:00:00Z', attempts: 0, cloud: 'https://cloud.example.org', thumbprint: 'kPrK' }
}

const registered = statusOf('Ready', 'Registered')
const due = statusOf('Renewing', 'Due')

test('each state and reason is told once, with what to do', () => {
  const refused = statusOf('Refused', failures.cloned.reason, 'Look at it.')
  assert.deepEqual(occasionOf(refused, registered), {
    ...{ type: 'Warning', reason: 'Cloned', message: 'It is Refused. Look at it.', at: '2026-01-01T00:00:00Z' },
  })
  assert.equal(occasionOf({ ...refused, attempts: 3 }, refused), undefined)
  assert.equal(occasionOf(registered, statusOf('Claiming', 'Asking'))?.type, 'Normal')
  assert.equal(occasionOf(statusOf('Recovering', ownFailures['ca-changed'].reason), due)?.type, 'Warning')
  assert.equal(occasionOf(undefined, undefined), undefined)
})

test('a renewal that succeeds is not worth an event, one that fails is, and so is its end', () => {
  const failing = statusOf('Renewing', ownFailures.unreachable.reason)
  assert.equal(occasionOf(due, registered), undefined)
  assert.equal(occasionOf(registered, due), undefined)
  assert.equal(occasionOf(failing, due)?.reason, 'Unreachable')
  assert.equal(occasionOf(registered, failing)?.reason, 'Registered')
})

test('the leader tells it, and a new leader how things stand', async () => {
  const object = (status: RegistrationStatus): KubernetesObject => ({ apiVersion: '', kind: '', metadata: { name: 'cloud' }, status })
  let listener: (change: Change<KubernetesObject>) => void = () => {}
  let present = object(registered)
  const told: string[] = []
  const lease = leaseInHand(false)
  const story = createRegistrationStory({
    registration: {
      values: () => [present].values(),
      subscribe(given) {
        listener = given
        return () => {}
      },
    },
    recorder: { record: ({ reason }: Occasion) => void told.push(reason) },
    lease,
  })
  const become = (status: RegistrationStatus) => {
    const previous = present
    present = object(status)
    listener({ type: 'changed', key: 'skerry/cloud', object: present, previous })
  }
  await story.start(new AbortController().signal)
  become(statusOf('Refused', 'Revoked'))
  assert.deepEqual(told, [], 'another one leads')
  lease.set(true)
  assert.deepEqual(told, ['Revoked'])
  become(registered)
  assert.deepEqual(told, ['Revoked', 'Registered'])
  await story.stop(0)
})
