import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { Operation } from '../../../agent/resources/operation.ts'
import { isProblem } from '../../../shared/errors.ts'
import { kinds, pathOf } from '../../../shared/kubernetes/objects.ts'
import { until } from '../../cluster/index.ts'
import { type ActingRegion, changed, startActingRegion } from './acting-region.ts'

let region: ActingRegion
before(async () => {
  region = await startActingRegion()
  await region.ended(await region.putProject('harbour'))
})
after(() => region?.close())

const database = (id: string) => ({ kind: 'database' as const, project: 'harbour', database: id })
const phase = (operation: Operation) => operation.status?.phase
const steps = (operation: Operation) => operation.status?.done?.map(({ name }) => name)

/** A database that stands. */
async function created(id: string, nodes = 1): Promise<Operation> {
  const given = { id, nodes: { count: nodes, cpu: '500m', memory: '1Gi', disk: { size: '8Gi', storageClass: 'crate-premium' } } }
  const operation = await region.ended(await region.putDatabase('harbour', given as never))
  assert.equal(phase(operation), 'Succeeded', JSON.stringify(operation.status))
  return operation
}

describe('executor', { concurrency: true }, () => {
  test('creates a database and ends when the operator has bootstrapped it', async () => {
    const operation = await created('create-one')
    assert.deepEqual(steps(operation), ['create'])
    const object = await region.cratedb('harbour', 'create-one')
    assert.equal(object.status['cluster_create/bootstrap'].success, true)
    const secret = pathOf(kinds.Secret, 'skerry', operation.spec.secretName)
    await until("the request's Secret is gone", () =>
      region.admin.request({ method: 'GET', path: secret }).then(
        () => false,
        (error) => isProblem(error, 'not-found'),
      ),
    )
  })

  test('makes several kinds of change one after the other, each after the last has ended', async () => {
    const before = await created('many-changes')
    const { nodes } = changed(before, {})
    const wanted = changed(before, {
      version: '5.10.2',
      allowedCIDRs: ['10.30.0.0/16'],
      nodes: { ...nodes, count: 2, cpu: 1, disk: { ...nodes.disk, size: '16Gi' } } as never,
    })
    const operation = await region.ended(await region.accept({ action: 'put', target: database('many-changes'), wanted }))
    assert.equal(phase(operation), 'Succeeded', JSON.stringify(operation.status))
    assert.deepEqual(steps(operation), ['allow-list', 'disk', 'compute', 'scale', 'upgrade'])
    const { spec } = await region.cratedb('harbour', 'many-changes')
    assert.equal(spec.cluster.version, '5.10.2')
    assert.equal(spec.nodes.data[0].replicas, 2)
  })

  test('reports an upgrade that the operator rolled back as failed', async () => {
    const before = await created('rolled-back')
    region.standIns.operator.faults.set('harbour/rolled-back', {})
    region.standIns.operator.faults.set('rolled-back', { rollBackUpgrade: 'node data-hot-0 did not come back' })
    const operation = await region.ended(
      await region.accept({ action: 'put', target: database('rolled-back'), wanted: changed(before, { version: '5.10.2' }) }),
    )
    assert.equal(phase(operation), 'Failed')
    assert.equal((await region.cratedb('harbour', 'rolled-back')).spec.cluster.version, '5.10.1')
  })

  test('keeps the reason with which the operator gave up', async () => {
    const before = await created('gives-up')
    region.standIns.operator.faults.set('gives-up', { fail: { 'cluster_update/scale': 'too many replicas' } })
    const { nodes } = changed(before, {})
    const wanted = changed(before, { nodes: { ...nodes, count: 3 } })
    const operation = await region.ended(await region.accept({ action: 'put', target: database('gives-up'), wanted }))
    assert.equal(phase(operation), 'Failed')
    assert.match(operation.status?.message ?? '', /too many replicas/)
  })

  test('suspends and resumes', async () => {
    const before = await created('sleeper')
    const asleep = await region.ended(
      await region.accept({ action: 'suspend', target: database('sleeper'), wanted: changed(before, { suspended: true }) }),
    )
    assert.deepEqual([phase(asleep), steps(asleep)], ['Succeeded', ['suspend']])
    const awake = await region.ended(
      await region.accept({ action: 'resume', target: database('sleeper'), wanted: changed(before, { suspended: false }) }),
    )
    assert.deepEqual([phase(awake), steps(awake)], ['Succeeded', ['resume']])
    assert.equal((await region.cratedb('harbour', 'sleeper')).spec.nodes.data[0].replicas, 1)
  })

  test('restarts node by node, holding allocation while each is away', async () => {
    await created('restarted', 3)
    const pods = async () =>
      (
        await region.admin.request({
          method: 'GET',
          path: pathOf(kinds.Pod, 'project-harbour'),
          query: { labelSelector: 'app.kubernetes.io/name=restarted' },
        })
      ).items
    const uids = (await pods()).map((pod: { metadata: { uid: string } }) => pod.metadata.uid)
    const operation = await region.ended(await region.accept({ action: 'restart', target: database('restarted') }))
    assert.equal(phase(operation), 'Succeeded', JSON.stringify(operation.status))
    const now = (await pods()).map((pod: { metadata: { uid: string } }) => pod.metadata.uid)
    assert.equal(now.length, 3)
    assert.ok(now.every((uid: string) => !uids.includes(uid)))
  })

  test('rotates a password and waits until the database was told', async () => {
    await created('rotated')
    const operation = await region.ended(
      await region.accept({
        action: 'rotate-password',
        target: database('rotated'),
        parameters: { user: 'harbourmaster' },
        secrets: { password: 'another long password' },
      }),
    )
    assert.equal(phase(operation), 'Succeeded', JSON.stringify(operation.status))
    const secret = await region.admin.request({ method: 'GET', path: pathOf(kinds.Secret, 'project-harbour', 'user-password-rotated-0') })
    assert.equal(Buffer.from(secret.data.password, 'base64').toString(), 'another long password')
  })

  test('deletes a database, keeps its data volumes and says which', async () => {
    await created('deleted')
    const operation = await region.ended(await region.accept({ action: 'delete', target: database('deleted') }))
    assert.equal(phase(operation), 'Succeeded', JSON.stringify(operation.status))
    const [kept] = (operation.status?.result?.retainedVolumes ?? []) as { volume: string; claim: string }[]
    assert.equal(kept?.claim, 'project-harbour/data0-crate-data-hot-deleted-0')
    const volume = await region.admin.request({ method: 'GET', path: pathOf(kinds.PersistentVolume, undefined, kept?.volume) })
    assert.equal(volume.spec.persistentVolumeReclaimPolicy, 'Retain')
    await assert.rejects(region.cratedb('harbour', 'deleted'), { type: 'not-found' })
    const password = pathOf(kinds.Secret, 'project-harbour', 'user-password-deleted-0')
    await assert.rejects(region.admin.request({ method: 'GET', path: password }), { type: 'not-found' })
  })

  test('a deletion supersedes a change that hangs, and a newer desired state one that has not begun', async () => {
    const before = await created('hanging')
    region.standIns.operator.faults.set('hanging', { stopAt: 'cluster_update/scale' })
    const { nodes } = changed(before, {})
    const scale = (count: number) =>
      region.accept({ action: 'put', target: database('hanging'), wanted: changed(before, { nodes: { ...nodes, count } }) })
    const stuck = await scale(2)
    await region.whenOperation(stuck, (operation) => phase(operation) === 'Waiting')
    const second = await scale(3)
    const third = await scale(4)
    const deletion = await region.accept({ action: 'delete', target: database('hanging') })
    assert.equal(phase(await region.ended(stuck)), 'Superseded')
    assert.equal(phase(await region.ended(second)), 'Superseded')
    assert.equal(phase(await region.ended(third)), 'Superseded')
    region.standIns.operator.faults.clear('hanging')
    assert.equal(phase(await region.ended(deletion)), 'Succeeded')
  })

  test('cancelling ends an operation that waits', async () => {
    const before = await created('cancelled')
    region.standIns.operator.faults.set('cancelled', { stopAt: 'cluster_update/scale' })
    const { nodes } = changed(before, {})
    const operation = await region.accept({
      action: 'put',
      target: database('cancelled'),
      wanted: changed(before, { nodes: { ...nodes, count: 2 } }),
    })
    await region.whenOperation(operation, (now) => phase(now) === 'Waiting')
    await region.journal.cancel(operation.metadata.name, 'somebody')
    const ended = await region.ended(operation)
    assert.equal(phase(ended), 'Cancelled')
    assert.match(ended.status?.message ?? '', /Cancelled by somebody/)
  })

  test('an operation that runs out of time fails and says what was in the way', async () => {
    const before = await created('too-slow')
    region.standIns.operator.faults.set('too-slow', { neverStart: true })
    const wanted = changed(before, { allowedCIDRs: ['10.40.0.0/16'] })
    const operation = await region.ended(await region.accept({ action: 'put', target: database('too-slow'), wanted, timeoutSeconds: 1 }))
    assert.deepEqual([phase(operation), operation.status?.reason], ['Failed', 'DeadlineExceeded'])
  })
})
