import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Body, createHttp, expectCode } from './client/http.ts'
import type { TestCluster } from './test-cluster.ts'

/** Calls `holds` every 50 ms until it returns a truthy value, and resolves with that. Fails after `withinMs`. @param what the expectation, for the message */
export async function until<T>(what: string, holds: () => Promise<T | false | undefined>, withinMs = 60_000): Promise<T> {
  const deadline = performance.now() + withinMs
  for (;;) {
    const value = await holds()
    if (value) return value
    assert.ok(performance.now() < deadline, `not within ${withinMs} ms: ${what}`)
    await sleep(50)
  }
}

/**
 * Resolves once the API server enforces every quota that a namespace has now. The status of a quota does not show this, because admission
 * learns of quotas from its own watch. Therefore this adds another quota last, which stays.
 */
export async function untilQuotasCount({ url, ca, adminToken }: TestCluster, namespace: string): Promise<void> {
  const http = createHttp({ url, ca, token: adminToken })
  const quotas = `/api/v1/namespaces/${namespace}/resourcequotas`
  try {
    await until('the quotas are counted', async () => {
      const { items } = expectCode(await http.get(quotas), 200)
      return items.every(({ spec, status }: Body) => Object.keys(spec.hard).every((name) => status?.used?.[name] !== undefined))
    })
    expectCode(
      await http.post(quotas, { metadata: { name: 'no-leases' }, spec: { hard: { 'count/leases.coordination.k8s.io': '0' } } }),
      201,
    )
    const leases = `/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases?dryRun=All`
    const lease = { metadata: { name: 'one' } }
    await until('the quotas are in effect', async () => (await http.post(leases, lease)).text.includes('exceeded quota: no-leases'))
  } finally {
    http.close()
  }
}
