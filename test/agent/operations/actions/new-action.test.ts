import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { createMetrics } from '../../../../agent/admin/metrics.ts'
import { actions } from '../../../../agent/operations/actions/index.ts'
import { systemClock } from '../../../../shared/clock.ts'
import { pageTypeFor, renderPage } from '../../../../shared/prometheus.ts'
import { smallDatabase } from '../acting-region.ts'
import { paint } from './paint.ts'
import { type ActionScene, startActionScene } from './scene.ts'

/*
 * One file and one line in the table are a whole action: nothing else here knows of `paint`.
 */

let scene: ActionScene
const path = '/v1/projects/harbour/databases/gauge'
const wait = { prefer: 'wait=60' }

before(async () => {
  scene = await startActionScene({ ...actions, database: [...actions.database, paint] })
  const { call } = scene.api
  assert.equal((await call('PUT', '/v1/projects/harbour', { body: {}, headers: wait })).status, 200)
  assert.equal((await call('PUT', path, { body: smallDatabase({ id: 'gauge' }), headers: wait })).status, 200)
})
after(() => scene?.close())

const body = { colour: 'green' }

test('its route takes what its schemas say, and refuses the rest in words', async () => {
  const { call } = scene.api
  const refused = await call('POST', `${path}/actions/paint?coats=two`, { body: { colour: 'blue' } })
  assert.equal(refused.status, 422)
  assert.deepEqual(
    refused.body.faults.map((fault: { path?: string; in?: string; name?: string }) => fault.path ?? `${fault.in}:${fault.name}`).sort(),
    ['/colour', 'query:coats'],
  )
  assert.equal((await scene.api.as(['region:read', 'projects:write'])('POST', `${path}/actions/paint`, { body })).status, 403)
  assert.equal((await call('POST', '/v1/projects/harbour/databases/other/actions/paint', { body })).status, 404)
  assert.equal((await call('POST', '/v1/projects/harbour/actions/paint', { body })).status, 404, 'it is no action of a project')
})

test('a dry run shows its step, with its consequences and what would differ, and changes nothing', async () => {
  const { status, body: plan, text } = await scene.api.call('POST', `${path}/actions/paint?dryRun=true&coats=2`, { body })
  assert.equal(status, 200, text)
  const [step] = plan.steps
  assert.deepEqual([step.name, step.consequences], ['paint', ['It will be green, in 2 coats.']])
  assert.deepEqual(step.objects[0].diff, [{ path: '/metadata/annotations/example.com~1colour', to: 'green' }])
})

test('it is accepted, shown meanwhile, carried out, and told of everywhere', async () => {
  const { region, api } = scene
  region.lead(false)
  const accepted = await api.call('POST', `${path}/actions/paint`, { body })
  assert.equal(accepted.status, 202, accepted.text)
  const { action, planned, parameters, id } = accepted.body
  assert.deepEqual([action, planned, parameters], ['paint', ['paint'], body])
  const meanwhile = (await api.call('GET', path)).body.status
  assert.deepEqual([meanwhile.phase, meanwhile.operation.action, meanwhile.operation.planned], ['Painting', 'paint', ['paint']])
  assert.equal((await scene.columnsOf(id)).Action, 'paint')
  region.lead(true)

  const operation = await region.journal.whenEnded(id, 60_000, new AbortController().signal)
  assert.equal(operation.status?.phase, 'Succeeded', JSON.stringify(operation.status))
  assert.equal((await region.cratedb('harbour', 'gauge')).metadata.annotations?.['example.com/colour'], 'green')
  const shown = (await api.call('GET', `/v1/operations/${id}`)).body
  assert.deepEqual([shown.message, shown.done[0].name], ['Painted.', 'paint'])

  const metrics = createMetrics({ version: '0.0.0', clock: systemClock })
  metrics.observeEnded(operation)
  assert.match(
    [...renderPage(await metrics.families(), pageTypeFor())].join(''),
    /skerry_agent_operation_duration_seconds_count\{action="paint",outcome="Succeeded"\} 1/,
  )
})

test('the OpenAPI document has its route, its name and its phase', () => {
  // biome-ignore lint/suspicious/noExplicitAny: a test looks into what it got
  const document = scene.api.conformance.document as any
  const route = document.paths['/v1/projects/{project}/databases/{database}/actions/paint'].post
  assert.deepEqual([route.operationId, route.summary, route['x-skerry-scope']], ['paintDatabase', 'Paints a database', 'databases:write'])
  assert.deepEqual(route.requestBody.content['application/json'].example, { colour: 'red' })
  const { Operation, Database } = document.components.schemas
  assert.ok(Operation.properties.action.anyOf[0].enum.includes('paint'))
  assert.ok(JSON.stringify(Database.properties.status).includes('"Painting"'))
})
