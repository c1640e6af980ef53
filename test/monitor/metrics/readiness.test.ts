import assert from 'node:assert/strict'
import { test } from 'node:test'
import { regionReadiness } from '../../../monitor/metrics/readiness.ts'
import { createMonitorCaches, followRegion } from '../../../monitor/region/caches.ts'
import { systemClock } from '../../../shared/clock.ts'
import type { KubernetesObject } from '../../../shared/kubernetes/objects.ts'
import { readinessOf } from '../../../shared/lifecycle.ts'
import { startCluster, until } from '../../cluster/index.ts'
import { prepareRegion } from '../../region/index.ts'
import { connectTo, install } from '../../shared/kubernetes/connected.ts'
import { components, silent } from '../region/in-hand.ts'

test('with the permissions of a version before the link a monitor is ready, and warns of what it may not read', async (t) => {
  const testCluster = await startCluster()
  t.after(() => testCluster.stop())
  const { admin, namespace, close } = await prepareRegion(testCluster)
  t.after(close)
  await install(admin, ['deploy/rbac/monitor.yaml'])
  const path = `/apis/rbac.authorization.k8s.io/v1/namespaces/${namespace}/roles/skerry-monitor`
  const role = await admin.request<KubernetesObject>({ method: 'GET', path })
  const withRules = (rules: object[]) =>
    admin.request({ method: 'PATCH', path, contentType: 'application/merge-patch+json', body: { rules } })
  await withRules(role.rules.filter(({ resources }: { resources: string[] }) => !resources.includes('registrations')))

  const monitor = connectTo(testCluster, await testCluster.serviceAccountToken(namespace, 'skerry-monitor'))
  t.after(() => monitor.close())
  const tools = { cluster: monitor, clock: systemClock, log: silent }
  const caches = createMonitorCaches({ components, namespace }, tools)
  const part = followRegion(caches, { ...tools, patienceMs: 100 })
  await part.start(new AbortController().signal)
  t.after(() => part.stop(0))
  const registrations = () => {
    const { ready, parts } = readinessOf(regionReadiness(caches))
    return { ready, part: parts.find(({ name }) => name === 'cache of registrations') }
  }
  await until('all others are listed', async () => registrations().ready && caches.registrations.trouble !== undefined)
  const { part: told } = registrations()
  assert.deepEqual([told?.ready, told?.warning], [false, true])
  assert.match(told?.reason ?? '', /cannot list resource "registrations"/)

  await withRules(role.rules)
  await until('it is listed', async () => registrations().part?.ready)
})
