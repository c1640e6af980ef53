import assert from 'node:assert/strict'
import { test } from 'node:test'
import { kinds, pathOf } from '../../shared/kubernetes/objects.ts'
import { startCluster, until } from '../cluster/index.ts'
import { prepareRegion } from '../region/index.ts'

test('a monitor that no leader publishes for says who holds the Lease', { timeout: 90_000 }, async (t) => {
  const cluster = await startCluster()
  t.after(() => cluster.stop())
  const region = await prepareRegion(cluster)
  t.after(() => region.close())
  const spec = { holderIdentity: 'monitor-0_dead', leaseDurationSeconds: 86_400, renewTime: '2099-01-01T00:00:00.000000Z' }
  const metadata = { namespace: 'skerry', name: 'skerry-monitor' }
  const path = pathOf(kinds.Lease, 'skerry')
  await region.admin.request({ method: 'POST', path, body: { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata, spec } })
  const lease = { duration: '60s', renewDeadline: '1s', retryPeriod: '200ms' }
  const monitor = await region.startMonitor({ url: 'mqtt://127.0.0.1:1' }, { config: { lease } })
  const read = async (what: string) => (await fetch(`${monitor.url}${what}`)).text()
  const { facts } = await until('it is said', async () => {
    const readiness = JSON.parse(await read('/readyz'))
    // Until its first look, and while a look takes long, it says that the Lease could not be read.
    return readiness.facts.leadership.startsWith('No replica leads') && readiness
  })
  assert.equal(
    facts.leadership,
    'No replica leads: the Lease skerry/skerry-monitor is held by monitor-0_dead, which does not renew it. Another one takes it 240 s after the last renewal.',
  )
  await until('it is measured', async () => /^skerry_monitor_leaderless 1$/m.test(await read('/metrics')))
})
