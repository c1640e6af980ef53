import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Validator } from '@seriousme/openapi-schema-validator'
import { createTestApi } from './harbour.ts'

test('the document is valid OpenAPI 3.1 and has every route with its scope, parameters and answers', async () => {
  const { app, routes } = createTestApi()
  const response = await app.request('/openapi.json')
  // biome-ignore lint/suspicious/noExplicitAny: a test looks into what it got
  const document = (await response.json()) as any
  const { valid, errors } = await new Validator().validate(structuredClone(document))
  assert.ok(valid, JSON.stringify(errors))
  assert.equal(document.openapi, '3.1.0')
  for (const route of routes) {
    const operation = document.paths[`/v1${route.path}`][route.method.toLowerCase()]
    assert.equal(operation.operationId, route.operationId)
    assert.equal(operation['x-skerry-scope'], route.scope)
    for (const status of [...Object.keys(route.responses()), '401', '403', '429']) assert.ok(operation.responses[status], status)
    const inPath = (operation.parameters ?? []).filter((parameter: { in: string }) => parameter.in === 'path')
    assert.deepEqual(
      inPath.map(({ name }: { name: string }) => `{${name}}`),
      route.path.match(/\{\w+\}/g) ?? [],
    )
  }
  const list = document.paths['/v1/harbours/{harbour}/boats'].get
  const limit = list.parameters.find(({ name }: { name: string }) => name === 'limit')
  assert.deepEqual([limit.schema.type, limit.schema.minimum, limit.schema.maximum, limit.schema.default], ['integer', 1, 1000, 500])
  assert.deepEqual(Object.keys(document.paths['/v1/harbours/{harbour}/boats/{boat}'].patch.requestBody.content), [
    'application/merge-patch+json',
  ])
  assert.equal(document.paths['/v1/harbours/{harbour}/actions/close'].post.requestBody.required, false)
})

test('the document is made once and answered 304 to those who have it', async () => {
  const { app } = createTestApi()
  const first = await app.request('/openapi.json')
  const tag = first.headers.get('etag') as string
  assert.equal((await app.request('/openapi.json', { headers: { 'if-none-match': tag } })).status, 304)
})

test('the page shows every route, loads nothing and may run nothing', async () => {
  const { app, routes } = createTestApi()
  const response = await app.request('/docs')
  const html = await response.text()
  assert.equal(response.headers.get('content-type'), 'text/html; charset=utf-8')
  assert.match(response.headers.get('content-security-policy') ?? '', /^default-src 'none'; style-src 'sha256-[A-Za-z0-9+/]+='/)
  assert.doesNotMatch(html, /<script|<img|<link|\ssrc=|url\(|style="|https?:\/\/(?!skerry)/)
  for (const { path, summary } of routes) {
    assert.ok(html.includes(`<code>/v1${path}</code>`), path)
    assert.ok(html.includes(summary), summary)
  }
})

test('text in the routes cannot become markup', async () => {
  const { routes } = createTestApi()
  const [first] = routes
  assert.ok(first)
  const { app } = createTestApi({ routes: [{ ...first, summary: '<b onload="x">&', description: '`<i>`' }] })
  const html = await (await app.request('/docs')).text()
  assert.ok(html.includes('&lt;b onload=&quot;x&quot;&gt;&amp;'))
  assert.ok(html.includes('<code>&lt;i&gt;</code>'))
})
