import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import type { TLSSocket } from 'node:tls'
import { kubernetes } from '../../../monitor/checks/kubernetes.ts'
import { apiServerOf } from '../../../monitor/wire/api-server.ts'
import { createServingCertificate, startCluster } from '../../cluster/index.ts'
import { assertResult, measured, run, secret } from './run.ts'

test('kubernetes check', async (t) => {
  const cluster = await startCluster()
  t.after(() => cluster.stop())
  const given = { url: cluster.url, tokenFile: secret(cluster.adminToken), caFile: secret(cluster.ca) }
  const write = async (method: string, path: string, body: object, contentType = 'application/json') => {
    const { ask } = await import('../../../monitor/wire/http-access.ts')
    const answer = await ask(kubernetes.options.parse(given), {
      url: new URL(path, cluster.url),
      method,
      headers: { 'Content-Type': contentType },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(5000),
    })
    assert.ok(answer.status < 300, answer.body.toString())
  }
  const host = async (name: string, ready: boolean) => {
    await write('POST', '/api/v1/nodes', { apiVersion: 'v1', kind: 'Node', metadata: { name } })
    const condition = {
      type: 'Ready',
      status: ready ? 'True' : 'False',
      reason: 'Test',
      message: '',
      lastTransitionTime: new Date().toISOString(),
    }
    await write('PATCH', `/api/v1/nodes/${name}/status`, { status: { conditions: [condition] } }, 'application/merge-patch+json')
  }

  await t.test('is down without any host ready, though the API server is well', async () => {
    const result = await run(kubernetes, given)
    assertResult(result, 'down', 'unavailable', /^v1\..* 0 of 0 hosts ready/)
    assert.equal(measured(result, 'skerry_kubernetes_failing_parts', { endpoint: 'livez' }), 0)
  })
  await t.test('is up when its hosts are ready', async () => {
    await host('crane-1', true)
    const result = await run(kubernetes, given)
    assertResult(result, 'up', undefined, /1 of 1 host ready/)
    assert.equal(measured(result, 'skerry_kubernetes_hosts', { condition: 'ready' }), 1)
  })
  await t.test('is degraded when a host is not ready, and names it', async () => {
    await host('crane-2', false)
    const result = await run(kubernetes, given)
    assertResult(result, 'degraded', 'partly_unavailable', /1 of 2 hosts ready\. Not ready: crane-2; see kubectl describe node/)
    assert.equal(measured(result, 'skerry_kubernetes_hosts', { condition: 'not_ready' }), 1)
  })
  await t.test('is down with a wrong token, and does not tell it', async () => {
    const result = await run(kubernetes, { ...given, tokenFile: secret('driftwood') })
    assertResult(result, 'down', 'unauthorized', /401/)
    assert.doesNotMatch(result.detail, /driftwood/)
  })
  await t.test('is degraded for an account that may not list nodes', async () => {
    const token = await cluster.serviceAccountToken('default', 'onlooker')
    assertResult(await run(kubernetes, { ...given, tokenFile: secret(token) }), 'degraded', 'unauthorized', /Grant it "list nodes"/)
    assertResult(await run(kubernetes, { ...given, tokenFile: secret(token), hosts: false }), 'up')
  })
  await t.test('is down when the authority is not known', async () => {
    assertResult(await run(kubernetes, { url: given.url, tokenFile: given.tokenFile }), 'down', 'tls')
  })
  await t.test('is down when the API server is gone', async () => {
    await cluster.suspend()
    const result = await run(kubernetes, given)
    assert.equal(result.state, 'down')
    assert.ok(['connection_refused', 'connection_lost'].includes(result.reason ?? ''), result.reason)
    await cluster.resume()
  })
})

test('the check of the own API server makes one new connection for each run, and leaves none', async (t) => {
  const { ca, cert, key } = await createServingCertificate()
  const answers: Record<string, unknown> = {
    '/version': { gitVersion: 'v1.34.1' },
    '/api/v1/nodes?includeObject=None': {
      columnDefinitions: [{ name: 'Name' }, { name: 'Status' }],
      rows: [{ cells: ['crane-1', 'Ready'] }],
    },
  }
  const server = createServer({ cert, key }, ({ url = '' }, response) => response.end(JSON.stringify(answers[url] ?? 'ok')))
  const opened: TLSSocket[] = []
  server.on('secureConnection', (socket) => opened.push(socket))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    server.close()
    server.closeAllConnections()
  })
  const url = new URL(`https://127.0.0.1:${(server.address() as AddressInfo).port}`)
  const apiServer = apiServerOf({ server: url, options: async () => ({ ca: Buffer.from(ca) }) })
  for (let runs = 1; runs <= 3; runs++) {
    assertResult(await run(kubernetes, {}, { apiServer }), 'up', undefined, /1 of 1 host ready/)
    assert.equal(opened.length, runs)
    const last = opened.at(-1) as TLSSocket
    if (!last.closed) await once(last, 'close')
  }
})
