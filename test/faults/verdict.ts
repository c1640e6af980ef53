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

/**
 * Waits until every operation in the ledger has ended. Looks at the API server itself: the agents may be what is broken.
 * @param explain how far the Crate Operator is with a database, `namespace/name`
 */
export async function whenAllEnded(admin: Cluster, withinMs: number, explain?: (database: string) => string): Promise<Operation[]> {
  const until = performance.now() + withinMs
  for (;;) {
    const operations = await ledgerOf(admin).catch(() => undefined)
    const open = operations?.filter((operation) => !hasEnded(operation)) ?? []
    if (operations && open.length === 0) return operations
    if (performance.now() > until) {
      const left = open.map(
        ({ metadata, spec, status }) => `${metadata.name} ${spec.action} ${JSON.stringify(spec.target)} ${JSON.stringify(status)}`,
      )
      const held = await Promise.all(open.slice(0, 3).map((operation) => heldUp(admin, operation, explain)))
      throw new Error(`${open.length} operations have not ended within ${withinMs} ms:\n${[...left, ...new Set(held)].join('\n')}`)
    }
    await sleep(250)
  }
}

/** Why the database of an operation may wait: what the Crate Operator has noted, and what stands of it. */
async function heldUp(admin: Cluster, { spec: { target } }: Operation, explain?: (database: string) => string): Promise<string> {
  if (target.kind !== 'database') return ''
  const namespace = namespaceOf(target.project)
  const told = (path: string) => admin.request<KubernetesObject & { items?: KubernetesObject[] }>({ method: 'GET', path }).catch(String)
  const kindsOfChildren = [kinds.StatefulSet, kinds.Pod, kinds.PersistentVolumeClaim, kinds.Secret]
  const children = kindsOfChildren.map(async (kind) => {
    const found = await told(pathOf(kind, namespace))
    return `${kind.plural}: ${typeof found === 'string' ? found : (found.items ?? []).map(inShort).join(', ')}`
  })
  const cratedb = await told(pathOf(kinds.CrateDB, namespace, target.database))
  const explained = explain?.(`${namespace}/${target.database}`) ?? 'unknown'
  return [JSON.stringify(cratedb), ...(await Promise.all(children)), `the operator: ${explained}`].join('\n')
}

function inShort({ metadata, status }: KubernetesObject): string {
  const conditions: { type: string; status: string }[] = status?.conditions ?? []
  const isReady = conditions.some(({ type, status: met }) => type === 'Ready' && met === 'True')
  const words = [metadata.name, status?.phase, isReady && 'ready', metadata.deletionTimestamp && 'being deleted']
  return words.filter(Boolean).join(' ')
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
