import assert from 'node:assert/strict'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { type TestContext, test } from 'node:test'
import { judgeModule } from '../../../monitor/probe/modules/index.ts'
import { proxyFor } from '../../../monitor/probe/modules/proxy.ts'
import { createCertificate } from '../../peers/certificates.ts'
import { serve } from '../checks/servers.ts'
import { start } from './asking.ts'
import { startProxy } from './proxy-server.ts'

const everything = [{ hosts: ['*.example.com'], addresses: ['127.0.0.0/8'], ports: ['1-65535'] }]

type Http = Record<string, unknown>

async function withModule(t: TestContext, http: Http, allow: typeof everything = everything) {
  const { ask, run } = await start(t, { allow, modules: { x: { prober: 'http', timeout: '5s', http } } } as never)
  return {
    ask: (target: string, more = {}) => ask({ module: 'x', target, ...more }),
    run: (target: string) => run({ module: 'x', target }),
  }
}

async function httpsServer(t: TestContext): Promise<{ port: number; cert: string; key: string; ca: string }> {
  const { ca, cert, key } = await createCertificate()
  const server = createServer({ cert, key }, (_, response) => response.end('hello'))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close())
  return { port: (server.address() as AddressInfo).port, ca, cert, key }
}

test('a target without TLS is asked of the proxy by its whole URL, with the credentials of the proxy', async (t) => {
  const proxy = await startProxy(t, { credentials: true })
  const target = await serve(t, { '/': 'hello', '/?a=b': 'hello' })
  const { run, ask } = await withModule(t, { proxy_url: `http://probe:e%25mple@127.0.0.1:${proxy.port}` })
  assert.equal((await run(`${target}/?a=b`)).value('probe_success'), 1)
  assert.equal(proxy.asked[0]?.target, `${target}/?a=b`)
  const shown = await (await ask(target, { debug: 'true' })).text()
  assert.match(shown, /Using proxy/)
  assert.doesNotMatch(shown, /e%25mple|e%mple|cHJvYmU6ZSVtcGxl/)
})

for (const overTls of [false, true])
  test(`a target with TLS is reached through a tunnel to the address that was checked, by a proxy with${overTls ? '' : 'out'} TLS`, async (t) => {
    const { port, ...certificate } = await httpsServer(t)
    const proxy = await startProxy(t, { ...(overTls && { tls: certificate }) })
    const { run } = await withModule(t, {
      proxy_url: `http${overTls ? 's' : ''}://probe:x@127.0.0.1:${proxy.port}`,
      proxy_connect_header: { 'X-Site': ['harbour'] },
      tls_config: { insecure_skip_verify: true },
    })
    const found = await run(`https://127.0.0.1:${port}/`)
    assert.deepEqual([found.value('probe_success'), found.value('probe_http_ssl')], [1, 1])
    const [{ method, target, headers } = { method: '', target: '', headers: {} }] = proxy.asked
    assert.deepEqual([method, target, headers['x-site']], ['CONNECT', `127.0.0.1:${port}`, 'harbour'])
    assert.equal(headers['proxy-authorization'], `Basic ${btoa('probe:x')}`)
  })

test('with skip_resolve_phase_with_proxy only the proxy resolves the name, and there are no series about its address', async (t) => {
  const proxy = await startProxy(t)
  const target = new URL(await serve(t, { '/': () => ({ body: 'hello' }) }))
  const secure = await httpsServer(t)
  const { run } = await withModule(t, {
    proxy_url: `http://127.0.0.1:${proxy.port}`,
    skip_resolve_phase_with_proxy: true,
    tls_config: { insecure_skip_verify: true },
  })
  const found = await run(`http://site.example.com:${target.port}/`)
  assert.equal(found.value('probe_success'), 1)
  assert.equal(found.all('probe_ip_protocol').length, 0)
  assert.equal((await run(`https://site.example.com:${secure.port}/`)).value('probe_success'), 1)
  assert.deepEqual(
    proxy.asked.map((each) => each.target),
    [`http://site.example.com:${target.port}/`, `site.example.com:${secure.port}`],
  )
})

test('a proxy is no open door: the rules must allow the proxy, the target, the host that is asked for, and redirects', async (t) => {
  const proxy = await startProxy(t)
  const target = await serve(t, { '/': () => ({ status: 302, body: 'x', headers: { location: 'http://inside.example.net/' } }) })
  const http = { proxy_url: `http://127.0.0.1:${proxy.port}`, skip_resolve_phase_with_proxy: true }
  const { ask, run } = await withModule(t, http)
  for (const [refused, more] of [
    ['http://inside.example.net/'],
    ['http://10.0.0.1/'],
    ['http://169.254.169.254/'],
    ['http://0xa9fea9fe/'],
    [target, { hostname: 'inside.example.net' }],
    [target, { hostname: '169.254.169.254' }],
  ] as [string, object?][])
    assert.equal((await ask(refused, more)).status, 403, refused)
  assert.equal(proxy.asked.length, 0)
  const redirected = await run(target)
  assert.deepEqual([redirected.value('probe_success'), redirected.value('probe_http_redirects')], [0, 1])
  assert.equal(proxy.asked.length, 1)

  const any = [{ hosts: ['*'], addresses: ['127.0.0.0/8'], ports: ['1-65535'] }]
  const wide = await withModule(t, http, any)
  for (const name of ['localhost', 'a.localhost', 'metadata.google.internal.'])
    assert.equal((await wide.ask(`http://${name}/`)).status, 403, name)
  const narrow = await withModule(t, http, [
    { hosts: [], addresses: ['127.0.0.1'], ports: [`${new URL(target).port}-${new URL(target).port}`] },
  ])
  const answer = await narrow.ask(target)
  assert.equal(answer.status, 403)
  assert.match(await answer.text(), /The proxy of the module is not allowed/)
  assert.equal(proxy.asked.length, 1)
})

const refusals = {
  'asks for credentials': { credentials: true },
  'refuses the tunnel': { tunnel: 'HTTP/1.1 403 Forbidden\r\n\r\n' },
  'speaks for the target': { tunnel: 'HTTP/1.1 200 OK\r\n\r\nhello' },
  'speaks another protocol': { tunnel: 'SSH-2.0-hello\r\n' },
  'closes the connection': { tunnel: '' },
}
for (const [name, options] of Object.entries(refusals))
  test(`a proxy that ${name} fails the probe`, async (t) => {
    const proxy = await startProxy(t, options)
    const { run } = await withModule(t, { proxy_url: `http://127.0.0.1:${proxy.port}`, tls_config: { insecure_skip_verify: true } })
    const found = await run('https://127.0.0.1:9/')
    assert.deepEqual([found.value('probe_success'), found.value('probe_http_status_code')], [0, 0])
    assert.equal(proxy.asked.length, 1)
  })

test('no_proxy names targets that are reached without the proxy', async (t) => {
  const target = await serve(t, { '/': () => ({ body: 'hello' }) })
  // Nothing listens there.
  const { run } = await withModule(t, { proxy_url: 'http://127.0.0.1:9', no_proxy: 'example.com', skip_resolve_phase_with_proxy: true })
  assert.equal((await run(target)).value('probe_success'), 1)
})

const proxies = {
  HTTP_PROXY: 'proxy.site:3128',
  https_proxy: 'https://secure.site',
  NO_PROXY: 'a.site, .b.site:8080,*.c.site,10.0.0.0/8,192.0.2.1:81,[2001:db8::1]:82',
}
const ways = [
  ['http://other.site/', 'http://proxy.site:3128/'],
  ['https://other.site/', 'https://secure.site/'],
  ['http://localhost/', undefined],
  ['http://127.1.2.3/', undefined],
  ['http://[::1]/', undefined],
  ['http://a.site/', undefined],
  ['http://x.a.site/', undefined],
  ['http://xa.site/', 'http://proxy.site:3128/'],
  ['http://b.site:8080/', 'http://proxy.site:3128/'],
  ['http://x.b.site:8080/', undefined],
  ['http://x.b.site/', 'http://proxy.site:3128/'],
  ['http://c.site/', 'http://proxy.site:3128/'],
  ['http://x.c.site/', undefined],
  ['http://10.9.8.7/', undefined],
  ['http://192.0.2.1:81/', undefined],
  ['http://192.0.2.1/', 'http://proxy.site:3128/'],
  ['http://[2001:db8:0::1]:82/', undefined],
] as const
for (const [target, expected] of ways)
  test(`the proxy of the environment for ${target} is ${expected ?? 'none'}, as with Go's httpproxy`, () => {
    const found = proxyFor({ proxy_from_environment: true } as never, new URL(target), { environment: proxies })
    assert.equal(found?.toString(), expected)
  })

const judged: [Http, RegExp][] = [
  [{ proxy_url: 'http://a', proxy_from_environment: true }, /proxy_url cannot stand beside/],
  [{ no_proxy: 'a' }, /no_proxy needs proxy_url/],
  [{ proxy_connect_header: { a: ['b'] } }, /proxy_connect_header needs/],
  [{ proxy_from_environment: true, no_proxy: 'a' }, /no_proxy cannot stand/],
  [{ proxy_url: 'socks5://a' }, /SOCKS/],
  [{ proxy_url: 'proxy:3128' }, /must be the address of a proxy/],
]
for (const [http, expected] of judged)
  test(`a module with ${JSON.stringify(http)} is refused`, () => {
    const found = judgeModule({ prober: 'http', http })
    assert.ok('refused' in found)
    assert.match(found.refused.join(), expected)
  })
