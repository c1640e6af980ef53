import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { Proposal } from '../../agent/operations/journal.ts'
import type { Operation } from '../../agent/resources/operation.ts'
import { Problem } from '../../shared/errors.ts'
import { type ActingRegion, changed, startActingRegion } from '../agent/operations/acting-region.ts'

let region: ActingRegion
before(async () => {
  region = await startActingRegion()
  await region.ended(await region.putProject('harbour'))
})
after(() => region?.close())

const database = (id: string) => ({ kind: 'database' as const, project: 'harbour', database: id })
const nodes = (count: number) => ({ ...small, count })

const small = { cpu: 0.1, memory: '1Gi', heapRatio: 0.25, disk: { count: 1, size: '8Gi', storageClass: 'crate-premium' } }

type Scenario = {
  name: string
  nodes?: number
  proposal(id: string, before: Operation): Omit<Proposal, 'tryOut' | 'plan' | 'timeoutSeconds'>
}

const scenarios: Scenario[] = [
  { name: 'creation', proposal: () => assert.fail('is the first operation itself') },
  {
    name: 'change',
    proposal: (id, before) => {
      const wanted = changed(before, { deletionProtection: true, version: '5.10.2' })
      return { action: 'put', target: database(id), wanted }
    },
  },
  { name: 'restart', nodes: 2, proposal: (id) => ({ action: 'restart', target: database(id) }) },
  {
    name: 'password',
    proposal: (id) => ({
      action: 'rotate-password',
      target: database(id),
      parameters: { user: 'harbourmaster' },
      secrets: { password: 'another long password' },
    }),
  },
  { name: 'deletion', proposal: (id) => ({ action: 'delete', target: database(id) }) },
]

const written = /\/(operations|cratedbs|secrets|pods|persistentvolumes)\//

/** The acting half dies at its n-th write from now on: it was done, and its answer never came. */
function dieAtWrite(n: number): Promise<void> {
  let writes = 0
  return new Promise((died) => {
    region.intercept(async ({ method, path }, send) => {
      // What accepts is another replica, which lives on: it creates, while the acting half applies, patches and deletes.
      if (method === 'POST') return send()
      if (method !== 'GET' && written.test(path)) writes++
      if (writes < n) return send()
      if (writes === n) await send()
      writes = n + 1
      died()
      throw new Problem('cluster-unreachable', 'the process is dead')
    })
  })
}

/** Begins it, dies at that write and goes on as another process. `undefined` when it was through before. */
async function survive(scenario: Scenario, n: number): Promise<Operation | undefined> {
  const id = `${scenario.name}-${n}`
  const first =
    scenario.name === 'creation'
      ? undefined
      : await region.ended(await region.putDatabase('harbour', { id, nodes: nodes(scenario.nodes ?? 1) }))
  const died = dieAtWrite(n)
  const operation = first ? await region.accept(scenario.proposal(id, first)) : await region.putDatabase('harbour', { id, nodes: nodes(1) })
  const isThrough = await Promise.race([died.then(() => false), region.ended(operation).then(() => true)])
  if (isThrough) {
    region.intercept()
    return undefined
  }
  await region.restart()
  return region.ended(operation)
}

describe('executor, dying at each of its writes', () => {
  for (const scenario of scenarios) {
    test(`brings a ${scenario.name} to its end all the same`, async () => {
      let crashes = 0
      for (let operation = await survive(scenario, 1); operation; operation = await survive(scenario, crashes + 1)) {
        crashes++
        assert.equal(operation.status?.phase, 'Succeeded', `write ${crashes}: ${JSON.stringify(operation.status)}`)
      }
      assert.ok(crashes > 3)
    })
  }
})
