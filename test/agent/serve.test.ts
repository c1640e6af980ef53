import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startCluster } from '../cluster/index.ts'
import { createClient } from '../region/client.ts'
import { prepareRegion } from '../region/index.ts'

test('a read after the end of an operation shows its end, in every round', { timeout: 180_000 }, async (t) => {
  const cluster = await startCluster()
  t.after(() => cluster.stop())
  const region = await prepareRegion(cluster)
  t.after(() => region.close())
  const agent = await region.startAgent()
  const client = createClient({ url: agent.url, ca: region.ca, token: region.token })
  t.after(() => client.close())
  for (let round = 1; round <= 5; round++) {
    const put = await client.call('PUT', '/v1/projects/harbour', {
      body: { displayName: `Round ${round}` },
      headers: { prefer: 'wait=30' },
    })
    assert.equal(put.status, 200, put.text)
    const { body } = await client.call('GET', '/v1/projects/harbour')
    assert.equal(body.status.operation, null, `round ${round}: ${JSON.stringify(body.status)}`)
    assert.equal(body.displayName, `Round ${round}`)
  }
})
