import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { Operation } from '../../../agent/resources/operation.ts'
import { problemOfAnswer } from '../../../shared/kubernetes/failures.ts'
import { createNodes, until } from '../../cluster/index.ts'
import { type ActingRegion, changed, startActingRegion } from './acting-region.ts'
import { takeSchedulersPlace } from './hosts.ts'

let region: ActingRegion
before(async () => {
  region = await startActingRegion()
  await region.ended(await region.putProject('harbour'))
})
after(() => region?.close())

/** Before, a pod waits for its volumes, and the obstacle is the same. */
const hasNoHost = ({ status }: Operation) => status?.blockers?.some(({ message }) => message.includes('must not share one')) ?? false
const four = { count: 4, cpu: '500m', memory: '1Gi', disk: { size: '8Gi', storageClass: 'crate-premium' } }

test('a creation that waits for a host yields to one that asks for less', async () => {
  const place = await takeSchedulersPlace(region.admin)
  const operation = await region.putDatabase('harbour', { id: 'narrower', nodes: four as never })
  await place('crate-data-hot-narrower')
  await region.whenOperation(operation, hasNoHost)
  const wanted = changed(operation, { nodes: { ...changed(operation, {}).nodes, count: 3 } })
  const later = await region.accept({ action: 'put', target: operation.spec.target, wanted })
  assert.equal((await region.ended(operation)).status?.phase, 'Superseded')
  const { status } = await region.ended(later)
  assert.deepEqual([status?.phase, status?.done?.map(({ name }) => name)], ['Succeeded', ['undo-scale']])
})

test('a creation has not succeeded while a node of it has no host, says which, and goes on when there is one', async () => {
  // The operator ends its part with the first node, which must not be the one without a host.
  const place = await takeSchedulersPlace(region.admin)
  const operation = await region.putDatabase('harbour', { id: 'wide', nodes: four as never })
  await place('crate-data-hot-wide')
  await region.whenOperation(operation, hasNoHost)
  // What an operator that ends its part with the first node leaves open.
  await until('the operator has ended its part', async () => {
    const { status } = await region.cratedb('harbour', 'wide')
    return status?.['cluster_create/bootstrap']?.success === true
  })
  const stuck = await region.whenOperation(operation, hasNoHost)
  assert.equal(stuck.status?.phase, 'Waiting')

  await createNodes(region.standIns.world, [{ name: 'node-4' }])
  const ended = await region.ended(operation)
  assert.equal(ended.status?.phase, 'Succeeded')
})

test('an API server that starts, and serves no databases for a moment, fails nothing', async () => {
  await region.ended(await region.putProject('slip'))
  const page = problemOfAnswer('GET …/cratedbs', 404, '404 page not found\n')
  let written = false
  let refusals = 3
  region.intercept(async ({ method, path }, send) => {
    const isOfDatabase = path.includes('/cratedbs/')
    if (isOfDatabase && method === 'GET' && written && refusals-- > 0) throw page
    const answer = await send()
    written ||= isOfDatabase && method === 'PATCH'
    return answer
  })
  const operation = await region.ended(await region.putDatabase('slip', { id: 'young' }))
  region.intercept()
  assert.ok(refusals < 3)
  assert.equal(operation.status?.phase, 'Succeeded', JSON.stringify(operation.status))
})

test('a database that was deleted and put anew is created before it is changed, also when the watch has not told that it went', async (t) => {
  const before = await region.ended(await region.putDatabase('harbour', { id: 'again' }))
  t.after(region.withhold('cratedbs'))
  const { target } = before.spec
  await region.accept({ action: 'delete', target, parameters: { retainVolumes: false } })
  const creation = await region.putDatabase('harbour', { id: 'again' })
  const change = await region.accept({ action: 'put', target, wanted: changed(creation, { allowedCIDRs: ['10.1.0.0/16'] }) })
  const { status } = await region.ended(change)
  assert.equal(status?.phase, 'Succeeded', JSON.stringify(status))
})
