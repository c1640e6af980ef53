import assert from 'node:assert/strict'
import { hash } from 'node:crypto'
import { test } from 'node:test'
import { Script } from 'node:vm'
import { Validator } from '@seriousme/openapi-schema-validator'
import { publish } from '../../../agent/api/openapi/index.ts'
import { problems } from '../../../shared/errors.ts'
import { examplesIn, validatorOf } from './conforms.ts'
import { createTestApi } from './harbour.ts'
import { startQuietRegion } from './region.ts'

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

test('every example is one that its schema permits, and every answer of success has one', async (t) => {
  const region = await startQuietRegion()
  t.after(() => region.close())
  const { document } = region.conformance
  const ajv = validatorOf(document)
  const found: string[] = []
  let count = 0
  for (const { schema, example } of examplesIn(document)) {
    count++
    if (ajv.validate(`openapi#${schema.split('/').map(encodeURIComponent).join('/')}`, example)) continue
    found.push(...(ajv.errors ?? []).map(({ instancePath, message }) => `${schema}: ${instancePath} ${message}`))
  }
  assert.deepEqual(found, [])
  assert.ok(count > 200, `${count} examples`)
  for (const [path, item] of Object.entries(document.paths ?? {}))
    for (const { responses } of Object.values(item as Record<string, { responses: Record<string, { content?: object }> }>))
      for (const [status, { content = {} }] of Object.entries(responses))
        for (const media of status.startsWith('2') ? Object.values(content) : []) {
          assert.ok('example' in media, `${path} ${status} has no example`)
          assert.doesNotMatch(JSON.stringify(media.example), /"text"/, `${path} ${status} has a field without an example`)
        }
})

test('the page shows every route, loads nothing, and runs nothing but its own script', async () => {
  const { app, routes } = createTestApi()
  const response = await app.request('/docs')
  const html = await response.text()
  assert.equal(response.headers.get('content-type'), 'text/html; charset=utf-8')
  const [, style = ''] = /<style>([^<]+)<\/style>/.exec(html) ?? []
  const [, script = ''] = /<script>([\s\S]+?)<\/script>/.exec(html) ?? []
  const hashOf = (text: string) => `'sha256-${hash('sha256', text, 'base64')}'`
  const policy = response.headers.get('content-security-policy') ?? ''
  assert.ok(policy.startsWith(`default-src 'none'; style-src ${hashOf(style)}; script-src ${hashOf(script)}; base-uri 'none';`), policy)
  assert.doesNotMatch(html, /<script .|<img|<link|\ssrc=|url\(|style="|\son\w+="|https?:\/\/(?!skerry|agent\.example)/)
  assert.doesNotThrow(() => new Script(script))
  for (const { path, summary, operationId } of routes) {
    assert.ok(html.includes(`<code>/v1${path}</code>`), path)
    assert.ok(html.includes(summary), summary)
    assert.ok(html.includes(`id="${operationId}"`) && html.includes(`href="#${operationId}"`), operationId)
  }
})

test('the page is in order for keyboards and screen readers: landmarks, headings, links that lead somewhere', async (t) => {
  const region = await startQuietRegion()
  t.after(() => region.close())
  const published = publish(region.resources.routes, '0.0.0')
  const html = published('/docs')?.body ?? ''
  assert.ok(html.length < 256 * 1024, `${html.length} characters`)
  assert.match(html, /<html lang="en">/)
  for (const landmark of [
    '<nav class="side" aria-label="Contents">',
    '<main id="content">',
    'role="search"',
    'class="skip" href="#content"',
  ])
    assert.ok(html.includes(landmark), landmark)
  const levels = [...html.matchAll(/<h([1-6])/g)].map(([, level]) => Number(level))
  assert.equal(levels.filter((level) => level === 1).length, 1)
  assert.doesNotMatch(html, /<table/, 'nested objects are nested lists')
  const ids = [...html.matchAll(/ id="([^"]+)"/g)].map(([, id]) => id)
  assert.equal(new Set(ids).size, ids.length, 'an id is given once')
  for (const [, target = ''] of html.matchAll(/ href="#([^"]+)"/g)) assert.ok(ids.includes(target), `#${target}`)
  for (const [, target = ''] of html.matchAll(/ href="(problems\/[^"]+)"/g)) assert.ok(published(`/${target}`), target)
  const requests = html.match(/<figcaption>Request<\/figcaption><pre tabindex="0">curl /g) ?? []
  assert.equal(requests.length, region.resources.routes.length)
  assert.equal((html.match(/<figcaption>Answer 20/g) ?? []).length, region.resources.routes.length)
})

test('each text of the page contrasts with its background, in the light and in the dark', async () => {
  const { app } = createTestApi()
  const html = await (await app.request('/docs')).text()
  const palettes = [...html.matchAll(/:root\{([^}]+)\}/g)].map(
    ([, text = '']) => new Map([...text.matchAll(/--(\w+):(#\w+)/g)].map(([, name, colour]) => [name, colour])),
  )
  assert.equal(palettes.length, 2)
  for (const palette of palettes)
    for (const back of ['back', 'panel'])
      for (const name of ['text', 'muted', 'link', 'get', 'post', 'put', 'patch', 'delete']) {
        const ratio = contrast(String(palette.get(name)), String(palette.get(back)))
        assert.ok(ratio >= 4.5, `${name} ${palette.get(name)} on ${palette.get(back)}: ${ratio.toFixed(2)}`)
      }
})

/** WCAG 2.2, "contrast ratio" and "relative luminance". */
function contrast(one: string, other: string): number {
  const luminance = (colour: string) => {
    const digits = colour.length === 4 ? [...colour.slice(1)].map((digit) => digit + digit) : (colour.slice(1).match(/../g) ?? [])
    const [red = 0, green = 0, blue = 0] = digits.map((pair) => {
      const share = Number.parseInt(pair, 16) / 255
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4
    })
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
  }
  const [dark = 0, light = 0] = [luminance(one), luminance(other)].sort((a, b) => a - b)
  return (light + 0.05) / (dark + 0.05)
}

test('the root leads to the page, for everybody', async () => {
  const { app } = createTestApi()
  const response = await app.request('/')
  assert.deepEqual([response.status, response.headers.get('location')], [302, 'docs'])
})

test('each problem names its page, which says what to do', async () => {
  const { app } = createTestApi()
  const refused = await app.request('/v1/nothing')
  const { type } = (await refused.json()) as { type: string }
  const [, help = ''] = /^<([^>]+)>; rel="help"$/.exec(refused.headers.get('link') ?? '') ?? []
  assert.equal(help, new URL(type).pathname, 'the path of the type is that of the page')
  const page = await app.request(help)
  assert.equal(page.status, 200)
  assert.match(await page.text(), /<h1>The resource does not exist<\/h1>[\s\S]*Check the name and the path/)
  for (const [kind, { title }] of Object.entries(problems)) {
    const html = await (await app.request(`/problems/${kind}`)).text()
    assert.ok(html.includes(`<h1>${title}</h1>`), kind)
  }
  const unknown = await app.request('/problems/constructor')
  assert.deepEqual([unknown.status, ((await unknown.json()) as { type: string }).type], [404, 'https://skerry.dev/problems/not-found'])
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
