import assert from 'node:assert/strict'
import { createServer } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { type TestContext, test } from 'node:test'
import { TLSSocket } from 'node:tls'
import { pino } from 'pino'
import type * as z from 'zod'
import { probeConfig } from '../../../monitor/probe/config.ts'
import { createProbes } from '../../../monitor/probe/probes.ts'
import type { Lookup } from '../../../monitor/probe/resolve.ts'
import { systemClock } from '../../../shared/clock.ts'
import { Secret } from '../../../shared/fields.ts'
import { renderPage } from '../../../shared/prometheus.ts'
import { createCertificate } from '../../peers/certificates.ts'
import { listen, redirectingPair, serve } from '../checks/servers.ts'
import { pageTypes, readPage } from '../metrics/reading.ts'
import { loopback, start } from './asking.ts'

type ProbeInput = z.input<typeof probeConfig>

/** Probes with a resolver in the test's hands, asked directly. */
function probesWith(addresses: Record<string, string[]>, probe: ProbeInput = {}) {
  const asked: string[] = []
  const lookup: Lookup = (host, _options, done) => {
    asked.push(host)
    const found = (addresses[host] ?? []).map((address) => ({ address, family: address.includes(':') ? 6 : 4 }))
    setImmediate(() => (found.length > 0 ? done(null, found) : done(new Error('ENOTFOUND'), [])))
  }
  const probes = createProbes(probeConfig.parse({ allow: [loopback], ...probe }), {
    clock: systemClock,
    log: pino({ level: 'silent' }),
    lookup,
  })
  const run = async (query: Record<string, string>) => {
    const { families } = await probes.run(new URLSearchParams(query), { scrapeTimeout: '30', signal: AbortSignal.timeout(30_000) })
    return readPage(renderPage(families, pageTypes.text))
  }
  return { run, asked }
}

test('an HTTP probe tells status, version, length, phases and address', async (t) => {
  const target = await serve(t, { '/': 'hello' })
  const { run } = await start(t)
  const found = await run({ target })
  assert.equal(found.value('probe_success'), 1)
  assert.equal(found.value('probe_http_status_code'), 200)
  assert.equal(found.value('probe_http_version'), 1.1)
  assert.equal(found.value('probe_http_uncompressed_body_length'), 5)
  assert.equal(found.value('probe_http_ssl'), 0)
  assert.equal(found.value('probe_http_redirects'), 0)
  assert.equal(found.value('probe_ip_protocol'), 4)
  assert.equal(found.value('probe_failed_due_to_regex'), 0)
  assert.deepEqual(
    found.all('probe_http_duration_seconds').map(({ labels }) => labels.phase),
    ['resolve', 'connect', 'tls', 'processing', 'transfer'],
  )
  assert.ok((found.value('probe_duration_seconds') ?? 0) > 0)
})

test('the target needs no http://, and the answer is in OpenMetrics if that is asked for', async (t) => {
  const target = await serve(t, { '/': 'hello' })
  const { ask } = await start(t)
  const response = await ask({ target: target.slice('http://'.length) }, { accept: 'application/openmetrics-text' })
  assert.equal(readPage(await response.text(), 'openmetrics').value('probe_success'), 1)
})

const verdicts = [
  { name: 'a status of 500', http: {}, path: '/broken', success: 0, byRegex: 0 },
  { name: 'a status that is asked for', http: { valid_status_codes: [500] }, path: '/broken', success: 1, byRegex: 0 },
  { name: 'another status than asked for', http: { valid_status_codes: [204] }, path: '/', success: 0, byRegex: 0 },
  { name: 'no TLS where it must be', http: { fail_if_not_ssl: true }, path: '/', success: 0, byRegex: 0 },
  { name: 'a version that is not asked for', http: { valid_http_versions: ['HTTP/1.0' as const] }, path: '/', success: 0, byRegex: 0 },
  { name: 'a body that must not be', http: { fail_if_body_matches_regexp: ['(?i)HELLO'] }, path: '/', success: 0, byRegex: 1 },
  { name: 'a body that lacks something', http: { fail_if_body_not_matches_regexp: ['hello', 'bye'] }, path: '/', success: 0, byRegex: 1 },
  { name: 'a body that has all', http: { fail_if_body_not_matches_regexp: ['hel', 'lo$'] }, path: '/', success: 1, byRegex: 0 },
  {
    name: 'a header that is missing',
    http: { fail_if_header_not_matches: [{ header: 'X-Ship', regexp: '.' }] },
    path: '/',
    success: 0,
    byRegex: 1,
  },
  {
    name: 'a header that may be missing',
    http: { fail_if_header_not_matches: [{ header: 'X-Ship', regexp: '.', allow_missing: true }] },
    path: '/',
    success: 1,
    byRegex: 0,
  },
  {
    name: 'a header that matches what it must not',
    http: { fail_if_header_matches: [{ header: 'CONNECTION', regexp: 'close' }] },
    path: '/',
    success: 0,
    byRegex: 1,
  },
]
for (const { name, http, path, success, byRegex } of verdicts)
  test(`an HTTP probe ${success ? 'takes' : 'refuses'} ${name}`, async (t) => {
    const target = await serve(t, { '/': 'hello', '/broken': () => ({ status: 500, body: 'no' }) })
    const { run } = await start(t, { modules: { mine: { prober: 'http', http } } })
    const found = await run({ target: target + path, module: 'mine' })
    assert.equal(found.value('probe_success'), success)
    assert.equal(found.value('probe_failed_due_to_regex'), byRegex)
  })

test('an HTTP probe sends the headers, the body and the password of its module, and the name that is asked for', async (t) => {
  let seen: unknown
  const target = await serve(t, {
    '/': ({ method, headers }: { method?: string; headers: Record<string, unknown> }, body: string) => {
      seen = { method, body, host: headers.host, ship: headers['x-ship'], authorization: headers.authorization }
      return { body: '' }
    },
  })
  const http = {
    method: 'POST' as const,
    body: 'ping',
    headers: { 'X-Ship': 'Skerry' },
    basic_auth: { username: 'a', password_file: new Secret({ value: 'b' }) },
  }
  const { run } = await start(t, { modules: { mine: { prober: 'http', http } } })
  assert.equal((await run({ target, module: 'mine', hostname: 'shop.example.com' })).value('probe_success'), 1)
  assert.deepEqual(seen, { method: 'POST', body: 'ping', host: 'shop.example.com', ship: 'Skerry', authorization: `Basic ${btoa('a:b')}` })
})

/** A server of which every answer redirects to what the path says. */
async function redirecting(t: TestContext): Promise<string> {
  const port = await listen(t, (socket) =>
    socket.once('data', (request) => {
      const path = request.toString().split(' ')[1] ?? ''
      const to = path === '/end' ? '' : `Location: ${decodeURIComponent(path.slice(1))}\r\n`
      socket.end(`HTTP/1.1 ${path === '/end' ? '200 OK' : '302 Found'}\r\n${to}Content-Length: 0\r\n\r\n`)
    }),
  )
  return `http://127.0.0.1:${port}`
}

test('redirects are followed and counted, unless the module says otherwise', async (t) => {
  const base = await redirecting(t)
  const { run } = await start(t, { modules: { still: { prober: 'http', http: { follow_redirects: false, valid_status_codes: [302] } } } })
  const followed = await run({ target: `${base}/${encodeURIComponent('/%2Fend')}` })
  assert.equal(followed.value('probe_success'), 1)
  assert.equal(followed.value('probe_http_redirects'), 2)
  const still = await run({ target: `${base}/%2Fend`, module: 'still' })
  assert.equal(still.value('probe_http_status_code'), 302)
  assert.equal(still.value('probe_http_redirects'), 1)
})

test('credentials among the headers of a module stay with the origin that they are for, as its basic_auth does', async (t) => {
  const { port, elsewhere, heard } = await redirectingPair(t)
  const secrets = {
    Authorization: 'Bearer s3cret',
    cookie: 'session=s3cret',
    'Proxy-Authorization': 'Basic s3cret',
    HOST: 's3cret.example',
  }
  const { run } = await start(t, { modules: { mine: { prober: 'http', http: { headers: { ...secrets, 'X-Site': 'harbour' } } } } })
  assert.equal((await run({ target: `http://127.0.0.1:${port}/`, module: 'mine' })).value('probe_success'), 1)
  const [first, second] = heard
  assert.equal(first?.match(/s3cret/g)?.length, 4, first)
  assert.doesNotMatch(second ?? '', /s3cret|authorization|cookie/i)
  assert.match(second ?? '', new RegExp(`host: 127\\.0\\.0\\.1:${elsewhere}\\r\\n`, 'i'))
  assert.match(second ?? '', /x-site: harbour/i)
})

test('a redirect to where no rule allows to go fails the probe, and nothing connects there', async (t) => {
  let connected = 0
  const forbidden = await listen(t, () => void connected++)
  const base = await redirecting(t)
  const allowed = Number(new URL(base).port)
  const { run } = await start(t, { allow: [{ ...loopback, ports: [allowed] }] })
  for (const to of [
    `http://127.0.0.1:${forbidden}/`,
    'http://169.254.169.254/latest/meta-data',
    'http://[::ffff:a9fe:a9fe]/',
    'file:///etc/passwd',
  ]) {
    const found = await run({ target: `${base}/${encodeURIComponent(to)}` })
    assert.equal(found.value('probe_success'), 0, to)
    assert.equal(found.value('probe_http_status_code'), 0)
  }
  assert.equal(connected, 0)
})

test('a circle of redirects ends', async (t) => {
  const port = await listen(t, (socket) =>
    socket.once('data', () => socket.end('HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n')),
  )
  const { run } = await start(t)
  const found = await run({ target: `http://127.0.0.1:${port}` })
  assert.equal(found.value('probe_success'), 0)
  assert.equal(found.value('probe_http_redirects'), 11)
})

test('a target that no rule allows is refused with a reason, before its name is resolved', async (t) => {
  const { ask } = await start(t)
  for (const target of [
    'http://10.0.0.1/',
    'http://169.254.169.254/latest',
    'http://shop.example.org/',
    'http://[fe80::1]/',
    'http://0x7f.1.evil.org/',
  ]) {
    const response = await ask({ target })
    assert.equal(response.status, 403, target)
    assert.equal(response.headers.get('content-type'), 'application/problem+json')
    const problem = (await response.json()) as { type: string; detail: string; action: string }
    assert.match(problem.type, /probe-not-allowed$/)
    assert.match(problem.action, /metrics\.probe\.allow/)
  }
  const { run, asked } = probesWith({ 'shop.example.org': ['127.0.0.1'] })
  await assert.rejects(run({ target: 'http://shop.example.org/' }), /No rule allows/)
  assert.deepEqual(asked, [])
})

test('a name that resolves to an address that no rule allows is refused', async () => {
  const { run } = probesWith({ 'shop.example.com': ['169.254.169.254', '10.0.0.1'] })
  await assert.rejects(run({ target: 'http://shop.example.com/' }), /No rule allows shop\.example\.com at port 80 and its addresses/)
})

test('the connection goes to the address that was held against the rules, though the name has another by then', async (t) => {
  const port = await listen(t, (socket) => socket.once('data', () => socket.end('HTTP/1.1 204 No Content\r\n\r\n')))
  const { run, asked } = probesWith({ 'shop.example.com': ['127.0.0.1'] })
  for (const [module, target] of [
    ['http_2xx', `http://shop.example.com:${port}/`],
    ['tcp_connect', `shop.example.com:${port}`],
  ] as const)
    assert.equal((await run({ target, module })).value('probe_success'), 1)
  assert.deepEqual(asked, ['shop.example.com', 'shop.example.com'], 'each asked for its name once')
})

test('of the addresses of a name those of the preferred version are used, or the others if that is allowed', async (t) => {
  const port = await listen(t, () => {})
  const tcp = (preferred_ip_protocol: 'ip4' | 'ip6', ip_protocol_fallback: boolean) => ({
    prober: 'tcp' as const,
    tcp: { preferred_ip_protocol, ip_protocol_fallback },
  })
  const modules = { four: tcp('ip4', false), six: tcp('ip6', false), any: tcp('ip6', true) }
  const { run } = probesWith({ 'shop.example.com': ['127.0.0.1'] }, { modules })
  const success = async (module: string) => (await run({ target: `shop.example.com:${port}`, module })).value('probe_success')
  assert.deepEqual([await success('four'), await success('six'), await success('any')], [1, 0, 1])
})

test('a name that does not resolve fails the probe', async () => {
  const { run } = probesWith({})
  assert.equal((await run({ target: 'nowhere.example.com' })).value('probe_success'), 0)
})

test('what cannot be understood is refused with what is wrong', async (t) => {
  const { ask } = await start(t)
  const cases = [
    [{}, /target is missing/],
    [{ target: 'x', module: 'nope' }, /no module \\"nope\\"; the modules are http_2xx/],
    [{ target: 'http://' }, /not an HTTP address/],
    [{ target: 'http://a:b@127.0.0.1/' }, /target must not contain credentials/],
    [{ target: '127.0.0.1', module: 'tcp_connect' }, /host:port/],
    [{ target: '127.0.0.1:70000', module: 'tcp_connect' }, /host:port/],
    [{ target: '127.0.0.1:80/x', module: 'tcp_connect' }, /host:port/],
  ] as const
  for (const [query, detail] of cases) {
    const response = await ask(query as unknown as Record<string, string>)
    assert.equal(response.status, 400)
    assert.match(await response.text(), detail)
  }
  const odd = await ask({ target: '127.0.0.1:1' }, { 'x-prometheus-scrape-timeout-seconds': 'soon' })
  assert.equal(odd.status, 400)
  await odd.text()
})

test('a probe ends before the scrape does, and says that it failed', async (t) => {
  const port = await listen(t, () => {}) // takes connections and says nothing
  const { run } = await start(t)
  const limits: number[] = []
  const { timeout } = AbortSignal
  t.mock.method(AbortSignal, 'timeout', (ms: number) => {
    limits.push(ms)
    return timeout.call(AbortSignal, ms)
  })
  const found = await run({ target: `http://127.0.0.1:${port}` }, { 'x-prometheus-scrape-timeout-seconds': '0.7' })
  assert.equal(found.value('probe_success'), 0)
  // By the limit that it sets itself: how late a busy machine sees to that is another matter.
  assert.deepEqual(limits, [350])
  assert.ok((found.value('probe_duration_seconds') ?? 0) >= 0.3)
})

test('a scrape timeout that is no whole number of milliseconds is taken, too', async (t) => {
  const port = await listen(t, (socket) => socket.destroy())
  const { run } = await start(t)
  for (const seconds of ['1.1', '1.0005', '16.4', '1e-320'])
    assert.equal(
      (await run({ target: `http://127.0.0.1:${port}` }, { 'x-prometheus-scrape-timeout-seconds': seconds })).value('probe_success'),
      0,
    )
})

test("a module's own timeout counts if it is shorter", async (t) => {
  const port = await listen(t, () => {})
  const { run } = await start(t, { modules: { brief: { prober: 'http', timeout: '50ms' } } })
  const found = await run({ target: `http://127.0.0.1:${port}`, module: 'brief' }, { 'x-prometheus-scrape-timeout-seconds': '30' })
  assert.equal(found.value('probe_success'), 0)
  assert.ok((found.value('probe_duration_seconds') ?? 9) < 5)
})

test('more probes at once than allowed are turned away; one whose asker has gone gives its place back', async (t) => {
  const connections: Socket[] = []
  const arrivals = Promise.withResolvers<void>()
  const port = await listen(t, (socket) => {
    connections.push(socket.resume()) // one that is not read does not see its end either
    arrivals.resolve()
  })
  const { url, ask } = await start(t, { parallelism: 1 })
  const query = { target: `http://127.0.0.1:${port}` }
  const hangUp = new AbortController()
  const first = fetch(`${url}/probe?${new URLSearchParams(query)}`, { signal: hangUp.signal })
  await arrivals.promise
  const second = await ask(query)
  assert.equal(second.status, 503)
  assert.equal(second.headers.get('retry-after'), '1')
  await second.text()
  const closed = new Promise((resolve) => connections[0]?.once('close', resolve))
  hangUp.abort()
  await assert.rejects(first)
  await closed
  const good = await serve(t, { '/': 'hello' })
  const third = await ask({ target: good })
  assert.equal(third.status, 200)
  await third.text()
  const found = readPage(await (await fetch(`${url}/metrics`)).text())
  assert.equal(found.value('skerry_monitor_probes_total', { outcome: 'busy' }), 1)
  assert.equal(found.value('skerry_monitor_probes_total', { outcome: 'success' }), 1)
  assert.equal(found.value('skerry_monitor_probes_running'), 0)
})

test('a TCP probe connects, or does not', async (t) => {
  const port = await listen(t, () => {})
  const { run } = await start(t)
  assert.equal((await run({ target: `127.0.0.1:${port}`, module: 'tcp_connect' })).value('probe_success'), 1)
  const found = await run({ target: '127.0.0.1:1', module: 'tcp_connect' })
  assert.equal(found.value('probe_success'), 0)
  assert.equal(found.value('probe_failed_due_to_regex'), 0)
})

const irc = {
  prober: 'tcp' as const,
  tcp: { query_response: [{ send: 'NICK prober' }, { expect: 'PING :([^ ]+)', send: `PONG \${1}` }, { expect: '^:[^ ]+ 001' }] },
}

test('a TCP probe says what its module says, with what it heard', async (t) => {
  const port = await listen(t, (socket) => {
    socket.on('data', (bytes) => {
      const text = bytes.toString()
      if (text === 'NICK prober\n') socket.write(':x NOTICE hello\r\nPI')
      if (text === 'NICK prober\n') socket.write('NG :42\r\n')
      if (text === 'PONG 42\n') socket.write(':x 001 welcome\r\n')
    })
  })
  const { run } = await start(t, { modules: { irc } })
  assert.equal((await run({ target: `127.0.0.1:${port}`, module: 'irc' })).value('probe_success'), 1)
})

test('a TCP probe that hears something else fails because of its expression', async (t) => {
  const port = await listen(t, (socket) => socket.end('go away\n'))
  const { run } = await start(t)
  const found = await run({ target: `127.0.0.1:${port}`, module: 'ssh_banner' })
  assert.equal(found.value('probe_success'), 0)
  assert.equal(found.value('probe_failed_due_to_regex'), 1)
})

test('a TCP probe that is answered without an end takes no more than a little of it', async (t) => {
  const port = await listen(t, (socket) => {
    const pour = () => {
      while (!socket.destroyed && socket.write(Buffer.alloc(65_536, 'x')));
    }
    socket.on('drain', pour)
    pour()
  })
  const { run } = await start(t)
  assert.equal((await run({ target: `127.0.0.1:${port}`, module: 'ssh_banner' })).value('probe_success'), 0)
})

test('a TCP probe begins TLS in the middle, and tells of the certificate', async (t) => {
  const { cert, key } = await createCertificate({ days: 10 })
  const port = await listen(t, (socket) => {
    socket.write('220 ready\r\n')
    socket.once('data', () => {
      socket.write('220 go ahead\r\n', () => {
        const secure = new TLSSocket(socket, { isServer: true, cert, key })
        secure.on('error', () => {})
        secure.once('data', () => secure.write('250 safe\r\n'))
      })
    })
  })
  const tcp = {
    query_response: [
      { expect: '^220', send: 'STARTTLS' },
      { expect: '^220' },
      { starttls: true },
      { send: 'EHLO prober' },
      { expect: '^250 (.+)' },
    ],
    tls_config: { insecure_skip_verify: true },
  }
  const { run } = await start(t, { modules: { smtp: { prober: 'tcp', tcp } } })
  const found = await run({ target: `127.0.0.1:${port}`, module: 'smtp' })
  assert.equal(found.value('probe_success'), 1)
  const days = ((found.value('probe_ssl_earliest_cert_expiry') ?? 0) - Date.now() / 1000) / 86_400
  assert.ok(days > 9 && days < 11, `${days} days`)
  assert.equal(found.value('probe_tls_version_info', { version: 'TLS 1.3' }), 1)
  assert.equal(found.all('probe_ssl_last_chain_info')[0]?.labels.subject, 'CN=localhost')
})

const trust = [
  { name: 'its authority', tls: (ca: string) => ({ ca_file: new Secret({ value: ca }) }), success: 1 },
  { name: 'another name', tls: (ca: string) => ({ ca_file: new Secret({ value: ca }), server_name: 'elsewhere' }), success: 0 },
  { name: 'nothing in particular', tls: () => ({}), success: 0 },
  { name: 'everything', tls: () => ({ insecure_skip_verify: true }), success: 1 },
]
for (const { name, tls, success } of trust)
  test(`a probe over TLS that trusts ${name} ${success ? 'succeeds' : 'fails'}`, async (t) => {
    const { ca, cert, key } = await createCertificate()
    const server = createServer({ cert, key }, (_request, response) => response.end('hello'))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    t.after(() => server.close())
    const { port } = server.address() as AddressInfo
    const tls_config = tls(ca)
    const { run } = await start(t, {
      modules: { web: { prober: 'http', http: { tls_config } }, raw: { prober: 'tcp', tcp: { tls: true, tls_config } } },
    })
    for (const [module, target] of [
      ['web', `https://127.0.0.1:${port}/`],
      ['raw', `127.0.0.1:${port}`],
    ] as const) {
      const found = await run({ target, module })
      assert.equal(found.value('probe_success'), success, module)
      assert.equal(found.value('probe_tls_version_info'), success || undefined)
    }
  })
