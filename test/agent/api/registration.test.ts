import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { RegistrationStatus } from '../../../agent/cloud/registration/status.ts'
import { kinds, pathOf } from '../../../shared/kubernetes/objects.ts'
import { until } from '../../cluster/index.ts'
import { namespace, type QuietRegion, startQuietRegion } from './region.ts'

let region: QuietRegion
let without: QuietRegion

before(async () => {
  region = await startQuietRegion({ hasCloud: true })
  without = await startQuietRegion()
})
after(async () => {
  await region?.close()
  await without?.close()
})

const place = pathOf(kinds.Registration, namespace)
const show = (headers: Record<string, string> = {}) => region.call('GET', '/v1/region/registration', { headers })

async function write(status: Partial<RegistrationStatus>): Promise<void> {
  const path = `${place}/cloud/status`
  await region.admin.request({ method: 'PATCH', path, contentType: 'application/merge-patch+json', body: { status } })
}

const ready: RegistrationStatus = {
  ...{ state: 'Ready', reason: 'Registered', message: 'The region is registered as r-5f3c9a.', since: '2026-01-31T12:00:00Z', attempts: 0 },
  ...{ cloud: 'https://cloud.example.org', id: 'r-5f3c9a', thumbprint: 'a'.repeat(43), lastHeard: '2026-01-31T12:40:00Z', ledgerKnown: 41 },
  credential: { renews: '2026-01-31T12:40:00Z', expires: '2026-01-31T13:00:00Z' },
  ...{ tags: { coast: 'west' }, cloudSays: { tags: { coast: 'west' } } },
}

test('the registration is shown as the leader has written it down, by every replica', async () => {
  const early = await show()
  assert.deepEqual([early.status, early.body.type], [503, 'https://skerry.dev/problems/not-ready'])

  const { apiVersion, kind } = kinds.Registration
  const object = { apiVersion, kind, metadata: { name: 'cloud', namespace }, spec: { joined: true } }
  await region.admin.request({ method: 'POST', path: place, body: object })
  await write(ready)
  await until('it is seen', async () => (await show()).status === 200)
  const { body, headers } = await show()
  const { cloudSays: _, ...shown } = ready
  assert.deepEqual(body, { ...shown, action: null, nextAttempt: null, pairing: null, name: null })
  assert.equal((await show({ 'if-none-match': headers.get('etag') ?? '' })).status, 304)
})

test('a refusal says why, and what a person can do', async () => {
  await write({ state: 'Refused', reason: 'Cloned', message: 'Two use this key.', action: 'Unlock the region.' })
  await until('it is seen', async () => (await show()).body.state === 'Refused')
  const { body } = await show()
  assert.deepEqual([body.reason, body.action, body.nextAttempt], ['Cloned', 'Unlock the region.', null])
})

test('without a cloud it says how to configure one', async () => {
  const { status, body } = await without.call('GET', '/v1/region/registration')
  assert.deepEqual([status, body.type], [404, 'https://skerry.dev/problems/not-found'])
  assert.match(body.detail, /set `cloud\.url` in the configuration of the agent/)
})
