import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { Proposal } from '../../agent/operations/journal.ts'
import type { Operation } from '../../agent/resources/operation.ts'
import type { RetainedDatabase } from '../../agent/resources/retained-database.ts'
import { Problem } from '../../shared/errors.ts'
import { type KubernetesObject, kinds, pathOf } from '../../shared/kubernetes/objects.ts'
import { type ActingRegion, changed, startActingRegion } from '../agent/operations/acting-region.ts'
import { until } from '../cluster/index.ts'

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
  /** What comes before it, once the database has been put. Resolves with the operation that it follows. */
  after?(id: string, put: Operation): Promise<Operation>
  proposal(id: string, before: Operation): Omit<Proposal, 'tryOut' | 'plan' | 'timeoutSeconds'>
  /** What must hold in the end. */
  ends?(id: string, before: Operation, operation: Operation): Promise<void>
}

const records = () => region.admin.request<{ items: RetainedDatabase[] }>({ method: 'GET', path: pathOf(kinds.RetainedDatabase, 'skerry') })
const secretOf = async (name: string) =>
  (await region.admin.request<KubernetesObject>({ method: 'GET', path: pathOf(kinds.Secret, 'skerry', name) })) as KubernetesObject
const volume = (name: string) =>
  region.admin.request<KubernetesObject>({ method: 'GET', path: pathOf(kinds.PersistentVolume, undefined, name) })
const keptIn = ({ status }: Operation) => ((status?.result?.retainedVolumes ?? []) as { volume: string }[])[0]?.volume
const idIn = ({ status }: Operation) => String(status?.result?.deletedDatabase)
const isGone = async (id: string) => (await records()).items.every(({ metadata }) => metadata.name !== id)

/** A deletion by an operation, with one volume. */
async function deleted(id: string): Promise<Operation> {
  const parameters = { retainVolumes: true, keepDays: 7 }
  return region.ended(await region.accept({ action: 'delete', target: database(id), parameters }))
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
  {
    name: 'deletion',
    proposal: (id) => ({ action: 'delete', target: database(id), parameters: { retainVolumes: true, keepDays: 7 } }),
    async ends(id, _before, operation) {
      const { items } = await records()
      const own = items.filter(({ spec }) => spec.database === id)
      assert.deepEqual(
        own.map(({ metadata }) => metadata.name),
        [idIn(operation)],
      )
      const [record] = own
      assert.deepEqual([record?.spec.volumes.length, record?.spec.secrets], [1, [`user-password-${id}-0`]])
      const { data, metadata } = await secretOf(`retained-${idIn(operation)}`)
      assert.deepEqual(Object.keys(data), record?.spec.secrets)
      assert.equal(metadata.ownerReferences?.[0]?.uid, record?.metadata.uid)
    },
  },
  {
    name: 'undelete',
    after: (id) => deleted(id),
    proposal: (id, before) => ({
      action: 'undelete',
      target: database(id),
      parameters: { deleted: idIn(before) },
    }),
    async ends(id, before) {
      const claims = await region.admin.request<{ items: KubernetesObject[] }>({
        method: 'GET',
        path: pathOf(kinds.PersistentVolumeClaim, 'project-harbour'),
      })
      const claim = claims.items.find(({ metadata }) => metadata.name === `data0-crate-data-hot-${id}-0`)
      assert.equal(claim?.spec.volumeName, keptIn(before))
      await until('its record is gone', () => isGone(idIn(before)))
    },
  },
  {
    name: 'purge',
    after: (id) => deleted(id),
    proposal: (id, before) => ({ action: 'purge', target: database(id), parameters: { deleted: idIn(before) } }),
    async ends(_id, before) {
      await assert.rejects(volume(keptIn(before) ?? ''), /not found/)
      await until('its record is gone', () => isGone(idIn(before)))
    },
  },
]

const written = /\/(operations|cratedbs|secrets|pods|persistentvolumes|retaineddatabases)\//

/** The acting half dies at its n-th write from now on: it was done, and its answer never came. */
function dieAtWrite(n: number): Promise<void> {
  let writes = 0
  return new Promise((died) => {
    region.intercept(async ({ method, path, body }, send) => {
      // What accepts is another replica, which lives on: it creates, while the acting half applies, patches and deletes.
      const isKept = method === 'POST' && (body as KubernetesObject).metadata.name?.startsWith('retained-')
      if (method === 'POST' && !isKept) return send()
      if (method !== 'GET' && (isKept || written.test(path))) writes++
      if (writes < n) return send()
      if (writes === n) await send()
      writes = n + 1
      died()
      throw new Problem('cluster-unreachable', 'the process is dead')
    })
  })
}

/** Whether it was through before the acting half died at its n-th write; if not, it goes on as another process. */
async function dies(n: number, begin: () => Promise<Operation>): Promise<{ operation: Operation; isThrough: boolean }> {
  const died = dieAtWrite(n)
  const operation = await begin()
  const isThrough = await Promise.race([died.then(() => false), region.ended(operation).then(() => true)])
  if (isThrough) region.intercept()
  else await region.restart()
  return { operation: await region.ended(operation), isThrough }
}

/** Begins it, dies at that write and goes on as another process. `undefined` when it was through before. */
async function survive(scenario: Scenario, n: number): Promise<Operation | undefined> {
  const id = `${scenario.name}-${n}`
  const put =
    scenario.name === 'creation'
      ? undefined
      : await region.ended(await region.putDatabase('harbour', { id, nodes: nodes(scenario.nodes ?? 1) }))
  const first = put && scenario.after ? await scenario.after(id, put) : put
  const { operation: end, isThrough } = await dies(n, () =>
    first ? region.accept(scenario.proposal(id, first)) : region.putDatabase('harbour', { id, nodes: nodes(1) }),
  )
  if (isThrough) return undefined
  if (first) await scenario.ends?.(id, first, end)
  return end
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

  test('brings the deletion of a project with its database to its end all the same, with a record', async () => {
    let crashes = 0
    for (let isThrough = false; !isThrough; crashes++) {
      const id = `pier-${crashes}`
      await region.ended(await region.putProject(id))
      await region.ended(await region.putDatabase(id, { id: 'tide' }))
      const parameters = { cascade: true, retainVolumes: true, keepDays: 7 }
      const target = { kind: 'project' as const, project: id }
      const end = await dies(crashes + 1, () => region.accept({ action: 'delete', target, parameters }))
      isThrough = end.isThrough
      const { status } = end.operation
      assert.equal(status?.phase, 'Succeeded', `write ${crashes + 1}: ${JSON.stringify(status)}`)
      const [record, ...more] = (await records()).items.filter(({ spec }) => spec.project === id)
      assert.deepEqual([[record?.metadata.name], more], [status.result?.deletedDatabases, []], `write ${crashes + 1}`)
      const { data } = await secretOf(`retained-${record?.metadata.name}`)
      assert.deepEqual(Object.keys(data), ['user-password-tide-0'])
    }
    assert.ok(crashes > 3)
  })
})
