import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { actionNames } from '../../agent/operations/actions/action.ts'
import { actions } from '../../agent/operations/actions/index.ts'
import { createOperatorCache } from '../../agent/region/operator.ts'
import type { Operation } from '../../agent/resources/operation.ts'
import { systemClock } from '../../shared/clock.ts'
import { Problem } from '../../shared/errors.ts'
import { kinds } from '../../shared/kubernetes/objects.ts'
import { listObjects } from '../../shared/kubernetes/read.ts'
import { createLog } from '../../shared/log.ts'
import { type Api, createApiOver, operatorAt } from '../agent/api/region.ts'
import { type ActingRegion, startActingRegion } from '../agent/operations/acting-region.ts'
import { define } from '../agent/operations/actions/scene.ts'
import { importableDatabase, importableFile } from '../agent/region-file/import/importable.ts'

let region: ActingRegion
before(async () => {
  region = await startActingRegion(actions)
  await define(region, { actions: actionNames(actions), kinds: Object.keys(actions) })
})
after(() => region?.close())

/** Accepts while nobody leads, so that the acting half has every write of its own before it. */
async function accept(id: string): Promise<Operation> {
  region.lead(false)
  const { admin: cluster, caches, journal } = region
  const log = createLog({ level: 'silent', name: 'test' })
  const operator = createOperatorCache(
    { namespace: operatorAt.namespace, name: operatorAt.deployment },
    { cluster, clock: systemClock, log },
  )
  await operator.start(new AbortController().signal)
  const api: Api = createApiOver({ cluster, caches, journal, obstacles: { of: async () => [] }, actions }, operator)
  const { bytes } = await importableFile([importableDatabase('harbour', id)])
  const answer = await api.call('POST', '/v1/region/import?oldClusterIsGone=true', { body: bytes.toString() })
  await operator.stop(0)
  assert.equal(answer.status, 202, answer.text)
  const operation = await journal.find(answer.body.id)
  assert.ok(operation)
  return operation
}

/** The acting half dies at its n-th write from now on: it was done, and its answer never came. */
function dieAtWrite(n: number): Promise<void> {
  let writes = 0
  return new Promise((died) => {
    region.intercept(async ({ method }, send) => {
      if (method !== 'GET') writes++
      if (writes < n) return send()
      if (writes === n) await send()
      writes = n + 1
      died()
      throw new Problem('cluster-unreachable', 'the process is dead')
    })
  })
}

/** Imports a database, dies at that write, and goes on as another process. `undefined` when it was through before. */
async function survive(n: number): Promise<Operation | undefined> {
  const operation = await accept(`tide-${n}`)
  const died = dieAtWrite(n)
  region.lead(true)
  const isThrough = await Promise.race([died.then(() => false), region.ended(operation).then(() => true)])
  if (isThrough) {
    region.intercept()
    return undefined
  }
  await region.restart()
  return region.ended(operation)
}

test('an import comes to its end at whichever of its writes the agent dies, and asks for each database once', async () => {
  let crashes = 0
  for (let operation = await survive(1); operation; operation = await survive(crashes + 1)) {
    crashes++
    assert.equal(operation.status?.phase, 'Succeeded', `write ${crashes}: ${JSON.stringify(operation.status)}`)
  }
  assert.ok(crashes > 10, `${crashes} writes`)
  const asked = (await listObjects<Operation>(region.admin, kinds.Operation)).filter(({ spec }) => spec.action === 'reattach')
  assert.equal(asked.length, crashes + 1)
  const volumes = await listObjects(region.admin, kinds.PersistentVolume)
  const data = volumes.filter(({ spec }) => spec.claimRef?.name.startsWith('data'))
  assert.deepEqual(
    data.map(({ metadata }) => metadata.name).filter((name) => !name.startsWith('pvc-harbour-tide-')),
    [],
    'no claim got another volume',
  )
})
