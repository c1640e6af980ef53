import assert from 'node:assert/strict'
import { after, afterEach, before, describe, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import type { Operation } from '../../agent/resources/operation.ts'
import { projectSpec } from '../../agent/resources/project.ts'
import { Problem } from '../../shared/errors.ts'
import { kinds, pathOf } from '../../shared/kubernetes/objects.ts'
import { type ActingRegion, changed, startActingRegion } from '../agent/operations/acting-region.ts'

let region: ActingRegion
before(async () => {
  region = await startActingRegion()
  await region.ended(await region.putProject('harbour'))
})
afterEach(() => region.intercept())
after(() => region?.close())

const database = (id: string) => ({ kind: 'database' as const, project: 'harbour', database: id })
const phase = (operation: Operation) => operation.status?.phase
const pathOfDatabase = (id: string) => pathOf(kinds.CrateDB, 'project-harbour', id)
const statements = (id: string) => region.standIns.database.state('project-harbour', id).statements.map(({ stmt }) => stmt)
const released = 'RESET GLOBAL cluster.routing.allocation.enable'

async function created(id: string, count = 1): Promise<Operation> {
  const nodes = { count, cpu: 0.5, memory: '1Gi', heapRatio: 0.25, disk: { count: 1, size: '8Gi', storageClass: 'crate-premium' } }
  const operation = await region.ended(await region.putDatabase('harbour', { id, nodes }))
  assert.equal(phase(operation), 'Succeeded', JSON.stringify(operation.status))
  return operation
}

// One after the other: each has the requests of the whole acting half in its hand.
describe('executor, when something comes in between', () => {
  test('tries an upgrade again that an earlier one, rolled back, says nothing of', async () => {
    const before = await created('again')
    const upgrade = () => region.accept({ action: 'put', target: database('again'), wanted: changed(before, { version: '5.10.2' }) })
    region.standIns.operator.faults.set('again', { rollBackUpgrade: 'node data-hot-0 did not come back' })
    assert.equal((await region.ended(await upgrade())).status?.reason, 'UpgradeRolledBack')
    region.standIns.operator.faults.clear('again')
    let conflicts = 1
    region.intercept(async ({ method, path }, send) => {
      if (method === 'PATCH' && path === pathOfDatabase('again') && conflicts-- > 0) throw new Problem('conflict', 'the health was written')
      return send()
    })
    const operation = await region.ended(await upgrade())
    assert.equal(phase(operation), 'Succeeded', JSON.stringify(operation.status))
  })

  test('waits for the end of a run that somebody else began between the note of a step and its write', async () => {
    const before = await created('edited')
    let edits = 1
    region.intercept(async ({ method, path }, send) => {
      if (method === 'PATCH' && path === pathOfDatabase('edited') && edits-- > 0) {
        const body = { spec: { cluster: { allowedCIDRs: ['10.99.0.0/16'] } } }
        await region.admin.request({ method: 'PATCH', path, contentType: 'application/merge-patch+json', body })
      }
      return send()
    })
    const { nodes } = changed(before, {})
    const wanted = changed(before, { nodes: { ...nodes, count: 2 } })
    const operation = await region.ended(await region.accept({ action: 'put', target: database('edited'), wanted }))
    assert.equal(phase(operation), 'Succeeded', JSON.stringify(operation.status))
    const { spec, status } = await region.cratedb('harbour', 'edited')
    assert.deepEqual([spec.cluster.allowedCIDRs, spec.nodes.data[0].replicas], [['10.20.0.0/16'], 2])
    assert.equal(status['cluster_update/scale'].success, true)
  })

  test('a restart that is cancelled or runs out of time lets go of the shard allocation', async () => {
    for (const how of ['cancelled', 'late']) {
      await created(how, 3)
      region.intercept(async ({ method, path }, send) => {
        if (method === 'DELETE' && path.includes('/pods/')) throw new Problem('cluster-unreachable', 'no answer')
        return send()
      })
      const operation = await region.accept({ action: 'restart', target: database(how), timeoutSeconds: 600 })
      await region.whenOperation(operation, ({ status }) => status?.step?.note?.current !== undefined)
      if (how === 'cancelled') await region.journal.cancel(operation.metadata.name, 'somebody')
      else region.pass(3_600_000)
      const ended = await region.ended(operation)
      region.intercept()
      assert.equal(phase(ended), how === 'late' ? 'Failed' : 'Cancelled')
      assert.equal(statements(how).at(-1), released)
    }
  })

  test('says what is left to do where the database cannot be told that the allocation is free again', async () => {
    await created('mute', 1)
    region.intercept(async ({ method, path }, send) => {
      if (method === 'DELETE' && path.includes('/pods/')) throw new Problem('cluster-unreachable', 'no answer')
      return send()
    })
    const operation = await region.accept({ action: 'restart', target: database('mute') })
    await region.whenOperation(operation, ({ status }) => status?.step?.note?.current !== undefined)
    region.intercept(async ({ path }, send) => {
      if (path.endsWith('/secrets/user-system-mute')) throw new Problem('database-unreachable', 'no password')
      return send()
    })
    await region.journal.cancel(operation.metadata.name, 'somebody')
    const ended = await region.ended(operation)
    assert.equal(phase(ended), 'Cancelled')
    assert.match(ended.status?.action ?? '', /RESET GLOBAL/)
  })

  test('a leader that was succeeded while it waited tells a database nothing more', async () => {
    await created('succeeded', 1)
    let deposed = false
    region.intercept(async ({ method, path }, send) => {
      const answer = await send()
      const isBeforeHold = method === 'PUT' && path.endsWith('/status') && JSON.stringify(answer).includes('"holding":true')
      if (isBeforeHold && !deposed) {
        deposed = true
        region.lead(false)
      }
      return answer
    })
    const operation = await region.accept({ action: 'restart', target: database('succeeded') })
    await region.whenOperation(operation, ({ status }) => status?.step?.note?.holding === true)
    await pause(100) // time in which it must not happen
    assert.ok(!statements('succeeded').some((statement) => statement.startsWith('SET GLOBAL')))
    region.intercept()
    region.lead(true)
    assert.equal(phase(await region.ended(operation)), 'Succeeded')
  })

  test('a conflict that stays is met ever less often, and is told', async () => {
    await created('stubborn')
    let attempts = 0
    region.intercept(async ({ method, path }, send) => {
      if (method !== 'PATCH' || path !== pathOfDatabase('stubborn')) return send()
      attempts++
      throw new Problem('conflict', 'the namespace is being terminated')
    })
    const wanted = changed(await created('like-it'), { id: 'stubborn', allowedCIDRs: ['10.50.0.0/16'] })
    const operation = await region.accept({ action: 'put', target: database('stubborn'), wanted })
    const told = await region.whenOperation(operation, ({ status }) => status?.reason === 'Conflict')
    assert.match(told.status?.message ?? '', /is being terminated/)
    await pause(1_000)
    assert.ok(attempts < 20, `${attempts} attempts`)
    await region.journal.cancel(operation.metadata.name, 'somebody')
    await region.ended(operation)
  })

  test('a project that cannot become ready yields to what is asked for next', async () => {
    const target = { kind: 'project' as const, project: 'mended' }
    const wanted = projectSpec.parse({ id: 'mended', imagePullSecrets: ['nowhere'] })
    const stuck = await region.accept({ action: 'put', target, wanted })
    await region.whenOperation(stuck, ({ status }) => status?.phase === 'Waiting' && status.step !== undefined)
    const mending = await region.accept({ action: 'put', target, wanted: projectSpec.parse({ id: 'mended' }) })
    assert.equal(phase(await region.ended(stuck)), 'Superseded')
    assert.equal(phase(await region.ended(mending)), 'Succeeded')
  })

  test('a database waits for its project though another operation has taken over the making of that', async () => {
    const target = { kind: 'project' as const, project: 'slow' }
    region.intercept(async ({ method, path }, send) => {
      if (method === 'PATCH' && path === '/api/v1/namespaces/project-slow') throw new Problem('cluster-unreachable', 'not yet')
      return send()
    })
    const first = await region.putProject('slow')
    await region.whenOperation(first, ({ status }) => status?.step !== undefined)
    const made = await region.putDatabase('slow', { id: 'patient' })
    const second = await region.accept({ action: 'put', target, wanted: projectSpec.parse({ id: 'slow', displayName: 'Slow' }) })
    assert.equal(phase(await region.ended(first)), 'Superseded')
    await region.whenOperation(second, ({ status }) => status?.phase === 'Waiting')
    region.intercept()
    const { status } = await region.ended(made)
    assert.equal(status?.phase, 'Succeeded', JSON.stringify(status))
  })

  test('deletes a database whose volume is gone already', async () => {
    await created('volumeless')
    region.intercept(async ({ method, path }, send) => {
      if (method === 'PATCH' && path.includes('/persistentvolumes/')) throw new Problem('not-found', 'no such volume')
      return send()
    })
    const operation = await region.ended(await region.accept({ action: 'delete', target: database('volumeless') }))
    assert.equal(phase(operation), 'Succeeded', JSON.stringify(operation.status))
  })
})
