import assert from 'node:assert/strict'
import { test } from 'node:test'
import { volume } from '../../../monitor/checks/volume.ts'
import type { ApiServer } from '../../../monitor/wire/api-server.ts'
import { exchange } from '../../../monitor/wire/http-exchange.ts'
import { assertResult, measured, run } from './run.ts'
import { serve } from './servers.ts'

const selector = 'labelSelector=app.kubernetes.io%2Fcomponent%3Dcratedb%2Capp.kubernetes.io%2Fname%3Dcranes'
const given = { namespace: 'project-harbour', database: 'cranes' }
const claims = ['data0-crate-data-hot-cranes-0', 'data0-crate-data-hot-cranes-1']

/** An API server that passes requests on to kubelets, with the answers that Kubernetes documents. `used` by claim; undefined reports nothing. */
async function cluster(t: Parameters<typeof serve>[0], used: (number | undefined)[]): Promise<ApiServer> {
  const url = await serve(t, {
    [`/api/v1/namespaces/project-harbour/persistentvolumeclaims?${selector}`]: { items: claims.map((name) => ({ metadata: { name } })) },
    [`/api/v1/namespaces/project-harbour/pods?${selector}`]: { items: [{ spec: { nodeName: 'crane-1' } }, { spec: {} }] },
    '/api/v1/nodes/crane-1/proxy/stats/summary': {
      node: { nodeName: 'crane-1' },
      pods: [
        {
          podRef: { name: 'crate-data-hot-cranes-0', namespace: 'project-harbour' },
          volume: [
            { name: 'token', usedBytes: 9, capacityBytes: 10 },
            ...claims.map((name, index) => ({
              name: 'data0',
              usedBytes: used[index],
              capacityBytes: 1000,
              inodes: 100,
              inodesUsed: 5,
              pvcRef: { name, namespace: 'project-harbour' },
            })),
            { name: 'data0', usedBytes: 999, capacityBytes: 1000, pvcRef: { name: claims[0], namespace: 'another-project' } },
          ],
        },
      ],
    },
  })
  return { server: new URL(url), get: (path, { signal }) => exchange({ url: new URL(path, url), signal }) }
}

for (const { name, used, state, reason, detail } of [
  { name: 'is up with room', used: [500, 100], state: 'up', detail: /-0 50 %, .*-1 10 %/ },
  { name: 'is degraded when a volume fills up', used: [500, 850], state: 'degraded', reason: 'limit', detail: /filling up: .*-1 85 %/ },
  { name: 'is down when a volume is full', used: [960, 100], state: 'down', reason: 'limit', detail: /full: .*-0 96 %.*Enlarge/ },
] as const)
  test(`volume check of what kubelets report ${name}`, async (t) => {
    const result = await run(volume, given, { apiServer: await cluster(t, [...used]) })
    assertResult(result, state, reason, detail)
    assert.equal(measured(result, 'skerry_volume_used_bytes', { volume: claims[0] as string, source: 'kubelet' }), used[0])
    assert.equal(measured(result, 'skerry_volume_inodes', { volume: claims[0] as string }), 100)
  })

test('volume check asks the database where a kubelet reports nothing, as with hostpath volumes', async (t) => {
  const url = await serve(t, { '/_sql': { rows: [['node-0', 900, 1000]] } })
  const result = await run(volume, { ...given, url }, { apiServer: await cluster(t, [undefined, 100]) })
  assertResult(result, 'degraded', 'limit', /node-0 90 %/)
  assert.equal(measured(result, 'skerry_volume_used_bytes', { volume: 'node-0', source: 'database' }), 900)
})

test('volume check says what to do where neither can be asked', async (t) => {
  assertResult(
    await run(volume, given, { apiServer: await cluster(t, [undefined, 100]) }),
    'down',
    'unavailable',
    /get nodes\/proxy.*set url/,
  )
  assertResult(await run(volume, given), 'down', 'misconfigured', /not connected to a cluster/)
})

test('volume check is down when there is no such database', async (t) => {
  const url = await serve(t, { [`/api/v1/namespaces/project-harbour/persistentvolumeclaims?${selector}`]: { items: [] } })
  const apiServer: ApiServer = { server: new URL(url), get: (path, { signal }) => exchange({ url: new URL(path, url), signal }) }
  assertResult(await run(volume, given, { apiServer }), 'down', 'missing', /no volumes of a database cranes/)
})
