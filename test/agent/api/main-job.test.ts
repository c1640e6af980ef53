import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { createOperatorCache } from '../../../agent/region/operator.ts'
import { systemClock } from '../../../shared/clock.ts'
import { type KubernetesObject, kinds, pathOf } from '../../../shared/kubernetes/objects.ts'
import { createLog } from '../../../shared/log.ts'
import { type ActingRegion, smallDatabase, startActingRegion } from '../operations/acting-region.ts'
import { type Api, createApiOver, operatorAt } from './region.ts'

let region: ActingRegion
let api: Api
let operator: ReturnType<typeof createOperatorCache>
const path = '/v1/projects/harbour/databases/tidal-gauge'
const wait = { prefer: 'wait=90' }

before(async () => {
  region = await startActingRegion()
  const log = createLog({ level: 'silent', name: 'test' })
  operator = createOperatorCache(
    { namespace: operatorAt.namespace, name: operatorAt.deployment },
    { cluster: region.admin, clock: systemClock, log },
  )
  await operator.start(new AbortController().signal)
  const { caches, journal, admin: cluster } = region
  api = createApiOver({ cluster, caches, journal, obstacles: { of: async () => [] } }, operator)
})
after(async () => {
  await operator?.stop(0)
  await region?.close()
})

const cratedb = () => region.cratedb('harbour', 'tidal-gauge')
const passwordOf = async () => {
  const secret = await region.admin.request<KubernetesObject>({
    method: 'GET',
    path: pathOf(kinds.Secret, 'project-harbour', 'user-password-tidal-gauge-0'),
  })
  return Buffer.from(secret.data.password, 'base64').toString()
}

test('the main job: a project and a database are asked for, changed, and taken away again', async (t) => {
  await t.test('a project becomes a namespace', async () => {
    const put = await api.call('PUT', '/v1/projects/harbour', {
      body: { displayName: 'Harbour authority', quota: { databases: 2 } },
      headers: wait,
    })
    assert.equal(put.status, 200, put.text)
    assert.equal(put.body.phase, 'Succeeded')
    assert.equal((await api.call('GET', '/v1/projects/harbour')).body.status.phase, 'Ready')
    await region.admin.request({ method: 'GET', path: pathOf(kinds.Namespace, undefined, 'project-harbour') })
  })

  await t.test('a database is made, with the password that was given back', async () => {
    const body = { ...smallDatabase({ id: 'tidal-gauge' }), users: [{ name: 'harbourmaster' }] }
    const put = await api.call('PUT', path, { body, headers: wait })
    assert.equal(put.status, 200, put.text)
    assert.equal(await passwordOf(), put.body.credentials[0].password)
    assert.deepEqual(
      put.body.done.map(({ name }: { name: string }) => name),
      ['create'],
    )
    assert.equal((await cratedb()).spec.nodes.data[0].replicas, 1)
    assert.equal((await api.call('PUT', path, { body })).status, 200, 'the same again is nothing to do')
  })

  await t.test('two kinds of change are made one after the other, and the operation tells which of how many', async () => {
    const steps = new Set<string>()
    const source = api.resources.events.find(({ kind }) => kind === 'operation')
    assert.ok(source)
    const unsubscribe = source.subscribe(({ show }) => {
      const { step } = JSON.parse(String(show?.()))
      if (step) steps.add(`${step.name} ${step.number} of ${step.of}`)
    })
    const patched = await api.call('PATCH', path, { body: { nodes: { count: 2 }, version: '5.10.2' }, headers: wait })
    unsubscribe()
    assert.equal(patched.status, 200, patched.text)
    assert.deepEqual([...steps], ['scale 1 of 2', 'upgrade 2 of 2'])
    const { spec } = await cratedb()
    assert.deepEqual([spec.nodes.data[0].replicas, spec.cluster.version], [2, '5.10.2'])
  })

  await t.test('its password is rotated', async () => {
    const rotated = await api.call('POST', `${path}/actions/rotate-password`, { body: { user: 'harbourmaster' }, headers: wait })
    assert.equal(rotated.status, 200, rotated.text)
    assert.equal(await passwordOf(), rotated.body.credentials[0].password)
  })

  await t.test('it is suspended and resumed with the nodes that it had', async () => {
    const suspended = await api.call('POST', `${path}/actions/suspend`, { headers: wait })
    assert.equal(suspended.status, 200, suspended.text)
    const shown = (await api.call('GET', path)).body
    assert.deepEqual([shown.suspended, shown.nodes.count, shown.status.phase], [true, 2, 'Suspended'])
    assert.equal((await api.call('POST', `${path}/actions/suspend`)).status, 200, 'nothing to do')
    const resumed = await api.call('POST', `${path}/actions/resume`, { body: {}, headers: wait })
    assert.equal(resumed.status, 200, resumed.text)
    assert.equal((await cratedb()).spec.nodes.data[0].replicas, 2)
  })

  await t.test('events say so exactly when a read would answer something else', async () => {
    const source = api.resources.events.find(({ kind }) => kind === 'database')
    assert.ok(source)
    const shown: string[] = []
    const unsubscribe = source.subscribe(({ type, show }) => {
      const { spec: _, ...rest } = JSON.parse(String(show?.()))
      shown.push(`${type} ${rest.id} ${rest.status.phase} ${rest.status.etag}`)
    })
    const patched = await api.call('PATCH', path, { body: { retainVolumes: false }, headers: wait })
    assert.equal(patched.status, 200, patched.text)
    unsubscribe()
    assert.ok(
      shown.every((line) => line.startsWith('changed tidal-gauge ')),
      shown.join('\n'),
    )
    assert.ok(
      shown.some((line) => line.includes(' Updating ')),
      shown.join('\n'),
    )
    assert.equal(new Set(shown).size, shown.length, `the same was told twice: ${shown.join('\n')}`)
  })

  await t.test('the project goes with its database when that is said', async () => {
    const refused = await api.call('DELETE', '/v1/projects/harbour')
    assert.equal(refused.body.type, 'https://skerry.dev/problems/not-empty')
    const deleted = await api.call('DELETE', '/v1/projects/harbour?cascade=true', { headers: wait })
    assert.equal(deleted.status, 200, deleted.text)
    assert.equal((await api.call('GET', '/v1/projects/harbour')).status, 404)
    assert.equal((await api.call('GET', path)).status, 404)
  })
})
