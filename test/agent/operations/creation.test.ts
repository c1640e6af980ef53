import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { createNodes } from '../../cluster/stand-ins/nodes.ts'
import { type ActingRegion, startActingRegion } from './acting-region.ts'

let region: ActingRegion
before(async () => {
  region = await startActingRegion()
  await region.ended(await region.putProject('harbour'))
})
after(() => region?.close())

const four = { count: 4, cpu: '500m', memory: '1Gi', disk: { size: '8Gi', storageClass: 'crate-premium' } }

test('a creation has not succeeded while a node of it has no host, says which, and goes on when there is one', async () => {
  const operation = await region.putDatabase('harbour', { id: 'wide', nodes: four as never })
  const stuck = await region.whenOperation(
    operation,
    ({ status }) => status?.blockers?.some(({ code }) => code === 'PodUnschedulable') ?? false,
  )
  assert.equal(stuck.status?.phase, 'Waiting')
  // What an operator that ends its part with the first node leaves open.
  const cratedb = await region.cratedb('harbour', 'wide')
  assert.equal(cratedb.status['cluster_create/bootstrap'].success, true)

  await createNodes(region.standIns.world, [{ name: 'node-4' }])
  const ended = await region.ended(operation)
  assert.equal(ended.status?.phase, 'Succeeded')
})
