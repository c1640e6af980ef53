import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { readDatabase } from '../../agent/resources/cratedb.ts'
import { namespaceOf } from '../../agent/resources/kind.ts'
import { hasEnded, type Operation, phaseOf } from '../../agent/resources/operation.ts'
import { readProject } from '../../agent/resources/project.ts'
import type { Cluster } from '../../shared/kubernetes/connection.ts'
import { type KubernetesObject, kinds, pathOf } from '../../shared/kubernetes/objects.ts'
import { faultOfChain } from '../agent/operations/chain.ts'
import type { Workload } from './workload.ts'

/** Waits until every operation in the ledger has ended. Looks at the API server itself: the agents may be what is broken. */
export async function whenAllEnded(admin: Cluster, withinMs: number): Promise<Operation[]> {
  const until = performance.now() + withinMs
  for (;;) {
    const operations = await ledgerOf(admin).catch(() => undefined)
    const open = operations?.filter((operation) => !hasEnded(operation)) ?? []
    if (operations && open.length === 0) return operations
    if (performance.now() > until) {
      const left = open.map(
        ({ metadata, spec, status }) => `${metadata.name} ${spec.action} ${JSON.stringify(spec.target)} ${JSON.stringify(status)}`,
      )
      const held = await Promise.all(open.slice(0, 3).map((operation) => crateDbOf(admin, operation)))
      throw new Error(`${open.length} operations have not ended within ${withinMs} ms:\n${[...left, ...new Set(held)].join('\n')}`)
    }
    await sleep(250)
  }
}

/** What the Crate Operator has noted about the database of an operation: why it waits. */
async function crateDbOf(admin: Cluster, { spec: { target } }: Operation): Promise<string> {
  if (target.kind !== 'database') return ''
  const path = pathOf(kinds.CrateDB, namespaceOf(target.project), target.database)
  const read = await admin.request<KubernetesObject>({ method: 'GET', path }).catch((error: Error) => error.message)
  return JSON.stringify(read)
}

async function ledgerOf(admin: Cluster): Promise<Operation[]> {
  const { items } = await admin.request<{ items: Operation[] }>({ method: 'GET', path: pathOf(kinds.Operation, 'skerry') })
  return items
}

/** Compares everything that was acknowledged with what stands in the cluster. */
export async function judge(admin: Cluster, workload: Workload, operations: Operation[]): Promise<void> {
  assert.equal(faultOfChain(operations), undefined, 'the ledger is one chain')
  const byName = new Map(operations.map((operation) => [operation.metadata.name, operation]))
  const keys = operations.map(({ spec }) => spec.idempotencyKey)
  assert.equal(new Set(keys).size, keys.length, 'no request became two operations')
  for (const { operation, key } of workload.acknowledged)
    assert.equal(byName.get(operation)?.spec.idempotencyKey, key, `${operation} is in the ledger as it was acknowledged`)
  assert.equal(
    operations.length,
    new Set(workload.acknowledged.map(({ operation }) => operation)).size,
    'every entry of the ledger was acknowledged',
  )
  const bad = operations.filter((operation) => !['Succeeded', 'Superseded'].includes(phaseOf(operation)))
  assert.deepEqual(bad.map(describe), [], 'everything acknowledged was carried out, or gave way to something later')
  for (const last of lastOfEachTarget(operations)) await judgeTarget(admin, last)
}

function describe({ metadata, spec, status }: Operation): string {
  return `${metadata.name} ${spec.action} ${JSON.stringify(spec.target)}: ${status?.phase} ${status?.reason} ${status?.message}`
}

/** The last operation of each target that was not superseded says how the target must be. */
function lastOfEachTarget(operations: Operation[]): Operation[] {
  const last = new Map<string, Operation>()
  for (const operation of operations) if (phaseOf(operation) === 'Succeeded') last.set(JSON.stringify(operation.spec.target), operation)
  return [...last.values()]
}

async function judgeTarget(admin: Cluster, { spec: { action, target, wanted }, metadata }: Operation): Promise<void> {
  if (target.kind === 'region') return
  const path =
    target.kind === 'project'
      ? pathOf(kinds.Project, undefined, target.project)
      : pathOf(kinds.CrateDB, namespaceOf(target.project), target.database)
  const object = await admin.request<KubernetesObject>({ method: 'GET', path }).catch((error) => {
    if (error.type === 'not-found') return undefined
    throw error
  })
  if (action === 'delete') return assert.equal(object, undefined, `${metadata.name}: what was deleted is gone`)
  assert.ok(object, `${metadata.name}: what was asked for stands`)
  const stands = target.kind === 'project' ? readProject(object) : readDatabase(object)
  assert.deepEqual(JSON.parse(JSON.stringify(stands)), JSON.parse(JSON.stringify(wanted)), `${metadata.name}: it is as asked`)
}
