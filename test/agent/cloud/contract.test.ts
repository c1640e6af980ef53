import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { Validator } from '@seriousme/openapi-schema-validator'
import { type Endpoint, endpoints } from '../../../agent/cloud/contract/endpoints.ts'
import { failures } from '../../../agent/cloud/contract/failures.ts'
import { claim, renewal } from '../../../agent/cloud/contract/registration.ts'
import type { Sent } from '../../../agent/cloud/transport.ts'
import { titledPoints } from '../../cloud/conformance/page.ts'
import { points } from '../../cloud/points.ts'
import { tokenWith, World } from '../../cloud/world.ts'
import { examplesIn, validatorOf } from '../api/conforms.ts'
import { cloudApi, cloudApiFile, yourCloudPage } from './cloud-api.ts'

type Operation = { operationId: string; responses: Record<string, unknown>; requestBody?: { content: object } }
const document = cloudApi()
const page = readFileSync('docs/your-cloud.md', 'utf8')

test('docs/cloud-api.yaml and the table of docs/your-cloud.md are made from the contract', async () => {
  const { path, text } = await yourCloudPage()
  assert.equal(readFileSync(cloudApiFile.path, 'utf8'), cloudApiFile.text(), 'rewrite it with: npm run render')
  assert.equal(readFileSync(path, 'utf8'), text, 'rewrite it with: npm run render')
})

test('the contract is valid OpenAPI 3.1 and has every request with its body, answers and refusals', async () => {
  const { valid, errors } = await new Validator().validate(JSON.parse(JSON.stringify(document)))
  assert.ok(valid, JSON.stringify(errors))
  for (const endpoint of Object.values<Endpoint>(endpoints)) {
    const verbs = document.paths?.[endpoint.path] as Record<string, Operation> | undefined
    const operation = verbs?.[endpoint.method.toLowerCase()]
    assert.equal(operation?.operationId, endpoint.operationId)
    assert.deepEqual(Object.keys(operation?.requestBody?.content ?? {}), endpoint.request ? [endpoint.request.mediaType] : [])
    const codes = [...Object.keys(endpoint.answers), ...endpoint.failures.map((name) => `${failures[name].status}`)]
    for (const code of codes) assert.ok(operation?.responses[code], `${endpoint.operationId} ${code}`)
  }
})

test('the status of the contract has the document of the region that the API of the agent shows', () => {
  const { Status, Region } = (document.components?.schemas ?? {}) as Record<string, { properties: Record<string, { $ref?: string }> }>
  assert.equal(Status?.properties.region?.$ref, '#/components/schemas/Region')
  assert.ok(Region?.properties.hosts)
})

test('every example in the contract is one that its schema permits', () => {
  const ajv = validatorOf(document)
  const found: string[] = []
  let count = 0
  for (const { schema, example } of examplesIn(document)) {
    count++
    if (ajv.validate(`openapi#${schema.split('/').map(encodeURIComponent).join('/')}`, example)) continue
    found.push(...(ajv.errors ?? []).map(({ instancePath, message }) => `${schema}: ${instancePath} ${message}`))
  }
  assert.deepEqual(found, [])
  assert.ok(count > 40, `${count} examples`)
})

test('docs/your-cloud.md has every request and the titled points that a cloud is tried for', () => {
  for (const { method, path } of Object.values<Endpoint>(endpoints)) assert.ok(page.includes(`\`${method} ${path}\``), `${method} ${path}`)
  assert.deepEqual(
    titledPoints(page).map(({ title }) => title),
    points,
  )
})

test('a region sends what the contract says, and no field that it does not name', async () => {
  const world = new World()
  const sent: Sent[] = []
  world.onTheWay = (request, go) => {
    sent.push(request)
    return go()
  }
  await world.until(world.link(), 'Unpaired')
  world.give(tokenWith({ id: 'abc' }))
  const link = world.link()
  await world.until(link, 'Ready')
  await world.clock.advance(2_500_000)
  await world.until(link, 'Ready')
  const bodies = (end: string) => sent.filter(({ path }) => path.endsWith(end)).map(({ body }) => JSON.parse(String(body)))
  assert.equal(bodies('/v1/regions').length, 2)
  for (const body of bodies('/v1/regions')) assert.deepEqual(claim.parse(body), body)
  assert.equal(bodies('/credential').length, 1)
  for (const body of bodies('/credential')) assert.deepEqual(renewal.parse(body), body)
})
