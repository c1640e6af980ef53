import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createSecureServer, type Http2ServerRequest, type ServerHttp2Session } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { type TestContext, test } from 'node:test'
import { deflateRawSync, gzipSync } from 'node:zlib'
import { FollowedModules } from '../../../monitor/probe/index.ts'
import { systemClock } from '../../../shared/clock.ts'
import { createCertificate } from '../../peers/certificates.ts'
import { listen, serve } from '../checks/servers.ts'
import { startEndpoint } from '../metrics/endpoint-in-hand.ts'
import { readPage } from '../metrics/reading.ts'
import { logLines } from '../prober/scene.ts'

/** Probes of one module `x`, written as in a file of blackbox_exporter's. */
async function withModule(t: TestContext, http: string, timeout = '5s') {
  const folder = mkdtempSync(path.join(tmpdir(), 'skerry-http-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const file = path.join(folder, 'blackbox.yml')
  writeFileSync(path.join(folder, 'secret'), ' from file \n')
  writeFileSync(file, `modules: { x: { prober: http, timeout: ${timeout}, http: ${http.replaceAll('FOLDER', folder)} } }`)
  const modules = new FollowedModules(file, { clock: systemClock, log: logLines().log })
  await modules.start()
  t.after(() => modules.stop())
  const module = modules.modules().get('x')
  assert.ok(module !== undefined && 'module' in module, JSON.stringify(module))
  const allow = [{ addresses: ['127.0.0.0/8'], ports: ['1-65535'] }]
  const { url } = await startEndpoint(t, { probe: { allow } }, { modules })
  return async (target: string) => {
    const response = await fetch(`${url}/probe?${new URLSearchParams({ module: 'x', target })}`)
    const text = await response.text()
    assert.equal(response.status, 200, text)
    return readPage(text)
  }
}

/** A server that keeps what it is sent. */
async function listening(t: TestContext) {
  const heard: { headers: Record<string, unknown>; body: string; method: string | undefined }[] = []
  const target = await serve(t, {
    '/': ({ headers, method }: { headers: Record<string, unknown>; method?: string }, body: string) => {
      heard.push({ headers, body, method })
      return { body: 'hello' }
    },
  })
  return { target, heard }
}

const credentials = [
  ['{ basic_auth: { username: u, password: 0123 } }', `Basic ${btoa('u:0123')}`],
  ['{ basic_auth: { username_file: FOLDER/secret, password_file: FOLDER/secret } }', `Basic ${btoa('from file:from file')}`],
  ['{ bearer_token: s3cret }', 'Bearer s3cret'],
  ['{ bearer_token_file: FOLDER/secret }', 'Bearer from file'],
  ['{ authorization: { credentials: s3cret } }', 'Bearer s3cret'],
  ['{ authorization: { type: Token, credentials_file: FOLDER/secret } }', 'Token from file'],
] as const
for (const [http, expected] of credentials)
  test(`the module ${http} sends its credentials`, async (t) => {
    const { target, heard } = await listening(t)
    const run = await withModule(t, http)
    assert.equal((await run(target)).value('probe_success'), 1)
    assert.equal(heard[0]?.headers.authorization, expected)
  })

test('http_headers sends values, secrets and files', async (t) => {
  const { target, heard } = await listening(t)
  const run = await withModule(t, '{ http_headers: { X-Key: { values: [a], secrets: [b], files: [FOLDER/secret] } } }')
  await run(target)
  assert.equal(heard[0]?.headers['x-key'], 'a, b, from file')
})

test('body_file sends the file as it is, and a file that is not there fails the probe', async (t) => {
  const { target, heard } = await listening(t)
  const run = await withModule(t, '{ method: POST, body_file: FOLDER/secret }')
  assert.equal((await run(target)).value('probe_success'), 1)
  assert.deepEqual([heard[0]?.method, heard[0]?.body], ['POST', ' from file \n'])
  const missing = await withModule(t, '{ method: POST, body_file: FOLDER/nothing }')
  assert.equal((await missing(target)).value('probe_success'), 0)
})

const hello = 'hello '.repeat(100)
const bodies = [
  { http: '{ compression: gzip, fail_if_body_not_matches_regexp: ["(hello ){100}"] }', body: gzipSync(hello), success: 1, length: 600 },
  { http: '{ compression: deflate }', body: deflateRawSync(hello), success: 1, length: 600 },
  { http: '{ compression: gzip }', body: Buffer.from(hello), success: 0, length: 0 },
  { http: '{ compression: identity }', body: Buffer.from(hello), success: 1, length: 600 },
  { http: '{ body_size_limit: 1KB }', body: Buffer.from(hello), success: 1, length: 600 },
  { http: '{ body_size_limit: 100B }', body: Buffer.from(hello), success: 0, length: 100 },
  { http: '{ body_size_limit: 100B, compression: gzip }', body: gzipSync(hello), success: 0, length: 100 },
  { http: '{}', body: Buffer.alloc(5 * 1024 * 1024, 'x'), success: 1, length: 5 * 1024 * 1024 },
  { http: '{ fail_if_body_matches_regexp: [y] }', body: Buffer.alloc(5 * 1024 * 1024, 'x'), success: 0, length: 5 * 1024 * 1024 },
]
for (const { http, body, success, length } of bodies)
  test(`the module ${http} ${success ? 'takes' : 'refuses'} a body of ${body.length} bytes`, async (t) => {
    const port = await listen(t, (socket) =>
      socket.once('data', () =>
        socket.end(Buffer.concat([Buffer.from(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n`), body])),
      ),
    )
    const found = await (await withModule(t, http))(`http://127.0.0.1:${port}`)
    assert.deepEqual([found.value('probe_success'), found.value('probe_http_uncompressed_body_length')], [success, length])
  })

test('a body that ends early fails the probe, which tells the status all the same', async (t) => {
  const port = await listen(t, (socket) => socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello')))
  const found = await (await withModule(t, '{}'))(`http://127.0.0.1:${port}`)
  assert.deepEqual([found.value('probe_success'), found.value('probe_http_status_code')], [0, 200])
})

test('no_follow_redirects takes precedence over follow_redirects', async (t) => {
  const port = await listen(t, (socket) =>
    socket.once('data', () => socket.end('HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 3\r\n\r\nhey')),
  )
  const run = await withModule(t, '{ no_follow_redirects: true, follow_redirects: true, valid_status_codes: [302] }')
  const found = await run(`http://127.0.0.1:${port}`)
  assert.deepEqual([found.value('probe_success'), found.value('probe_http_redirects')], [1, 1])
})

const conditions = [
  ['{ fail_if_body_json_not_matches_cel: "body.state == \'ok\' && body.count > 1" }', 1, 0],
  ['{ fail_if_body_json_not_matches_cel: "body.state == \'no\'" }', 0, 1],
  ['{ fail_if_body_json_matches_cel: "body.items.exists(i, i == 3)" }', 0, 1],
  ['{ fail_if_body_json_matches_cel: "body.items.exists(i, i == 9)" }', 1, 0],
  ['{ fail_if_body_json_not_matches_cel: "body.nothing == 1" }', 0, 1],
  ['{ fail_if_body_json_not_matches_cel: "body.count" }', 0, 1],
] as const
for (const [http, success, byCel] of conditions)
  test(`the module ${http} ${success ? 'takes' : 'refuses'} a JSON document`, async (t) => {
    const target = await serve(t, { '/': '{"state":"ok","count":2,"items":[1,2,3]}' })
    const found = await (await withModule(t, http))(target)
    assert.deepEqual([found.value('probe_success'), found.value('probe_failed_due_to_cel')], [success, byCel])
  })

/** A server over TLS that speaks HTTP/2, and HTTP/1.1 with those that do not. */
async function secureServer(t: TestContext) {
  const { ca, cert, key } = await createCertificate()
  const server = createSecureServer({ cert, key, allowHTTP1: true }, (request, response) => {
    response.setHeader('x-seen', String(request.headers[':authority'] ?? request.headers.host))
    response.end(`hello over ${request.httpVersion}`)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close())
  return { ca, target: `https://127.0.0.1:${(server.address() as AddressInfo).port}/` }
}

const versions = [
  ['{ valid_http_versions: ["HTTP/2.0"], fail_if_body_not_matches_regexp: ["over 2"], tls_config: { insecure_skip_verify: true } }', 1, 2],
  ['{ valid_http_versions: ["HTTP/1.1"], tls_config: { insecure_skip_verify: true } }', 0, 2],
  ['{ valid_http_versions: ["HTTP/1.1", "HTTP/2.0"], enable_http2: no, tls_config: { insecure_skip_verify: true } }', 1, 1.1],
] as const
for (const [http, success, version] of versions)
  test(`the module ${http} speaks HTTP/${version}`, async (t) => {
    const { target } = await secureServer(t)
    const found = await (await withModule(t, http))(target)
    assert.deepEqual(
      [found.value('probe_success'), found.value('probe_http_version'), found.value('probe_http_ssl')],
      [success, version, 1],
    )
    assert.equal(found.all('probe_ssl_last_chain_info')[0]?.labels.subject, 'CN=localhost')
  })

test('an inline CA is trusted, and a newest version of TLS is kept to', async (t) => {
  const { ca, target } = await secureServer(t)
  const tls = `ca: ${JSON.stringify(ca)}, max_version: TLS12`
  const found = await (await withModule(t, `{ tls_config: { ${tls} } }`))(target)
  assert.deepEqual([found.value('probe_success'), found.value('probe_tls_version_info', { version: 'TLS 1.2' })], [1, 1])
})

/** A server over TLS that answers requests of HTTP/2 with what is given. */
async function http2Server(t: TestContext, answer: (request: Http2ServerRequest) => void): Promise<string> {
  const { cert, key } = await createCertificate()
  const server = createSecureServer({ cert, key }, answer)
  const sessions = new Set<ServerHttp2Session>()
  server.on('session', (session) => sessions.add(session))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    for (const session of sessions) session.destroy()
    server.close()
  })
  return `https://127.0.0.1:${(server.address() as AddressInfo).port}/`
}

test('an HTTP/2 server that ends the connection, or says nothing, fails the probe', async (t) => {
  const rude = await http2Server(t, ({ stream }) => stream.session?.destroy())
  const silent = await http2Server(t, () => {})
  const run = await withModule(t, '{ tls_config: { insecure_skip_verify: true } }', '200ms')
  for (const target of [rude, silent]) assert.equal((await run(target)).value('probe_success'), 0)
})
