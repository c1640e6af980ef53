import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { systemClock } from '../../../shared/clock.ts'
import { connectCluster } from '../../../shared/kubernetes/connection.ts'
import { createLease, type Lease } from '../../../shared/kubernetes/lease.ts'
import { createLog } from '../../../shared/log.ts'
import { startCluster } from '../../cluster/index.ts'

// The rules are proven with a fake clock in lease.test.ts; here they meet an API server.
const control = await startCluster()
const folder = await mkdtemp(join(tmpdir(), 'skerry-lease-'))
writeFileSync(join(folder, 'kubeconfig'), control.kubeconfig())
const cluster = await connectCluster({ kubeconfig: join(folder, 'kubeconfig'), serviceAccountDir: folder }, { clock: systemClock })
after(async () => {
  cluster.close()
  await control.stop()
  await rm(folder, { recursive: true })
})

const log = createLog({ level: 'silent', name: 'test' })
const signal = new AbortController().signal
const path = (name: string) => `/apis/coordination.k8s.io/v1/namespaces/default/leases/${name}`

/** By a deadline that a busy machine does not miss. */
const patient = { durationMs: 30_000, renewDeadlineMs: 20_000, retryMs: 200 }

function contender(name: string, holder: string, times = patient): Lease {
  return createLease({ namespace: 'default', name, holder, ...times }, { cluster, clock: systemClock, log })
}

function change(lease: Lease, to: boolean): Promise<void> {
  return new Promise((resolve) => {
    if (lease.isLeader() === to) resolve()
    lease.onChange((leads) => leads === to && resolve())
  })
}

test('on a real Lease one of two leads, and gives it over when it stops', { timeout: 120_000 }, async () => {
  const [a, b] = [contender('handover', 'a'), contender('handover', 'b')]
  await a.start(signal)
  await change(a, true)
  await b.start(signal)
  const { spec } = await cluster.request({ method: 'GET', path: path('handover') })
  assert.equal(spec.holderIdentity, a.identity)
  assert.equal(b.isLeader(), false)
  await a.stop(systemClock.monotonic() + 5_000)
  await change(b, true)
  await b.stop(systemClock.monotonic() + 5_000)
  const after = await cluster.request({ method: 'GET', path: path('handover') })
  assert.ok(!after.spec.holderIdentity)
  assert.equal(after.spec.leaseTransitions, 1)
})

test('the Lease is given back in whatever time is left', { timeout: 120_000 }, async () => {
  const lease = contender('late', 'a')
  await lease.start(signal)
  await change(lease, true)
  await lease.stop(systemClock.monotonic() + 4_000)
  const { spec } = await cluster.request({ method: 'GET', path: path('late') })
  assert.ok(!spec.holderIdentity)
})

test('when the API server goes away the leader steps down in time, and leads again when it is back', { timeout: 120_000 }, async () => {
  const lease = contender('outage', 'a', { durationMs: 3_000, renewDeadlineMs: 2_000, retryMs: 200 })
  await lease.start(signal)
  await change(lease, true)
  await control.suspend()
  await change(lease, false)
  await control.resume()
  await change(lease, true)
  await lease.stop(systemClock.monotonic() + 5_000)
})

test('of five that start together exactly one leads', { timeout: 120_000 }, async () => {
  const all = ['a', 'b', 'c', 'd', 'e'].map((holder) => contender('crowd', holder))
  await Promise.all(all.map((lease) => lease.start(signal)))
  await Promise.race(all.map((lease) => change(lease, true)))
  assert.equal(all.filter((lease) => lease.isLeader()).length, 1)
  await Promise.all(all.map((lease) => lease.stop(systemClock.monotonic() + 5_000)))
})
